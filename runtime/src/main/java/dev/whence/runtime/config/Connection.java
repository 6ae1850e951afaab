package dev.whence.runtime.config;

import dev.whence.schemas.AvroSerdes;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClientConfig;
import io.confluent.kafka.serializers.AbstractKafkaSchemaSerDeConfig;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.SaslConfigs;
import org.apache.kafka.common.config.SslConfigs;

/**
 * How to reach the cluster and the schema registry.
 *
 * @param bootstrapServers host:port, comma separated
 * @param registryUrl of the schema registry
 * @param kafka properties of every Kafka client
 * @param consumer properties of consumers, on top of {@code kafka}
 * @param producer properties of producers, on top of {@code kafka}
 * @param registry properties of the registry client
 */
public record Connection(
    String bootstrapServers,
    String registryUrl,
    ClientProperties kafka,
    ClientProperties consumer,
    ClientProperties producer,
    ClientProperties registry) {

  /** Keys that decide whether records are lost or doubled, with the reason they are refused. */
  private static final Map<String, String> OWNED =
      Map.ofEntries(
          Map.entry("enable.auto.commit", "offsets are committed with the results"),
          Map.entry("auto.offset.reset", "a lost offset must be noticed; use the key start"),
          Map.entry("isolation.level", "only committed records are read"),
          Map.entry("group.id", "use the key group"),
          Map.entry("group.instance.id", "use the key instance.id"),
          Map.entry("group.protocol", "use the key group.protocol without a prefix"),
          Map.entry("partition.assignment.strategy", "it follows from group.protocol"),
          Map.entry("max.poll.records", "use the key batch.max-records"),
          Map.entry("key.deserializer", "records are read as bytes"),
          Map.entry("value.deserializer", "records are read as bytes"),
          Map.entry("key.serializer", "records are written as bytes"),
          Map.entry("value.serializer", "records are written as bytes"),
          Map.entry("transactional.id", "it is made of group and instance.id"),
          Map.entry("transaction.timeout.ms", "it must stay below the time readers may stall"),
          Map.entry("enable.idempotence", "a transaction needs it"),
          Map.entry("acks", "a transaction needs all"),
          Map.entry("max.request.size", "it follows from the topics' message sizes"),
          Map.entry("compression.type", "sizes are computed for the one that is used"),
          Map.entry("compression.zstd.level", "sizes are computed for the level that is used"),
          Map.entry("linger.ms", "a batch is sent when its transaction ends"),
          Map.entry("delivery.timeout.ms", "a send must fail before its transaction does"),
          Map.entry("max.block.ms", "the transaction must not outlast its timeout"),
          Map.entry("buffer.memory", "it follows from the topics' message sizes"),
          Map.entry("client.id", "it is made of group and instance.id"));

  private static final Map<String, String> OWNED_OF_CONSUMER =
      ownedAnd(Map.of("bootstrap.servers", "use the key kafka.bootstrap.servers"));

  private static final Map<String, String> OWNED_OF_PRODUCER =
      ownedAnd(
          Map.of(
              "bootstrap.servers",
              "use the key kafka.bootstrap.servers",
              "request.timeout.ms",
              "a send must fail before its transaction does"));

  private static Map<String, String> ownedAnd(Map<String, String> more) {
    Map<String, String> owned = new TreeMap<>(OWNED);
    owned.putAll(more);
    return Map.copyOf(owned);
  }

  private static final Map<String, String> OWNED_BY_SERDES =
      Map.of(
          "schema.registry.url", "use the key registry.url",
          "auto.register.schemas", "whence topics --create registers schemas",
          "use.latest.version", "a record names the schema it was written with",
          "avro.remove.java.properties", "schemas are registered as they stand",
          "specific.avro.reader", "records are read as generated classes",
          "key.subject.name.strategy", "keys are plain strings",
          "value.subject.name.strategy", "subjects are named after topics");

  /** A connection without any further properties. */
  public static Connection of(String bootstrapServers, String registryUrl) {
    return new Connection(
        bootstrapServers,
        registryUrl,
        ClientProperties.NONE,
        ClientProperties.NONE,
        ClientProperties.NONE,
        ClientProperties.NONE);
  }

  /** This connection with further properties for all Kafka clients and for the registry's. */
  public Connection with(Map<String, String> moreKafka, Map<String, String> moreRegistry) {
    Map<String, String> kafkaRest = new TreeMap<>(moreKafka);
    String bootstrap =
        Optional.ofNullable(kafkaRest.remove("bootstrap.servers")).orElse(bootstrapServers);
    return new Connection(
        bootstrapServers.isEmpty() ? bootstrap : bootstrapServers,
        registryUrl,
        kafka.with(kafkaRest),
        consumer,
        producer,
        registry.with(moreRegistry));
  }

  /** Reads kafka.*, consumer.*, producer.* and registry.*. */
  static Connection read(Settings settings) {
    String bootstrap = settings.required("kafka.bootstrap.servers", "the brokers as host:port");
    String registryUrl = settings.required("registry.url", "the address of the schema registry");
    if (AvroSerdes.hasUserInfo(registryUrl)) {
      settings.problem(
          "registry.url holds a user or a password, which the registry's client would log;"
              + " set registry.basic.auth.credentials.source: USER_INFO and"
              + " registry.basic.auth.user.info instead");
    }
    Set<String> known = new HashSet<>(ConsumerConfig.configNames());
    known.addAll(ProducerConfig.configNames());
    known.addAll(AdminClientConfig.configNames());
    known.remove("bootstrap.servers");
    return new Connection(
        bootstrap,
        registryUrl,
        passThrough(settings, "kafka.", known, OWNED, "bootstrap.servers"),
        passThrough(settings, "consumer.", known, OWNED_OF_CONSUMER, ""),
        passThrough(settings, "producer.", known, OWNED_OF_PRODUCER, ""),
        passThrough(settings, "registry.", registryNames(), OWNED_BY_SERDES, "url"));
  }

  /** What Confluent's client and serdes can be told; TLS with their prefix or without. */
  private static Set<String> registryNames() {
    Set<String> known = new HashSet<>(AbstractKafkaSchemaSerDeConfig.baseConfigDef().names());
    ConfigDef tls = new ConfigDef();
    SslConfigs.addClientSslSupport(tls);
    for (String name : tls.names()) {
      known.add(name);
      known.add(SchemaRegistryClientConfig.CLIENT_NAMESPACE + name);
    }
    known.add(SaslConfigs.SASL_JAAS_CONFIG); // for credentials of the source SASL_INHERIT
    return known;
  }

  private static ClientProperties passThrough(
      Settings settings,
      String prefix,
      Set<String> fromEnvironment,
      Map<String, String> owned,
      String apart) {
    Map<String, String> values =
        new TreeMap<>(
            // Owned keys are taken too: a setting that has no effect must be refused, not ignored.
            settings.under(
                prefix, name -> fromEnvironment.contains(name) || owned.containsKey(name)));
    values.remove(apart);
    values
        .keySet()
        .removeIf(
            key -> {
              String reason = owned.get(key);
              if (reason != null) {
                settings.problem(prefix + key + " can not be set: " + reason);
              }
              return reason != null;
            });
    return new ClientProperties(values);
  }
}
