package dev.whence.producer;

import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * How Kafka's producer is set up.
 *
 * @param producer configuration, serializers included
 * @param topic where responses go
 * @param instanceId name of this process
 */
record ProducerSettings(Map<String, Object> producer, Topic topic, String instanceId) {
  /** Longest time that Kafka's producer may hold the sending thread without metadata. */
  private static final int MAX_BLOCK_MS = 5_000;

  /** What the SDK promises hangs on these. */
  private static final List<String> OWNED =
      List.of(
          ProducerConfig.ACKS_CONFIG,
          ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG,
          ProducerConfig.RETRIES_CONFIG,
          ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG,
          ProducerConfig.MAX_BLOCK_MS_CONFIG,
          ProducerConfig.MAX_REQUEST_SIZE_CONFIG,
          ProducerConfig.TRANSACTIONAL_ID_CONFIG,
          ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG,
          ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG);

  static ProducerSettings of(
      Map<String, String> kafka,
      String registryUrl,
      Map<String, String> registry,
      boolean autoRegister,
      String topicPrefix,
      String instanceId) {
    TreeSet<String> refused = new TreeSet<>(kafka.keySet());
    refused.retainAll(OWNED);
    if (!refused.isEmpty()) {
      throw new IllegalArgumentException(
          "the Kafka settings have "
              + String.join(", ", refused)
              + ", which the SDK sets itself; remove it");
    }
    Topic topic = new Topics(topicPrefix).responses();
    Map<String, Object> all = new LinkedHashMap<>();
    all.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, "zstd");
    all.put(ProducerConfig.LINGER_MS_CONFIG, 5);
    all.putAll(kafka);
    all.putAll(serializer(registryUrl, autoRegister, registry));
    all.put(ProducerConfig.ACKS_CONFIG, "all");
    all.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
    // The queue bounds what waits, not time: responses wait for a broker as long as there is room.
    all.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, Integer.MAX_VALUE);
    all.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, MAX_BLOCK_MS);
    all.put(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, topic.maxMessageBytes());
    all.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
    all.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, AvroSerdes.SERIALIZER);
    check(all);
    return new ProducerSettings(Map.copyOf(all), topic, instanceId);
  }

  /** The serializer shares the producer's configuration, so its settings must not be Kafka's. */
  private static Map<String, Object> serializer(
      String registryUrl, boolean autoRegister, Map<String, String> registry) {
    Map<String, Object> all = AvroSerdes.serializer(registryUrl, autoRegister, registry);
    TreeSet<String> refused = new TreeSet<>(all.keySet());
    refused.retainAll(ProducerConfig.configNames());
    if (!refused.isEmpty()) {
      throw new IllegalArgumentException(
          "the registry settings have "
              + String.join(", ", refused)
              + ", which would change the connection to Kafka; give it among the Kafka settings");
    }
    return all;
  }

  /** Finds now what would otherwise stop the sending thread later. */
  private static void check(Map<String, Object> all) {
    try {
      // Kafka's own class, since it also knows what settings do not go together.
      ProducerConfig parsed = new ProducerConfig(all);
      parsed.getClass(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG);
    } catch (ConfigException e) {
      if (String.valueOf(e.getMessage()).contains(AvroSerdes.SERIALIZER)) {
        throw new IllegalArgumentException(
            "Confluent's serializer is not on the class path: add"
                + " io.confluent:kafka-avro-serializer to the application",
            e);
      }
      throw new IllegalArgumentException(
          "Kafka's producer refuses its settings: " + e.getMessage(), e);
    }
  }
}
