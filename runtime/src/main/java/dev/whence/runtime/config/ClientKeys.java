package dev.whence.runtime.config;

import io.confluent.kafka.schemaregistry.client.SchemaRegistryClientConfig;
import io.confluent.kafka.serializers.AbstractKafkaSchemaSerDeConfig;
import io.confluent.kafka.serializers.KafkaAvroSerializerConfig;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.SaslConfigs;
import org.apache.kafka.common.config.SslConfigs;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The keys that clients know. They take any other, too, and do nothing with it: by a slip in {@code
 * security.protocol} everything goes over the wire as plain text, and nobody hears of it. So a key
 * that is nearly one of theirs is refused. One that is far from all of them may be read by a plugin
 * (an interceptor, a callback handler) or by Kafka Streams, and is only told.
 *
 * @param names all of them
 */
public record ClientKeys(Set<String> names) {
  private static final Logger LOG = LoggerFactory.getLogger(ClientKeys.class);

  /** Two characters exchanged are two edits. */
  private static final int SLIP = 2;

  public ClientKeys {
    names = Set.copyOf(names);
  }

  /** Of Kafka's consumers, producers and admin clients. */
  public static ClientKeys kafka() {
    Set<String> known = new HashSet<>(ConsumerConfig.configNames());
    known.addAll(ProducerConfig.configNames());
    known.addAll(AdminClientConfig.configNames());
    return new ClientKeys(known);
  }

  /** Of Confluent's registry client and serdes; TLS with their prefix or without. */
  public static ClientKeys registry() {
    Set<String> known = new HashSet<>(AbstractKafkaSchemaSerDeConfig.baseConfigDef().names());
    // What they read without having defined it.
    known.addAll(
        List.of(
            SchemaRegistryClientConfig.URL_RANDOMIZE,
            SchemaRegistryClientConfig.MISSING_CACHE_SIZE_CONFIG,
            SchemaRegistryClientConfig.MISSING_ID_CACHE_TTL_CONFIG,
            SchemaRegistryClientConfig.MISSING_VERSION_CACHE_TTL_CONFIG,
            SchemaRegistryClientConfig.MISSING_SCHEMA_CACHE_TTL_CONFIG,
            KafkaAvroSerializerConfig.AVRO_REFLECTION_ALLOW_NULL_CONFIG,
            KafkaAvroSerializerConfig.AVRO_USE_LOGICAL_TYPE_CONVERTERS_CONFIG));
    ConfigDef tls = new ConfigDef();
    SslConfigs.addClientSslSupport(tls);
    for (String name : tls.names()) {
      known.add(name);
      known.add(SchemaRegistryClientConfig.CLIENT_NAMESPACE + name);
    }
    known.add(SaslConfigs.SASL_JAAS_CONFIG); // for credentials of the source SASL_INHERIT
    return new ClientKeys(known);
  }

  /** The key that one which is not known was meant to be, most likely. */
  public Optional<String> meantBy(String key) {
    return names.contains(key) ? Optional.empty() : Spelling.nearest(key, names, SLIP);
  }

  /** Those of some keys that are neither known nor near a known one, in order. */
  public List<String> foreign(Collection<String> keys) {
    return keys.stream()
        .filter(key -> !names.contains(key) && meantBy(key).isEmpty())
        .sorted()
        .toList();
  }

  /** Those of some keys that are known, in order. */
  public List<String> known(Collection<String> keys) {
    return keys.stream().filter(names::contains).sorted().toList();
  }

  /** Tells of keys that no client knows. */
  public static void tell(List<String> foreign) {
    if (!foreign.isEmpty()) {
      LOG.warn(
          "these keys are unknown to Kafka's consumers, producers and admin clients and to the"
              + " registry's client: {}. They are passed on, for plugins and Kafka Streams; check"
              + " their spelling if you meant something else.",
          String.join(", ", foreign));
    }
  }

  /**
   * Tells of keys that only another client knows than the one that gets them.
   *
   * @param from the option they stand in the file of
   * @param to the option of the file that they belong into
   */
  public static void tellMisplaced(List<String> keys, String from, String to) {
    if (!keys.isEmpty()) {
      LOG.warn(
          "these keys in the file for {} belong into the file for {} and have no effect here: {}",
          from,
          to,
          String.join(", ", keys));
    }
  }
}
