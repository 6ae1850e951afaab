package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.kafka.UrgentPartitions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Six partitions, of which two are read before the others. */
class WorkerUrgentIT {
  private static final UrgentPartitions PARTITIONS = new UrgentPartitions(WorkerCluster.PARTITIONS);
  private static final int BATCH = 4;
  private static final Duration LONGEST = Duration.ofMinutes(2);

  private WorkerCluster cluster;
  private WorkerCluster.Topics topics;
  private final List<String> ran = new CopyOnWriteArrayList<>();

  @BeforeEach
  void open() throws Exception {
    cluster = WorkerCluster.shared();
    topics = cluster.topics();
  }

  /** An echo whose urgent records come first. */
  private Stage stage(Runnable beforeEach) {
    return urgentFirst(
        new EchoStage(
            topics.out(),
            record -> {
              beforeEach.run();
              ran.add(WorkerCluster.text(record.key()));
              return EchoStage.written(topics.out(), record);
            }));
  }

  private static Stage urgentFirst(EchoStage echo) {
    return new ForwardingStage(echo) {
      @Override
      public boolean urgentFirst() {
        return true;
      }
    };
  }

  private void send(String name, int count, boolean urgent) throws Exception {
    List<Future<?>> sent = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer()) {
      for (int i = 0; i < count; i++) {
        byte[] key = WorkerCluster.bytes(name + i);
        sent.add(
            producer.send(
                new ProducerRecord<>(topics.in(), PARTITIONS.of(key, urgent), key, new byte[1])));
      }
      for (Future<?> one : sent) {
        one.get(30, TimeUnit.SECONDS);
      }
    }
  }

  private RunningWorker start(GroupProtocol protocol, Stage stage) {
    return RunningWorker.start(
        cluster,
        topics,
        protocol,
        "a",
        stage,
        TransactionHook.NONE,
        options -> WorkerCluster.records(options, BATCH));
  }

  private static Map<String, Integer> once(String name, int count) {
    Map<String, Integer> once = new HashMap<>();
    for (int i = 0; i < count; i++) {
      once.put(name + i, 1);
    }
    return once;
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void ofABacklogEveryUrgentRecordIsRunBeforeAnyOther(GroupProtocol protocol) throws Exception {
    send("other", 60, false);
    send("urgent", 20, true);
    try (RunningWorker running = start(protocol, stage(() -> {}))) {
      await().atMost(LONGEST).until(() -> cluster.committedAll(topics) == 80);
      assertThat(running.health.isAlive()).isTrue();
    }
    assertThat(ran).hasSize(80);
    assertThat(ran.subList(0, 20)).allMatch(key -> key.startsWith("urgent"));
    Map<String, Integer> all = once("other", 60);
    all.putAll(once("urgent", 20));
    assertThat(cluster.counts(topics.out())).isEqualTo(all);
  }

  /** Else nothing that could show that the model works is ever run. */
  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void urgentRecordsOnWhichTheModelFailsLetOthersShowThatItWorks(GroupProtocol protocol)
      throws Exception {
    send("urgent", 6, true);
    send("other", 4, false);
    EchoStage failsOnUrgent =
        new EchoStage(
            topics.out(),
            record -> {
              if (WorkerCluster.text(record.key()).startsWith("urgent")) {
                throw new IllegalStateException("bad");
              }
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker running = start(protocol, urgentFirst(failsOnUrgent))) {
      await().atMost(LONGEST).until(() -> cluster.committedAll(topics) == 10);
      assertThat(running.health.isAlive()).isTrue();
    }
    assertThat(cluster.read(topics.dlq())).hasSize(6);
    assertThat(cluster.counts(topics.out())).containsAllEntriesOf(once("other", 4));
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void anUrgentRecordOvertakesTheBacklogThatIsBeingRun(GroupProtocol protocol) throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    send("other", 200, false);
    Stage held =
        stage(
            () -> {
              begun.countDown();
              try {
                assertThat(goOn.await(LONGEST.toSeconds(), TimeUnit.SECONDS)).isTrue();
                Thread.sleep(100); // else it might come from the broker after all of them
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
            });
    try (RunningWorker running = start(protocol, held)) {
      assertThat(begun.await(LONGEST.toSeconds(), TimeUnit.SECONDS)).isTrue();
      send("urgent", 1, true); // while the first batch is at its first record
      goOn.countDown();
      await().atMost(LONGEST).until(() -> ran.contains("urgent0"));
      assertThat(running.health.isAlive()).isTrue();
    }
    // After the batch that was running, or a few more where this machine is busy; not after 50.
    assertThat(ran.indexOf("urgent0")).isPositive().isLessThanOrEqualTo(5 * BATCH);
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void whereNothingUrgentIsThereTheOthersAreRun(GroupProtocol protocol) throws Exception {
    send("other", 40, false);
    try (RunningWorker running = start(protocol, stage(() -> {}))) {
      await().atMost(LONGEST).until(() -> cluster.committedAll(topics) == 40);
      send("urgent", 3, true);
      await().atMost(LONGEST).until(() -> cluster.committedAll(topics) == 43);
      assertThat(running.health.isReady()).isTrue();
    }
    Map<String, Integer> all = once("other", 40);
    all.putAll(once("urgent", 3));
    assertThat(cluster.counts(topics.out())).isEqualTo(all);
  }
}
