package dev.whence.influence.stage;

import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.schemas.Topics;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a merger says of its brokers: Kafka Streams goes on without a word where they are away. */
class MergerBrokersIT {
  private static final Duration LONG = Duration.ofMinutes(2);

  @Test
  void aMergerWhoseBrokersNoLongerAnswerIsNotReadyUntilTheyDo(@TempDir Path directory)
      throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory.resolve("broker"));
        EmbeddedRegistry registry = EmbeddedRegistry.open(directory.resolve("registry"))) {
      Connection connection = Connection.of(broker.bootstrapServers(), registry.url());
      new TopicAdmin(new Clients(connection), new Topics("t.").all()).create();
      Map<String, String> settings =
          Map.of(
              "kafka.bootstrap.servers", broker.bootstrapServers(),
              "registry.url", registry.url(),
              "topics.prefix", "t.",
              "roles", "merge",
              "instance.id", "merger",
              "data.dir", directory.resolve("data").toString(),
              "http.port", "-1");
      try (InfluenceProcessor processor =
          InfluenceProcessor.start(InfluenceConfig.read(Settings.of(settings)), Map.of())) {
        Health health = processor.health();
        await().atMost(LONG).until(health::isReady);
        broker.stop();
        await().atMost(LONG).until(() -> says(health, "the brokers do not answer"));
        broker.start();
        await().atMost(LONG).until(health::isReady);
      }
    }
  }

  private static boolean says(Health health, String what) {
    return health.reasons().getOrDefault("merge brokers", "").startsWith(what);
  }
}
