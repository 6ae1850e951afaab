package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.header.Header;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class WorkerFailuresIT {
  private WorkerCluster cluster;

  @BeforeEach
  void open() throws Exception {
    cluster = WorkerCluster.shared();
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aPoisonPillGoesToTheDeadLetterQueueAndTheRestIsDone(GroupProtocol protocol)
      throws Exception {
    Topics topics = cluster.topics();
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer()) {
      ProducerRecord<byte[], byte[]> pill =
          new ProducerRecord<>(
              topics.in(), 0, WorkerCluster.bytes("pill"), WorkerCluster.bytes("secret text"));
      pill.headers().add("traceparent", WorkerCluster.bytes("00-1-2-03"));
      producer.send(pill).get();
    }
    cluster.produce(topics, 30, i -> WorkerCluster.bytes("v" + i));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              if (WorkerCluster.text(record.key()).equals("pill")) {
                throw new IllegalStateException("quotes " + WorkerCluster.text(record.value()));
              }
              return EchoStage.written(topics.out(), record);
            });
    Map<String, Integer> expected = new TreeMap<>(WorkerCluster.once(30));
    expected.put("pill", 1);
    try (RunningWorker worker = RunningWorker.start(cluster, topics, protocol, "a", stage)) {
      await()
          .atMost(Duration.ofSeconds(30))
          .untilAsserted(() -> assertThat(cluster.counts(topics.out())).isEqualTo(expected));
      assertThat(worker.health.isReady()).isTrue();
    }
    List<ConsumerRecord<byte[], byte[]>> dead = cluster.read(topics.dlq());
    assertThat(dead).hasSize(1);
    assertThat(WorkerCluster.text(dead.get(0).value())).isEqualTo("secret text");
    Map<String, String> headers = headers(dead.get(0));
    assertThat(headers)
        .containsEntry("traceparent", "00-1-2-03")
        .containsEntry(DeadLetterHeaders.CODE, "MODEL_FAILED")
        .containsEntry(DeadLetterHeaders.EXCEPTION, "java.lang.IllegalStateException")
        .containsEntry(DeadLetterHeaders.TOPIC, topics.in())
        .containsEntry(DeadLetterHeaders.PARTITION, "0")
        .containsEntry(DeadLetterHeaders.OFFSET, "0")
        .containsEntry(DeadLetterHeaders.ATTEMPT, "1")
        .containsEntry(DeadLetterHeaders.STAGE, "echo")
        .containsKey(DeadLetterHeaders.TIMESTAMP);
    assertThat(headers.get(DeadLetterHeaders.MESSAGE)).doesNotContain("secret");
  }

  @Test
  void aPoisonPillAloneIsGivenUpAfterAWhile() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              throw new IllegalStateException("broken");
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.dlq()).size() == 1);
      assertThat(worker.count("whence.environment.failures")).isZero();
    }
  }

  /** What needs no model says nothing about it, however much of it comes. */
  @Test
  void aPoisonPillIsGivenUpAfterAWhileThoughRecordsThatNeedNoModelNeverCeaseToCome()
      throws Exception {
    Topics topics = cluster.topics(2);
    Stage stage = modelOnlyForBadAndGood(topics, record -> {});
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker worker =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      send(producer, topics, 0, "bad");
      long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
      int sent = 0;
      while (cluster.committed(topics, 0) == 0) {
        assertThat(System.nanoTime()).as("the failing record waits").isLessThan(deadline);
        send(producer, topics, 1, "no model");
        sent++;
        LockSupport.parkNanos(Duration.ofMillis(100).toNanos());
      }
      assertThat(cluster.read(topics.dlq())).hasSize(1);
      int all = sent + 1;
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == all);
      assertThat(worker.count("whence.environment.failures")).isZero();
    }
  }

  /** Each takes longer than a failing record waits, and a batch is one record. */
  @Test
  void aModelThatFailsSlowlyOnEveryRecordIsTheEnvironmentToo() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 6, i -> WorkerCluster.bytes("v" + i));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              LockSupport.parkNanos(
                  WorkerCluster.QUICK.undecidedFor().multipliedBy(3).dividedBy(2).toNanos());
              throw new IllegalStateException("broken");
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, stage, options -> WorkerCluster.records(options, 1))) {
      await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> worker.count("whence.environment.failures") >= 1);
      assertThat(cluster.read(topics.dlq())).isEmpty();
    }
  }

  @Test
  void behindARecordThatWaitsOnlySoMuchIsReadAndOtherPartitionsGoOn() throws Exception {
    int batch = 8;
    Topics topics = cluster.topics(2);
    AtomicInteger behind = new AtomicInteger();
    Stage stage =
        modelOnlyForBadAndGood(
            topics,
            record -> {
              if (record.partition() == 0) {
                behind.incrementAndGet();
              }
            });
    FailurePolicy patient =
        new FailurePolicy(
            3,
            5,
            Duration.ofMinutes(5),
            10,
            Duration.ofSeconds(60),
            Duration.ofMinutes(5),
            Duration.ofMillis(100),
            Duration.ofSeconds(1));
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker worker =
            RunningWorker.start(
                cluster,
                topics,
                stage,
                options ->
                    WorkerCluster.failures(WorkerCluster.records(options, batch), patient))) {
      send(producer, topics, 0, "bad");
      for (int i = 0; i < 100; i++) {
        send(producer, topics, 0, "no model");
      }
      await().atMost(Duration.ofSeconds(20)).until(() -> behind.get() >= 2 * batch);
      for (int i = 0; i < 100; i++) {
        send(producer, topics, 1, "no model");
      }
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 1) == 100);
      assertThat(behind)
          .as("twice a batch, and one poll")
          .hasValueLessThanOrEqualTo(2 * batch + Clients.RECORDS_OF_ONE_POLL);
      assertThat(cluster.committed(topics, 0)).isZero();
      send(producer, topics, 1, "good");
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committedAll(topics) == 202);
      assertThat(cluster.read(topics.dlq())).hasSize(1);
      assertThat(worker.count("whence.environment.failures")).isZero();
    }
  }

  @Test
  void aModelThatFailsOnEveryRecordIsTheEnvironment() throws Exception {
    Topics topics = cluster.topics();
    cluster.produce(topics, 40, i -> WorkerCluster.bytes("v" + i));
    AtomicReference<RunningWorker> started = new AtomicReference<>();
    CountDownLatch mended = new CountDownLatch(1);
    // Mended between two batches: within one, what failed before would be bad records.
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              RunningWorker worker = started.get();
              if (worker == null || worker.count("whence.environment.failures") < 2) {
                throw new IllegalStateException("broken");
              }
              awaitMended(mended);
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      started.set(worker);
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 2);
      assertThat(worker.health.isReady()).isFalse();
      assertThat(worker.health.isAlive()).isTrue();
      assertThat(cluster.read(topics.dlq())).isEmpty();
      assertThat(cluster.read(topics.out())).isEmpty();
      mended.countDown();
      await()
          .atMost(Duration.ofSeconds(20))
          .untilAsserted(
              () -> assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(40)));
      await().atMost(Duration.ofSeconds(5)).until(worker.health::isReady);
    }
    assertThat(cluster.read(topics.dlq())).isEmpty();
  }

  @Test
  void fiveBadRecordsInARowAreBadRecordsOnceTheModelWorksOnAnother() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 6, i -> WorkerCluster.bytes("bad"));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              if (WorkerCluster.text(record.value()).equals("bad")) {
                throw new IllegalStateException();
              }
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 1);
      assertThat(cluster.read(topics.dlq())).isEmpty();
      try (KafkaProducer<byte[], byte[]> producer = cluster.producer()) {
        producer
            .send(
                new ProducerRecord<>(
                    topics.in(), WorkerCluster.bytes("good"), WorkerCluster.bytes("good")))
            .get();
      }
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.dlq()).size() == 6);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 7);
      await().atMost(Duration.ofSeconds(5)).until(worker.health::isReady);
    }
  }

  @Test
  void theEnvironmentPausesAndSendsNothingToTheDeadLetterQueue() throws Exception {
    Topics topics = cluster.topics();
    cluster.produce(topics, 20, i -> WorkerCluster.bytes("v" + i));
    AtomicBoolean down = new AtomicBoolean(true);
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              if (down.get()) {
                throw new EnvironmentException("the device is gone");
              }
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 2);
      assertThat(worker.health.reasons().values()).contains("the device is gone");
      await()
          .atMost(Duration.ofSeconds(10))
          .untilAsserted(
              () ->
                  assertThat(cluster.committed(topics).values())
                      .as("nobody died: no attempt is left behind")
                      .allSatisfy(offset -> assertThat(offset.metadata()).isEmpty()));
      down.set(false);
      await()
          .atMost(Duration.ofSeconds(20))
          .untilAsserted(
              () -> assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(20)));
    }
    assertThat(cluster.read(topics.dlq())).isEmpty();
  }

  @Test
  void aRecordThatTheRegistryRefusesStopsItsPartitionAndNoOtherAndIsDoneOnceItIsGiven()
      throws Exception {
    Topics topics = cluster.topics(2);
    AtomicReference<Predicate<SourceRecord>> refused = new AtomicReference<>(record -> true);
    AtomicInteger asked = new AtomicInteger();
    Stage stage =
        new ForwardingStage(EchoStage.echo(topics.out())) {
          @Override
          public Work prepare(SourceRecord record) {
            asked.incrementAndGet();
            if (refused.get().test(record)) {
              throw new EnvironmentException("the schema registry answered 403");
            }
            return super.prepare(record);
          }
        };
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker worker =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      for (int i = 0; i < 5; i++) {
        send(producer, topics, 0, "first " + i);
        send(producer, topics, 1, "second " + i);
      }
      // Of everything: both partitions wait, and are tried again once a second.
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 8);
      String first = topics.in() + "-0 can not be read on: the schema registry answered 403";
      String second = topics.in() + "-1 can not be read on: the schema registry answered 403";
      await()
          .atMost(Duration.ofSeconds(5))
          .untilAsserted(
              () ->
                  assertThat(worker.health.reasons())
                      .containsEntry("reading", first + "; " + second));
      assertThat(cluster.read(topics.out())).isEmpty();
      assertThat(asked).as("not in a busy loop").hasValueLessThan(40);

      refused.set(record -> record.partition() == 0 && record.offset() == 1);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 1) == 5);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 0) == 1);
      send(producer, topics, 1, "one more");
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 1) == 6);
      assertThat(cluster.committed(topics, 0)).isEqualTo(1);
      await()
          .atMost(Duration.ofSeconds(20))
          .untilAsserted(
              () ->
                  assertThat(worker.health.reasons())
                      .as("though the other one goes on")
                      .isEqualTo(Map.of("reading", first)));

      refused.set(record -> false);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committedAll(topics) == 11);
      await().atMost(Duration.ofSeconds(5)).until(worker.health::isReady);
    }
    assertThat(cluster.read(topics.out())).hasSize(11);
    assertThat(cluster.read(topics.dlq())).isEmpty();
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
    assertThat(headers(dead.get("k0")))
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

  @Test
  void modelWorkPastItsDeadlineFailsLivenessAndHalts() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
    CountDownLatch end = new CountDownLatch(1);
    EchoStage hanging =
        new EchoStage(
            topics.out(),
            record -> {
              try {
                assertThat(end.await(60, TimeUnit.SECONDS)).isTrue();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
              return EchoStage.written(topics.out(), record);
            });
    FailurePolicy impatient =
        new FailurePolicy(
            3,
            5,
            Duration.ofMillis(500),
            10,
            Duration.ofMillis(300),
            Duration.ofMinutes(5),
            Duration.ofMillis(100),
            Duration.ofSeconds(1));
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, hanging, options -> WorkerCluster.failures(options, impatient))) {
      await().atMost(Duration.ofSeconds(20)).until(() -> !worker.halts.isEmpty());
      assertThat(worker.health.isAlive()).isFalse();
      assertThat(worker.halts.get(0)).contains(topics.in() + "-0-0").contains("300 ms");
      assertThat(cluster.committed(topics).values())
          .extracting(OffsetAndMetadata::metadata)
          .singleElement()
          .satisfies(written -> assertThat(written).startsWith("attempt=1;to=1;by="));
      end.countDown();
    }
  }

  @Test
  void aRecordThatDoesNotEndWithinTheGraceIsGivenUpWithoutACommit() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
    CountDownLatch began = new CountDownLatch(1);
    CountDownLatch end = new CountDownLatch(1);
    EchoStage tooLong =
        new EchoStage(
            topics.out(),
            record -> {
              began.countDown();
              try {
                assertThat(end.await(60, TimeUnit.SECONDS)).isTrue();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
              return EchoStage.written(topics.out(), record);
            });
    RunningWorker worker =
        RunningWorker.start(
            cluster,
            topics,
            tooLong,
            options -> WorkerCluster.grace(options, Duration.ofMillis(300)));
    assertThat(began.await(20, TimeUnit.SECONDS)).isTrue();
    worker.close();
    assertThat(cluster.read(topics.out())).isEmpty();
    assertThat(cluster.committed(topics).values())
        .as("the shutdown was not the record's fault")
        .containsExactly(new OffsetAndMetadata(0, Optional.of(0), ""));
    end.countDown();
    try (RunningWorker next =
        RunningWorker.start(
            cluster, topics, GroupProtocol.CONSUMER, "a", EchoStage.echo(topics.out()))) {
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 1);
      assertThat(next.health.isAlive()).isTrue();
    }
  }

  @Test
  void theRunningRecordIsCommittedAtShutdownAndTheRestIsLeft() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 10, i -> WorkerCluster.bytes("v" + i));
    CountDownLatch began = new CountDownLatch(1);
    CountDownLatch end = new CountDownLatch(1);
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              began.countDown();
              try {
                assertThat(end.await(60, TimeUnit.SECONDS)).isTrue();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
              return EchoStage.written(topics.out(), record);
            });
    RunningWorker worker = RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage);
    assertThat(began.await(20, TimeUnit.SECONDS)).isTrue();
    Thread closing = new Thread(worker::close);
    closing.start();
    await().until(() -> closing.getState() == Thread.State.TIMED_WAITING);
    end.countDown();
    closing.join();
    assertThat(cluster.counts(topics.out()).keySet()).contains("k0");
    long committed = cluster.committedAll(topics);
    assertThat(committed).isBetween(1L, 10L);
    assertThat(cluster.read(topics.out())).hasSize((int) committed);
    assertThat(worker.worker.ended()).isCompleted();
  }

  @Test
  void twoProcessesWithOneInstanceNameEndOneOfThemWithAClearSentence() throws Exception {
    Topics topics = cluster.topics(2);
    EchoStage slow =
        new EchoStage(
            topics.out(),
            record -> {
              LockSupport.parkNanos(2_000_000);
              return EchoStage.written(topics.out(), record);
            });
    int sent = 0;
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker a =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "same", slow);
        RunningWorker b =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "same", slow)) {
      // Only who commits is fenced: there is something to commit until one of them has ended.
      long deadline = System.nanoTime() + Duration.ofMinutes(2).toNanos();
      while (!a.worker.ended().isDone() && !b.worker.ended().isDone()) {
        assertThat(System.nanoTime()).isLessThan(deadline);
        producer
            .send(
                new ProducerRecord<>(
                    topics.in(),
                    sent % 2,
                    WorkerCluster.bytes("k" + sent),
                    WorkerCluster.bytes("v")))
            .get();
        sent++;
        LockSupport.parkNanos(10_000_000);
      }
      RunningWorker loser = a.worker.ended().isDone() ? a : b;
      assertThatThrownBy(() -> loser.worker.ended().join())
          .hasMessageContaining("another process uses instance.id same");
      assertThat(loser.health.isAlive()).isFalse();
      int all = sent;
      await().atMost(Duration.ofMinutes(2)).until(() -> cluster.read(topics.out()).size() >= all);
    }
    assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(sent));
  }

  @Test
  void aTaskBetweenBatchesRunsOnTheModelThread() throws Exception {
    Topics topics = cluster.topics(1);
    List<String> threads = new ArrayList<>();
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              threads.add(Thread.currentThread().getName());
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 1);
      CountDownLatch ran = new CountDownLatch(1);
      worker.worker.betweenBatches(
          () -> {
            threads.add(Thread.currentThread().getName());
            ran.countDown();
          });
      assertThat(ran.await(5, TimeUnit.SECONDS)).isTrue();
    }
    assertThat(threads).containsExactly("echo-model", "echo-model");
  }

  @Test
  void aTaskAfterAPauseRunsOnTheModelThreadThoughNoRecordComes() throws Exception {
    Topics topics = cluster.topics(1);
    EchoStage stage =
        new EchoStage(topics.out(), record -> EchoStage.written(topics.out(), record));
    List<String> threads = new ArrayList<>();
    Duration pause = Duration.ofMillis(300);
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      CountDownLatch ran = new CountDownLatch(1);
      long began = System.nanoTime();
      worker.worker.betweenBatches(
          pause,
          () -> {
            threads.add(Thread.currentThread().getName());
            ran.countDown();
          });
      assertThat(ran.await(20, TimeUnit.SECONDS)).isTrue();
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isGreaterThanOrEqualTo(pause);
    }
    assertThat(threads).containsExactly("echo-model");
  }

  private static void awaitMended(CountDownLatch mended) {
    try {
      assertThat(mended.await(30, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  /** The model works on what is "good" and fails on what is "bad"; all else needs none. */
  private static Stage modelOnlyForBadAndGood(Topics topics, Consumer<SourceRecord> seen) {
    EchoStage model =
        new EchoStage(
            topics.out(),
            record -> {
              if (WorkerCluster.text(record.value()).equals("bad")) {
                throw new IllegalStateException();
              }
              return EchoStage.written(topics.out(), record);
            });
    return new ForwardingStage(model) {
      @Override
      public Work prepare(SourceRecord record) {
        seen.accept(record);
        return Set.of("bad", "good").contains(WorkerCluster.text(record.value()))
            ? super.prepare(record)
            : Work.done(EchoStage.written(topics.out(), record));
      }
    };
  }

  private static void send(
      KafkaProducer<byte[], byte[]> producer, Topics topics, int partition, String value)
      throws Exception {
    byte[] bytes = WorkerCluster.bytes(value);
    producer.send(new ProducerRecord<>(topics.in(), partition, bytes, bytes)).get();
  }

  private EchoStage counting(Topics topics, Map<String, Integer> runs) {
    return new EchoStage(
        topics.out(),
        record -> {
          runs.merge(record.place(), 1, Integer::sum);
          return EchoStage.written(topics.out(), record);
        });
  }

  private static Map<String, String> headers(ConsumerRecord<byte[], byte[]> record) {
    Map<String, String> headers = new TreeMap<>();
    for (Header header : record.headers()) {
      headers.put(header.key(), WorkerCluster.text(header.value()));
    }
    return headers;
  }
}
