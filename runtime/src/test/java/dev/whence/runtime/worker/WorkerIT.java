package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.worker.WorkerBench.Topics;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class WorkerIT {
  private final Health health = new Health();
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void everyRecordGetsItsResultOnce(GroupProtocol protocol) throws Exception {
    WorkerBench bench = WorkerBench.shared();
    Topics topics = bench.topics();
    bench.produce(topics, 200, i -> WorkerBench.bytes("v" + i));
    try (Worker worker = worker(bench, topics, protocol, "a", EchoStage.echo(topics.out()))) {
      worker.start();
      await()
          .atMost(Duration.ofSeconds(30))
          .untilAsserted(
              () -> assertThat(bench.counts(topics.out())).isEqualTo(WorkerBench.once(200)));
      assertThat(health.isReady()).isTrue();
    }
    assertThat(bench.counts(topics.dlq())).isEmpty();
  }

  private Worker worker(
      WorkerBench bench, Topics topics, GroupProtocol protocol, String instance, Stage stage) {
    return new Worker(
        WorkerBench.options(topics, protocol, instance, 32, WorkerBench.QUICK),
        stage,
        bench.clients(),
        health,
        meters,
        why -> {
          throw new AssertionError(why);
        });
  }
}
