package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.WorkerBench.Topics;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
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

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aBrokerThatRestartsLosesAndDoublesNothing(GroupProtocol protocol) throws Exception {
    brokerRestarts(protocol, 300);
  }

  static void brokerRestarts(GroupProtocol protocol, int records) throws Exception {
    WorkerBench bench = WorkerBench.shared();
    Topics topics = bench.topics();
    bench.produce(topics, records, i -> WorkerBench.bytes("v" + i));
    EchoStage slow =
        new EchoStage(
            topics.out(),
            record -> {
              LockSupport.parkNanos(5_000_000);
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker a = RunningWorker.start(bench, topics, protocol, "a", slow)) {
      await().atMost(Duration.ofSeconds(30)).until(() -> a.count("whence.batches") >= 2);
      restart(bench);
      await()
          .atMost(Duration.ofMinutes(2))
          .untilAsserted(
              () ->
                  assertThat(bench.read(topics.out()))
                      .as(
                          () ->
                              "not ready: "
                                  + a.health.reasons()
                                  + ", committed: "
                                  + bench.committed(topics))
                      .hasSizeGreaterThanOrEqualTo(records));
      assertThat(bench.counts(topics.out())).isEqualTo(WorkerBench.once(records));
      assertThat(bench.counts(topics.dlq())).isEmpty();
      await().atMost(Duration.ofSeconds(30)).until(a.health::isReady);
    }
  }

  private static void restart(WorkerBench bench) throws IOException {
    bench.broker.stop();
    bench.broker.start();
  }
}
