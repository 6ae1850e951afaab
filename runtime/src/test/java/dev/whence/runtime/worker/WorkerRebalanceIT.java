package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.io.IOException;
import java.time.Duration;
import java.util.Collections;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Reduced twin of {@link WorkerRebalanceSoak}. */
class WorkerRebalanceIT {
  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void membersThatJoinAndLeaveInMidBatchLoseAndDoubleNothing(GroupProtocol protocol)
      throws Exception {
    RebalanceScenarios.joinsAndLeavesInMidBatch(protocol, 240);
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aPartitionThatGoesAndComesBackWithinOneBatchIsDoneByTheOther(GroupProtocol protocol)
      throws Exception {
    RebalanceScenarios.partitionGoesAndComesBackWithinOneBatch(protocol, 120);
  }

  /** What a stage was told it has, and what it was given that it had not been told of. */
  private static final class Told extends ForwardingStage {
    private final Set<String> strangers = ConcurrentHashMap.newKeySet();
    private volatile Set<Integer> partitions = Set.of();

    Told(String out) {
      super(EchoStage.echo(out));
    }

    @Override
    public void assigned(Set<Integer> now) {
      partitions = now;
    }

    @Override
    public Work prepare(SourceRecord record) {
      if (!partitions.contains(record.partition())) {
        strangers.add(record.place());
      }
      return super.prepare(record);
    }
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aStageIsToldOfItsPartitionsBeforeTheirRecordsComeAndWhenTheyGo(GroupProtocol protocol)
      throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    cluster.produce(topics, 40, i -> WorkerCluster.bytes("v" + i));
    Set<Integer> all =
        IntStream.range(0, WorkerCluster.PARTITIONS).boxed().collect(Collectors.toSet());
    Told first = new Told(topics.out());
    Told second = new Told(topics.out());
    try (RunningWorker a = RunningWorker.start(cluster, topics, protocol, "a", first)) {
      await().atMost(Duration.ofSeconds(60)).until(() -> first.partitions.equals(all));
      await().atMost(Duration.ofSeconds(60)).until(() -> cluster.read(topics.out()).size() == 40);
      try (RunningWorker b = RunningWorker.start(cluster, topics, protocol, "b", second)) {
        await()
            .atMost(Duration.ofSeconds(60))
            .until(
                () ->
                    !second.partitions.isEmpty()
                        && Collections.disjoint(first.partitions, second.partitions)
                        && first.partitions.size() + second.partitions.size() == all.size());
        cluster.produce(topics, 40, i -> WorkerCluster.bytes("w" + i));
        await().atMost(Duration.ofSeconds(60)).until(() -> cluster.read(topics.out()).size() == 80);
        assertThat(b.worker.ended()).isNotDone();
      }
      await().atMost(Duration.ofSeconds(60)).until(() -> first.partitions.equals(all));
      assertThat(first.strangers).isEmpty();
      assertThat(second.strangers).isEmpty();
      assertThat(a.worker.ended()).isNotDone();
    }
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aBrokerThatRestartsLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    brokerRestarts(protocol, 300);
  }

  static void brokerRestarts(GroupProtocol protocol, int records) throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    cluster.produce(topics, records, i -> WorkerCluster.bytes("v" + i));
    EchoStage slow =
        new EchoStage(
            topics.out(),
            record -> {
              LockSupport.parkNanos(5_000_000);
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker a = RunningWorker.start(cluster, topics, protocol, "a", slow)) {
      await().atMost(Duration.ofSeconds(30)).until(() -> a.count("whence.batches") >= 2);
      restart(cluster);
      await()
          .atMost(Duration.ofMinutes(2))
          .untilAsserted(
              () ->
                  assertThat(cluster.read(topics.out()))
                      .as(
                          () ->
                              "not ready: "
                                  + a.health.reasons()
                                  + ", committed: "
                                  + cluster.committed(topics))
                      .hasSizeGreaterThanOrEqualTo(records));
      assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(records));
      assertThat(cluster.counts(topics.dlq())).isEmpty();
      await().atMost(Duration.ofSeconds(30)).until(a.health::isReady);
    }
  }

  private static void restart(WorkerCluster cluster) throws IOException {
    cluster.broker.stop();
    cluster.broker.start();
  }
}
