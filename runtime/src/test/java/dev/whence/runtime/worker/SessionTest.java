package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.BatchLimits;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.WorkerMetrics;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.LogTruncationException;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
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
  private static final int BATCH = 4;

  /** A record on which the model fails waits longer for a decision than a test takes. */
  private static final FailurePolicy UNDECIDED =
      new FailurePolicy(
          WorkerCluster.QUICK.attempts(),
          WorkerCluster.QUICK.modelFailures(),
          Duration.ofMinutes(5),
          WorkerCluster.QUICK.hangFactor(),
          WorkerCluster.QUICK.hangAtLeast(),
          WorkerCluster.QUICK.loadTimeout(),
          WorkerCluster.QUICK.backoffFirst(),
          WorkerCluster.QUICK.backoffMost());

  /** Nobody can go on to run a batch here: what was to be run is all that a test asks. */
  private static final class WouldRun extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  private final List<BatchRun.Candidate> run = new ArrayList<>();
  private final Health health = new Health();
  private final Map<TopicPartition, StalledPartitions.Rescue> stood = new HashMap<>();

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

  /** Else what was read of the old log would be committed as if it were of the new one. */
  @Test
  void norIsWhatWasReadOfALogThatEndsBeforeIt() {
    assertThatThrownBy(() -> run(new MadeAnew())).isInstanceOf(WouldRun.class);
    assertThat(run)
        .extracting(one -> one.record().offset() + WorkerCluster.text(one.record().value()))
        .containsExactly("2new");
  }

  @Test
  void behindARecordThatWaitsForADecisionNoMoreIsReadThanThereIsRoomForAlsoIfItIsUrgent() {
    Lifecycle lifecycle = new Lifecycle(Duration.ofSeconds(20));
    Endless consumer = new Endless(lifecycle);
    runStage(consumer, new FirstFails(), lifecycle, /* urgentFirst= */ true);
    // Twice as many as tell a bad record from a broken model, and what two polls bring.
    assertThat(consumer.given)
        .isGreaterThan(BATCH)
        .isLessThanOrEqualTo(2 * WorkerCluster.QUICK.modelFailures() + 2 * Endless.OF_A_POLL);
  }

  /** The polls of a busy member are never empty. */
  @Test
  void aPartitionThatIsReadAgainIsReadyThoughThereIsAlwaysMoreToRead() {
    stood.put(STAYS, StalledPartitions.Rescue.first(0, System.nanoTime()));
    health.notReady("partitions", "in-1 is not read");
    Lifecycle lifecycle = new Lifecycle(Duration.ofSeconds(20));
    runStage(
        new Endless(lifecycle),
        new EchoStage("out", record -> new Outcome.Written(List.of())),
        lifecycle,
        /* urgentFirst= */ false);
    assertThat(stood).isEmpty();
    assertThat(health.reasons()).doesNotContainKey("partitions");
  }

  /** Of the other one no record needs the model, so that nothing shows that it works. */
  @Test
  void aPartitionThatCanNotBeReadOnIsNotReadyUntilItIsThoughTheOtherGoesOn() {
    AtomicBoolean refused = new AtomicBoolean(true);
    List<Map<String, String>> said = new ArrayList<>();
    runRefusing(
        refused,
        (consumer, lifecycle) -> {
          if (refused.get() && health.reasons().containsKey("reading")) {
            said.add(health.reasons());
            refused.set(consumer.position(GOES) < 10 * BATCH);
          } else if (!refused.get() && health.isReady()) {
            lifecycle.stop();
          }
        });
    assertThat(said)
        .hasSizeGreaterThan(1)
        .containsOnly(Map.of("reading", "in-1 can not be read on: no schema"));
    assertThat(health.reasons()).isEmpty();
  }

  @Test
  void whereAnotherMemberHasItThatOneSaysSo() {
    runRefusing(
        new AtomicBoolean(true),
        (consumer, lifecycle) -> {
          if (health.reasons().containsKey("reading")) {
            consumer.rebalance(List.of(GOES));
          } else if (consumer.assignment().equals(Set.of(GOES))) {
            lifecycle.stop();
          }
        });
    assertThat(health.reasons()).isEmpty();
  }

  /** One partition's schema is refused for as long as that; what is read of both needs no model. */
  private void runRefusing(
      AtomicBoolean refused, BiConsumer<MockConsumer<byte[], byte[]>, Lifecycle> beforePoll) {
    Lifecycle lifecycle = new Lifecycle(Duration.ofSeconds(20));
    Stage stage =
        new ForwardingStage(EchoStage.echo("out")) {
          @Override
          public Work prepare(SourceRecord record) {
            if (refused.get() && record.partition() == STAYS.partition()) {
              throw new EnvironmentException("no schema");
            }
            return Work.done(new Outcome.Written(List.of()));
          }
        };
    runStage(new ReadAgain(lifecycle, beforePoll), stage, lifecycle, /* urgentFirst= */ false);
  }

  private void runStage(
      MockConsumer<byte[], byte[]> consumer,
      Stage stage,
      Lifecycle lifecycle,
      boolean urgentFirst) {
    ModelTrouble trouble = new ModelTrouble(WorkerCluster.QUICK.modelFailures());
    try (Watchdog watchdog = new Watchdog(new Health(), why -> {})) {
      run(
          consumer,
          candidates ->
              new BatchRun(
                  stage,
                  new Finisher(
                      stage, "dlq", new RecordSizes(Map.of("out", 1 << 20, "dlq", 1 << 20))),
                  trouble,
                  watchdog,
                  why -> {},
                  new BatchLimits(BATCH, 32L << 20, Duration.ofSeconds(30)),
                  UNDECIDED,
                  candidates),
          trouble,
          lifecycle,
          urgentFirst);
    }
  }

  private void run(MockConsumer<byte[], byte[]> consumer) {
    run(
        consumer,
        candidates -> {
          run.addAll(candidates);
          throw new WouldRun();
        },
        new ModelTrouble(5),
        new Lifecycle(Duration.ofSeconds(20)),
        /* urgentFirst= */ false);
  }

  private void run(
      MockConsumer<byte[], byte[]> consumer,
      Function<List<BatchRun.Candidate>, BatchRun> batches,
      ModelTrouble trouble,
      Lifecycle lifecycle,
      boolean urgentFirst) {
    Halt halt = why -> {};
    MockProducer<byte[], byte[]> producer =
        new MockProducer<>(
            /* autoComplete= */ true,
            /* partitioner= */ null,
            new ByteArraySerializer(),
            new ByteArraySerializer());
    producer.initTransactions();
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", "127.0.0.1:1"));
        Watchdog watchdog = new Watchdog(health, halt);
        ModelThread model = new ModelThread("test");
        CarefulReading careful =
            new CarefulReading(
                WorkerCluster.clients("127.0.0.1:1", GroupProtocol.CLASSIC)
                    .rawBatches(admin, "test"))) {
      Session session =
          new Session(
              WorkerCluster.options(
                  new WorkerCluster.Topics("in", "out", "dlq", "group"),
                  GroupProtocol.CLASSIC,
                  "a",
                  BATCH,
                  UNDECIDED),
              consumer,
              producer,
              batches,
              model,
              new BetweenBatches(watchdog, Duration.ofSeconds(60), halt),
              trouble,
              lifecycle,
              health,
              new WorkerMetrics(new SimpleMeterRegistry(), "test"),
              new Backoff(Duration.ofMillis(1), Duration.ofMillis(1)),
              halt,
              careful,
              new BrokerWatch(admin, health, Duration.ofSeconds(60), Duration.ofMillis(10)),
              new StalledPartitions(
                  consumer, read -> Map.of(), Duration.ofSeconds(60), stood, health),
              new QueueLag(consumer, read -> Map.of(), Duration.ofSeconds(60), System::nanoTime),
              new OwnMarks(),
              TransactionHook.NONE,
              assigned -> {},
              urgentFirst);
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
                      WorkerCluster.bytes("k"),
                      WorkerCluster.bytes("v")));
            }
            throw new LogTruncationException(Map.of(STAYS, 5L), divergent);
          });
    }
  }

  /** Three records were read; then the log is another one, of which offset 2 is all there is. */
  private static final class MadeAnew extends MockConsumer<byte[], byte[]> {
    MadeAnew() {
      super("none");
      updateBeginningOffsets(Map.of(STAYS, 2L));
      schedulePollTask(() -> rebalance(List.of(STAYS)));
      schedulePollTask(
          () -> {
            for (int offset = 2; offset < 5; offset++) {
              add(offset, "old");
            }
          });
      schedulePollTask(
          () -> {
            updateEndOffsets(Map.of(STAYS, 2L));
            add(2, "new");
            throw new OffsetOutOfRangeException(Map.of(STAYS, 5L));
          });
    }

    private void add(long offset, String value) {
      addRecord(
          new ConsumerRecord<>(
              STAYS.topic(),
              STAYS.partition(),
              offset,
              WorkerCluster.bytes("k"),
              WorkerCluster.bytes(value)));
    }
  }

  /** The model fails on the first urgent record; all others need none. */
  private static final class FirstFails extends ForwardingStage {
    FirstFails() {
      super(
          new EchoStage(
              "out",
              record -> {
                throw new IllegalStateException("bad");
              }));
    }

    @Override
    public Work prepare(SourceRecord record) {
      return record.partition() == STAYS.partition() && record.offset() == 0
          ? super.prepare(record)
          : Work.done(new Outcome.Written(List.of()));
    }
  }

  /** An urgent partition and another one that always have more, for two seconds. */
  private static final class Endless extends MockConsumer<byte[], byte[]> {
    static final int OF_A_POLL = 8;

    private final Lifecycle lifecycle;
    private Optional<Long> began = Optional.empty();
    private final Map<TopicPartition, Long> written = new HashMap<>();
    private int given;

    Endless(Lifecycle lifecycle) {
      super("none");
      this.lifecycle = lifecycle;
      updateBeginningOffsets(Map.of(GOES, 0L, STAYS, 0L));
      updateEndOffsets(Map.of(GOES, 0L, STAYS, 0L)); // for the lag of urgent ones
      schedulePollTask(() -> rebalance(List.of(GOES, STAYS)));
    }

    @Override
    public synchronized ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
      if (began.isEmpty()) {
        began = Optional.of(System.nanoTime()); // a busy machine takes long to come to this
      } else if (System.nanoTime() - began.get() > Duration.ofSeconds(2).toNanos()) {
        lifecycle.stop();
      }
      assignment().forEach(this::extend);
      ConsumerRecords<byte[], byte[]> polled = super.poll(timeout);
      given += polled.records(STAYS).size();
      return polled;
    }

    private void extend(TopicPartition partition) {
      long end = position(partition) + OF_A_POLL;
      for (long offset = written.getOrDefault(partition, 0L); offset < end; offset++) {
        addRecord(record(partition, offset));
        written.put(partition, offset + 1);
      }
    }
  }

  /** Two partitions that always have more, from wherever they are read; for 20 seconds at most. */
  private static final class ReadAgain extends MockConsumer<byte[], byte[]> {
    private final Lifecycle lifecycle;
    private final BiConsumer<MockConsumer<byte[], byte[]>, Lifecycle> beforePoll;
    private final long began = System.nanoTime();

    ReadAgain(Lifecycle lifecycle, BiConsumer<MockConsumer<byte[], byte[]>, Lifecycle> beforePoll) {
      super("none");
      this.lifecycle = lifecycle;
      this.beforePoll = beforePoll;
      updateBeginningOffsets(Map.of(GOES, 0L, STAYS, 0L));
      schedulePollTask(() -> rebalance(List.of(GOES, STAYS)));
    }

    /** No poll lasts; that of the mock would wait for a poll that waits for who wakes it. */
    @Override
    public void wakeup() {}

    @Override
    public synchronized ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
      if (System.nanoTime() - began > Duration.ofSeconds(20).toNanos()) {
        lifecycle.stop();
      }
      if (!assignment().isEmpty()) {
        beforePoll.accept(this, lifecycle);
      }
      var unused = super.poll(Duration.ZERO); // what is scheduled
      Map<TopicPartition, List<ConsumerRecord<byte[], byte[]>>> polled = new HashMap<>();
      Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
      for (TopicPartition partition : assignment()) {
        if (!paused().contains(partition)) {
          long position = position(partition);
          polled.put(partition, List.of(record(partition, position)));
          next.put(partition, new OffsetAndMetadata(position + 1));
          seek(partition, position + 1);
        }
      }
      return new ConsumerRecords<>(polled, next);
    }
  }

  private static ConsumerRecord<byte[], byte[]> record(TopicPartition partition, long offset) {
    return new ConsumerRecord<>(
        partition.topic(),
        partition.partition(),
        offset,
        WorkerCluster.bytes("k"),
        WorkerCluster.bytes("v"));
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
                addRecord(record(partition, offset));
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
