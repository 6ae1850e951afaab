package dev.whence.embedded;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.api.io.TempDir;

/** The twin of {@link KafkaContainerIT} in this JVM. */
@TestInstance(Lifecycle.PER_CLASS)
class EmbeddedKafkaContractIT extends KafkaContract {
  private EmbeddedBroker broker;

  @BeforeAll
  void open(@TempDir Path directory) throws IOException {
    broker = EmbeddedBroker.open(directory);
  }

  @AfterAll
  void close() throws IOException {
    broker.close();
  }

  @Override
  String bootstrapServers() {
    return broker.bootstrapServers();
  }
}
