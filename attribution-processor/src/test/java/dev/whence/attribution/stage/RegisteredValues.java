package dev.whence.attribution.stage;

import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.schemas.Topic;
import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import java.io.IOException;
import java.nio.file.Path;

/** Values of topics whose schemas a registry in this process knows; there is no broker. */
final class RegisteredValues implements AutoCloseable {
  private final EmbeddedRegistry registry;
  final AvroValues values;

  RegisteredValues(Path directory, Topic... topics) throws Exception {
    registry = EmbeddedRegistry.open(directory);
    values = new AvroValues(Connection.of("", registry.url()));
    try (CachedSchemaRegistryClient client =
        new CachedSchemaRegistryClient(registry.url(), topics.length)) {
      for (Topic topic : topics) {
        client.register(topic.subject(), new AvroSchema(topic.value().orElseThrow()));
      }
    }
  }

  @Override
  public void close() throws IOException {
    values.close();
    registry.close();
  }
}
