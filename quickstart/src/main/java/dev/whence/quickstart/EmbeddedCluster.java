package dev.whence.quickstart;

import dev.whence.embedded.DataDirectory;
import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.schemas.Topics;
import java.io.IOException;
import java.util.Map;

/**
 * Broker and registry under one data directory, with the topics of the catalogue and their schemas.
 */
final class EmbeddedCluster implements AutoCloseable {
  private final DataDirectory directory;
  private final EmbeddedBroker broker;
  private final EmbeddedRegistry registry;

  private EmbeddedCluster(
      DataDirectory directory, EmbeddedBroker broker, EmbeddedRegistry registry) {
    this.directory = directory;
    this.broker = broker;
    this.registry = registry;
  }

  /**
   * Starts both and creates what is missing.
   *
   * @throws IOException in one sentence: the directory is in use, a port is taken
   * @throws dev.whence.runtime.worker.EnvironmentException if topics or schemas can not be created
   */
  static EmbeddedCluster open(QuickstartOptions options, Topics topics) throws IOException {
    DataDirectory directory = DataDirectory.acquire(options.dataDir());
    try {
      EmbeddedRegistry registry =
          EmbeddedRegistry.open(directory.path().resolve("registry"), options.registryPort());
      try {
        EmbeddedBroker broker =
            EmbeddedBroker.open(
                directory.path().resolve("kafka"), options.bootstrapPort(), Map.of());
        EmbeddedCluster cluster = new EmbeddedCluster(directory, broker, registry);
        try {
          var unused = new TopicAdmin(new Clients(cluster.connection()), topics.all()).create();
          return cluster;
        } catch (RuntimeException e) {
          broker.close();
          throw e;
        }
      } catch (IOException | RuntimeException e) {
        registry.close();
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      directory.close();
      throw e;
    }
  }

  Connection connection() {
    return Connection.of(broker.bootstrapServers(), registry.url());
  }

  @Override
  public void close() throws IOException {
    try (directory;
        registry) {
      broker.close();
    }
  }
}
