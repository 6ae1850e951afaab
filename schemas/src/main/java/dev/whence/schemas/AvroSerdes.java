package dev.whence.schemas;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.avro.Schema;

/**
 * How Confluent's Avro serializer and deserializer are configured wherever Whence uses them. Names
 * only: whoever puts records on a topic brings the classes.
 *
 * <p>Schemas are registered as they stand in {@code src/main/avro}, so the Java serializer must
 * leave out its own properties; subjects are {@code <topic>-value}; a writer uses the schema it was
 * built with, never whatever is latest.
 */
public final class AvroSerdes {
  public static final String SERIALIZER = "io.confluent.kafka.serializers.KafkaAvroSerializer";
  public static final String DESERIALIZER = "io.confluent.kafka.serializers.KafkaAvroDeserializer";

  private static final String URL = "schema.registry.url";
  private static final String AUTO_REGISTER = "auto.register.schemas";

  /** Settings that make up the contract: the same for everyone, open to no override. */
  private static final Map<String, Object> FIXED =
      Map.of(
          "use.latest.version", false,
          "avro.remove.java.properties", true,
          "specific.avro.reader", true,
          "key.subject.name.strategy", "io.confluent.kafka.serializers.subject.TopicNameStrategy",
          "value.subject.name.strategy",
              "io.confluent.kafka.serializers.subject.TopicNameStrategy");

  private AvroSerdes() {}

  /**
   * Configuration of {@link #SERIALIZER} for values. Settings of TLS are the registry's own
   * connection's, whether they are called {@code ssl.*} or {@code schema.registry.ssl.*}.
   *
   * @param registryUrl one or more addresses, with commas between
   * @param autoRegister whether it may register schemas: in the quickstart and in tests only, a
   *     cluster's schemas are registered with {@code whence topics --create}
   * @param registry further settings of the registry client, for example credentials
   * @throws IllegalArgumentException if {@code registry} sets something that is fixed here
   */
  public static Map<String, Object> serializer(
      String registryUrl, boolean autoRegister, Map<String, String> registry) {
    Map<String, Object> configuration = deserializer(registryUrl, registry);
    configuration.put(AUTO_REGISTER, autoRegister);
    return configuration;
  }

  /**
   * Configuration of {@link #DESERIALIZER} for values: generated records, not generic ones.
   *
   * @param registryUrl one or more addresses, with commas between
   * @param registry further settings of the registry client, for example credentials
   * @throws IllegalArgumentException if {@code registry} sets something that is fixed here
   */
  public static Map<String, Object> deserializer(String registryUrl, Map<String, String> registry) {
    List<String> refused =
        new TreeMap<>(registry)
            .keySet().stream()
                .filter(
                    key -> FIXED.containsKey(key) || key.equals(URL) || key.equals(AUTO_REGISTER))
                .toList();
    if (!refused.isEmpty()) {
      throw new IllegalArgumentException(
          "the registry configuration sets "
              + String.join(", ", refused)
              + ", which Whence sets itself; remove it");
    }
    Map<String, Object> configuration = new LinkedHashMap<>();
    // A serializer is configured with the client's settings, where ssl.* is the brokers' TLS.
    registry.forEach(
        (key, value) ->
            configuration.put(key.startsWith("ssl.") ? "schema.registry." + key : key, value));
    configuration.putAll(FIXED);
    configuration.put(URL, registryUrl);
    return configuration;
  }

  /** Whether one of the addresses, with commas between, holds a user or a password. */
  public static boolean hasUserInfo(String registryUrls) {
    for (String url : registryUrls.split(",", -1)) {
      int authority = url.indexOf("://") < 0 ? 0 : url.indexOf("://") + 3;
      int path = url.indexOf('/', authority);
      if (url.substring(authority, path < 0 ? url.length() : path).contains("@")) {
        return true;
      }
    }
    return false;
  }

  /** The schema as it is registered: without the properties that only Java's generator reads. */
  public static Schema published(Schema schema) {
    return PublishedSchema.of(schema);
  }
}
