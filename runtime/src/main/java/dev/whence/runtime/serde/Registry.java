package dev.whence.runtime.serde;

import dev.whence.runtime.config.Connection;
import dev.whence.schemas.AvroSerdes;
import io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Makes the client of the schema registry. */
public final class Registry {
  private static final int CACHED_SCHEMAS = 1000;

  /**
   * Unless configured. A registry that swallows requests must look like one that is down well
   * before the watchdog takes the model thread for hanging; whoever calls tries again anyway.
   */
  private static final Map<String, String> IMPATIENT =
      Map.of(
          "http.connect.timeout.ms", "5000",
          "http.read.timeout.ms", "5000",
          "max.retries", "0");

  private Registry() {}

  /** A client of the connection's registry, with its credentials. */
  public static SchemaRegistryClient client(Connection connection) {
    List<String> urls =
        Arrays.stream(connection.registryUrl().split(",", -1)).map(String::trim).toList();
    return new CachedSchemaRegistryClient(
        urls, CACHED_SCHEMAS, List.of(new RegistryAvro()), properties(connection));
  }

  /** Configuration of the serializers: the contract's, and the connection's credentials. */
  static Map<String, Object> properties(Connection connection) {
    Map<String, String> registry = new HashMap<>(IMPATIENT);
    registry.putAll(connection.registry().values());
    return AvroSerdes.serializer(connection.registryUrl(), false, registry);
  }
}
