package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Results that can not be written or committed, as they are or just now. */
class WorkerCommitsIT {
  private WorkerCluster cluster;

  @BeforeEach
  void open() throws Exception {
    cluster = WorkerCluster.shared();
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void anAbortedTransactionIsSentAgainWithoutRunningTheModelAgain(GroupProtocol protocol)
      throws Exception {
    Topics topics = cluster.topics();
    cluster.produce(topics, 50, i -> WorkerCluster.bytes("v" + i));
    Map<String, Integer> runs = new ConcurrentHashMap<>();
    AtomicInteger aborts = new AtomicInteger();
    TransactionHook abortsTwice =
        new TransactionHook() {
          @Override
          public void beforeCommit() {
            if (aborts.incrementAndGet() <= 2) {
              throw new KafkaException("injected");
            }
          }
        };
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, protocol, "a", counting(topics, runs), abortsTwice, o -> o)) {
      await()
          .atMost(Duration.ofSeconds(30))
          .untilAsserted(
              () -> assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(50)));
      await().atMost(Duration.ofSeconds(5)).until(() -> worker.count("whence.records") == 50);
      assertThat(worker.count("whence.transactions.aborted")).isEqualTo(2);
    }
    assertThat(runs.values()).allMatch(count -> count == 1);
  }

  /** The commit took effect, but the client could not learn so: nothing may be said after it. */
  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aCommitInDoubtThatTookEffectIsNotDoneAgain(GroupProtocol protocol) throws Exception {
    Topics topics = cluster.topics();
    cluster.produce(topics, 50, i -> WorkerCluster.bytes("v" + i));
    AtomicInteger commits = new AtomicInteger();
    TransactionHook inDoubt =
        new TransactionHook() {
          @Override
          public void afterCommit() {
            if (commits.incrementAndGet() == 1) {
              throw new OutOfOrderSequenceException("injected");
            }
          }
        };
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, protocol, "a", EchoStage.echo(topics.out()), inDoubt, o -> o)) {
      await()
          .atMost(Duration.ofSeconds(30))
          .until(
              () ->
                  cluster.counts(topics.out()).size() == 50 && cluster.committedAll(topics) >= 50);
      assertThat(worker.count("whence.clients.restarted")).isEqualTo(1);
    }
    assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(50));
  }

  /** One in four fails in the model, and all are run again after the first five tries. */
  @Test
  void aBatchThatCanNotBeCommittedInFiveTriesIsReadAgainAndCountedOnce() throws Exception {
    Topics topics = cluster.topics();
    cluster.produce(topics, 20, i -> WorkerCluster.bytes("v" + i));
    AtomicInteger aborts = new AtomicInteger();
    AtomicInteger runs = new AtomicInteger();
    AtomicInteger written = new AtomicInteger();
    AtomicInteger failed = new AtomicInteger();
    EchoStage stage =
        EchoStage.counted(
            topics.out(),
            record -> {
              runs.incrementAndGet();
              if (record.offset() % 4 == 3) {
                throw new IllegalStateException();
              }
              return new Outcome.Written(
                  EchoStage.written(topics.out(), record).results(), written::incrementAndGet);
            },
            failed::incrementAndGet);
    TransactionHook abortsFiveTimes =
        new TransactionHook() {
          @Override
          public void inside() {
            if (aborts.incrementAndGet() <= 5) {
              throw new KafkaException("injected");
            }
          }
        };
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, GroupProtocol.CONSUMER, "a", stage, abortsFiveTimes, o -> o)) {
      await()
          .atMost(Duration.ofSeconds(30))
          .untilAsserted(
              () -> assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(20)));
      assertThat(worker.count("whence.batches.given.up")).isEqualTo(1);
      await().atMost(Duration.ofSeconds(5)).until(() -> worker.count("whence.records") == 20);
    }
    assertThat(runs).as("the model ran several times on some").hasValueGreaterThan(20);
    int dead = cluster.read(topics.dlq()).size();
    assertThat(dead).as("some failed").isPositive();
    assertThat(failed).hasValue(dead);
    assertThat(written).hasValue(20 - dead);
  }

  @Test
  void aResultThatIsTooLargeIsShrunkOrTheRecordHasFailed() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 3, i -> WorkerCluster.bytes("v" + i));
    byte[] tooLarge = new byte[2 << 20];
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              byte[] small = WorkerCluster.bytes("small");
              String key = WorkerCluster.text(record.key());
              if (key.equals("k0")) {
                return EchoStage.written(topics.out(), record);
              }
              return new Outcome.Written(
                  List.of(
                      new Result(
                          topics.out(),
                          record.key(),
                          tooLarge,
                          List.of(),
                          () ->
                              key.equals("k1")
                                  ? Optional.of(
                                      new Result(topics.out(), record.key(), small, List.of()))
                                  : Optional.empty())));
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 3);
      assertThat(worker.count("whence.transactions.aborted")).isZero();
    }
    Map<String, String> values = new TreeMap<>();
    cluster
        .read(topics.out())
        .forEach(r -> values.put(WorkerCluster.text(r.key()), WorkerCluster.text(r.value())));
    assertThat(values)
        .containsEntry("k0", "v0")
        .containsEntry("k1", "small")
        .containsEntry("k2", "FAILED RESULT_TOO_LARGE");
    assertThat(cluster.counts(topics.dlq())).isEqualTo(Map.of("k2", 1));
  }

  @Test
  void aRecordThatDoesNotFitTheDeadLetterQueueLeavesWhatSaysWhereItIs() throws Exception {
    Topics topics = cluster.topics(1);
    byte[] random = new byte[1_000_000];
    new Random(1).nextBytes(random);
    byte[] zeros = new byte[20 << 20];
    cluster.produce(topics, 2, i -> i == 0 ? random : zeros);
    EchoStage stage =
        new EchoStage(
            topics.out(), record -> new Outcome.Rejected(new Failure("BAD", "it is bad")));
    cluster.shrink(topics.dlq(), 900_000);
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await().atMost(Duration.ofSeconds(30)).until(() -> cluster.read(topics.dlq()).size() == 2);
      assertThat(worker.count("whence.transactions.aborted")).isZero();
    }
    Map<String, ConsumerRecord<byte[], byte[]>> dead = new TreeMap<>();
    cluster.read(topics.dlq()).forEach(r -> dead.put(WorkerCluster.text(r.key()), r));
    assertThat(dead.get("k0").value()).isNull();
    assertThat(WorkerCluster.headers(dead.get("k0")))
        .containsEntry(DeadLetterHeaders.OMITTED_BYTES, "1000000")
        .containsEntry(DeadLetterHeaders.OFFSET, "0");
    assertThat(dead.get("k1").value()).as("compresses well, so it fits").hasSize(20 << 20);
  }

  @Test
  void expiredOffsetsAreCountedAndTheWorkerGoesOn() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 10, i -> WorkerCluster.bytes("v" + i));
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, GroupProtocol.CONSUMER, "a", EchoStage.echo(topics.out()))) {
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 10);
      assertThat(worker.count("whence.records.expired")).isZero();
    }
    cluster.produce(topics, 20, i -> WorkerCluster.bytes("v" + i));
    try (var admin = cluster.admin()) {
      admin
          .deleteRecords(
              Map.of(new TopicPartition(topics.in(), 0), RecordsToDelete.beforeOffset(17)))
          .all()
          .get();
    }
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, GroupProtocol.CONSUMER, "a", EchoStage.echo(topics.out()))) {
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 23);
      assertThat(worker.count("whence.records.expired")).isEqualTo(7);
    }
  }

  private EchoStage counting(Topics topics, Map<String, Integer> runs) {
    return new EchoStage(
        topics.out(),
        record -> {
          runs.merge(record.place(), 1, Integer::sum);
          return EchoStage.written(topics.out(), record);
        });
  }
}
