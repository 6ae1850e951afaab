package dev.whence.runtime.config;

import dev.whence.schemas.AvroSerdes;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

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
    ClientKeys kafkaKeys = ClientKeys.kafka();
    List<String> foreign = new ArrayList<>();
    Connection read =
        new Connection(
            bootstrap,
            registryUrl,
            passThrough(settings, "kafka.", kafkaKeys, OWNED, "bootstrap.servers", foreign),
            passThrough(settings, "consumer.", kafkaKeys, OWNED_OF_CONSUMER, "", foreign),
            passThrough(settings, "producer.", kafkaKeys, OWNED_OF_PRODUCER, "", foreign),
            passThrough(
                settings, "registry.", ClientKeys.registry(), OWNED_BY_SERDES, "url", foreign));
    ClientKeys.tell(foreign);
    return read;
  }

  /**
   * Reads the properties of one client.
   *
   * @param apart a key that was read already
   * @param foreign gets the keys that only a plugin can know
   */
  private static ClientProperties passThrough(
      Settings settings,
      String prefix,
      ClientKeys keys,
      Map<String, String> owned,
      String apart,
      List<String> foreign) {
    Map<String, String> values =
        new TreeMap<>(
            // Owned keys are taken too: a setting that has no effect must be refused, not ignored.
            settings.under(
                prefix,
                name ->
                    (keys.names().contains(name) && !name.equals(apart)) || owned.containsKey(name),
                (variable, name) ->
                    keys.meantBy(name)
                        .ifPresent(
                            meant ->
                                settings.problem(
                                    "the environment variable "
                                        + variable
                                        + " is no key of the client; did you mean "
                                        + Settings.environmentName(prefix + meant)
                                        + "?"))));
    values.remove(apart);
    values.keySet().removeIf(key -> isWrong(settings, prefix, key, keys, owned));
    keys.foreign(values.keySet()).forEach(key -> foreign.add(prefix + key));
    return new ClientProperties(values);
  }

  private static boolean isWrong(
      Settings settings, String prefix, String key, ClientKeys keys, Map<String, String> owned) {
    String reason = owned.get(key);
    if (reason != null) {
      settings.problem(prefix + key + " can not be set: " + reason);
      return true;
    }
    Optional<String> meant = keys.meantBy(key);
    meant.ifPresent(
        name ->
            settings.problem(
                "unknown key " + prefix + key + "; did you mean " + prefix + name + "?"));
    return meant.isPresent();
  }
}
