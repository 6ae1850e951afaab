package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What takes as long as Kafka's own patience. */
class WorkerClientsSoak {
  @Test
  void aWorkerEndsInTimeAlsoWhereTheBrokersAreGone(@TempDir Path directory) throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory)) {
      WorkerCluster cluster = WorkerCluster.of(broker);
      Topics topics = cluster.topics(1);
      RunningWorker worker =
          RunningWorker.start(
              cluster, topics, GroupProtocol.CONSUMER, "a", EchoStage.echo(topics.out()));
      cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
      await().atMost(Duration.ofSeconds(30)).until(() -> cluster.read(topics.out()).size() == 1);
      broker.stop();
      await().atMost(Duration.ofSeconds(60)).until(() -> !worker.health.isReady());
      long began = System.nanoTime();
      worker.close();
      assertThat(worker.worker.ended()).isDone();
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(30));
      broker.start();
    }
  }
}
