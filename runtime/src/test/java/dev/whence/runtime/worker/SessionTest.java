package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.WorkerMetrics;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.LogTruncationException;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The poll loop with a consumer whose group is the test's. */
@Timeout(60)
class SessionTest {
  private static final TopicPartition GOES = new TopicPartition("in", 0);
  private static final TopicPartition STAYS = new TopicPartition("in", 1);

  /** Nobody can go on to run a batch here: what was to be run is all that a test asks. */
  private static final class WouldRun extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  private final List<BatchRun.Candidate> run = new ArrayList<>();

  @Test
  void recordsOfAPartitionThatWentWhileTheyWereSaidToBeBegunAreNotRun() {
    Group consumer = new Group(List.of(List.of(STAYS)));
    assertThatThrownBy(() -> run(consumer)).isInstanceOf(WouldRun.class);
    assertThat(run).extracting(BatchRun.Candidate::partition).containsExactly(STAYS, STAYS);
  }

  /** Its records come again: they may be another member's by now, and done. */
  @Test
  void norAreThoseOfOneThatWentAndCameBack() {
    Group consumer = new Group(List.of(List.of(STAYS), List.of(GOES, STAYS)));
    assertThatThrownBy(() -> run(consumer)).isInstanceOf(WouldRun.class);
    assertThat(run).extracting(BatchRun.Candidate::partition).containsExactly(STAYS, STAYS);
  }

  /** Else other records that have their offsets now would be passed over. */
  @Test
  void whereALogWasCutOffItIsReadFromThereOnAndWhatWasReadOfItBeforeIsNotRun() {
    assertThatThrownBy(() -> run(new CutOff(Map.of(STAYS, new OffsetAndMetadata(3)))))
        .isInstanceOf(WouldRun.class);
    assertThat(run).extracting(one -> one.record().offset()).containsExactly(3L, 4L, 5L);
  }

  @Test
  void orFromItsBeginningWhereNobodyKnowsWhere() {
    assertThatThrownBy(() -> run(new CutOff(Map.of()))).isInstanceOf(WouldRun.class);
    assertThat(run).extracting(one -> one.record().offset()).startsWith(2L, 3L);
  }

  private void run(MockConsumer<byte[], byte[]> consumer) {
    Health health = new Health();
    Halt halt = why -> {};
    Lifecycle lifecycle = new Lifecycle(Duration.ofSeconds(20));
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", "127.0.0.1:1"));
        Watchdog watchdog = new Watchdog(health, halt);
        ModelThread model = new ModelThread("test");
        CarefulReading careful =
            new CarefulReading(
                WorkerBench.clients("127.0.0.1:1", GroupProtocol.CLASSIC)
                    .rawBatches(admin, "test"))) {
      Session session =
          new Session(
              WorkerBench.options(
                  new WorkerBench.Topics("in", "out", "dlq", "group"),
                  GroupProtocol.CLASSIC,
                  "a",
                  4,
                  WorkerBench.QUICK),
              consumer,
              new MockProducer<>(
                  /* autoComplete= */ true,
                  /* partitioner= */ null,
                  new ByteArraySerializer(),
                  new ByteArraySerializer()),
              candidates -> {
                run.addAll(candidates);
                throw new WouldRun();
              },
              model,
              new BetweenBatches(watchdog, Duration.ofSeconds(60), halt),
              new ModelTrouble(5),
              lifecycle,
              health,
              new WorkerMetrics(new SimpleMeterRegistry(), "test"),
              new Backoff(Duration.ofMillis(1), Duration.ofMillis(1)),
              halt,
              careful,
              new BrokerWatch(admin, health, Duration.ofSeconds(60), Duration.ofMillis(10)),
              new StalledPartitions(
                  consumer, read -> Map.of(), Duration.ofSeconds(60), new HashMap<>(), health),
              new QueueLag(consumer, read -> Map.of(), Duration.ofSeconds(60), System::nanoTime),
              new OwnMarks(),
              TransactionHook.NONE,
              assigned -> {},
              /* urgentFirst= */ false);
      session.run();
    }
  }

  /** Stands at offset 5 of one partition whose log is 2 to 5; it was another log before. */
  private static final class CutOff extends MockConsumer<byte[], byte[]> {
    CutOff(Map<TopicPartition, OffsetAndMetadata> divergent) {
      super("none");
      updateBeginningOffsets(Map.of(STAYS, 2L));
      updateEndOffsets(Map.of(STAYS, 6L));
      schedulePollTask(() -> rebalance(List.of(STAYS)));
      schedulePollTask(
          () -> {
            for (int offset = 2; offset < 6; offset++) {
              addRecord(
                  new ConsumerRecord<>(
                      STAYS.topic(),
                      STAYS.partition(),
                      offset,
                      WorkerBench.bytes("k"),
                      WorkerBench.bytes("v")));
            }
            throw new LogTruncationException(Map.of(STAYS, 5L), divergent);
          });
    }
  }

  /** Gives two partitions with two records each; a commit finds that the group rebalances. */
  private static final class Group extends MockConsumer<byte[], byte[]> {
    private final List<List<TopicPartition>> next;
    private boolean refused;

    Group(List<List<TopicPartition>> next) {
      super("none");
      this.next = next;
      updateBeginningOffsets(Map.of(GOES, 0L, STAYS, 0L));
      schedulePollTask(
          () -> {
            rebalance(List.of(GOES, STAYS));
            for (TopicPartition partition : List.of(GOES, STAYS)) {
              for (int offset = 0; offset < 2; offset++) {
                addRecord(
                    new ConsumerRecord<>(
                        partition.topic(),
                        partition.partition(),
                        offset,
                        WorkerBench.bytes("k"),
                        WorkerBench.bytes("v")));
              }
            }
          });
    }

    /** The first offsets, which are committed as a partition is assigned, are left out. */
    @Override
    public synchronized void commitSync(
        Map<TopicPartition, OffsetAndMetadata> offsets, Duration timeout) {
      boolean begun = offsets.values().stream().anyMatch(one -> !one.metadata().isEmpty());
      if (begun && !refused) {
        refused = true;
        schedulePollTask(() -> next.forEach(this::rebalance));
        throw new RebalanceInProgressException("a member has joined");
      }
      super.commitSync(offsets, timeout);
    }
  }
}
