package dev.whence.cli;

import dev.whence.files.FileProblem;
import dev.whence.producer.Whence;
import dev.whence.runtime.config.ClientKeys;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.BrokerTrouble;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.AvroSerdes;
import dev.whence.schemas.Topics;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.kafka.common.KafkaException;
import picocli.CommandLine.Option;

/** How to reach a cluster and its schema registry. */
final class ConnectionOptions {
  private static final String BOOTSTRAP = "bootstrap.servers";
  private static final String REGISTRY = "schema.registry.url";
  private static final String KAFKA_CONFIG = "--kafka-config";
  private static final String REGISTRY_CONFIG = "--registry-config";

  @Option(
      names = "--bootstrap-server",
      paramLabel = "S",
      description = "the brokers as host:port, comma separated")
  private String bootstrapServer = "";

  @Option(names = "--schema-registry", paramLabel = "U", description = "the registry's address")
  private String schemaRegistry = "";

  @Option(
      names = KAFKA_CONFIG,
      paramLabel = "F",
      description = "properties of the Kafka clients (TLS, SASL, ...)")
  private Optional<Path> kafkaConfig = Optional.empty();

  @Option(
      names = REGISTRY_CONFIG,
      paramLabel = "F",
      description = "properties of the registry client (credentials, TLS, ...)")
  private Optional<Path> registryConfig = Optional.empty();

  @Option(
      names = "--topic-prefix",
      paramLabel = "P",
      defaultValue = "whence.",
      description = "what every topic's name begins with (default: ${DEFAULT-VALUE})")
  private String topicPrefix = "whence.";

  /**
   * @throws UsageException if no topic's name can begin so
   */
  String topicPrefix() {
    var unused = topics(); // which throws
    return topicPrefix;
  }

  /**
   * @throws UsageException if no topic's name can begin with the prefix
   */
  Topics topics() {
    try {
      return new Topics(topicPrefix);
    } catch (IllegalArgumentException e) {
      throw new UsageException("--topic-prefix: " + e.getMessage());
    }
  }

  /** For commands that read and write records. */
  Connection connection() {
    return Connection.of(bootstrapServers(), registryUrl()).with(kafka(), registry());
  }

  /** For commands that only touch topics as bytes: the registry is not needed. */
  Connection brokersOnly() {
    return Connection.of(bootstrapServers(), withoutUserInfo(schemaRegistry))
        .with(kafka(), registry());
  }

  /** For commands that can do without the registry, but use it where its address is given. */
  Connection registryWhereNamed() {
    boolean named =
        !schemaRegistry.isEmpty()
            || properties(REGISTRY_CONFIG, registryConfig).containsKey(REGISTRY);
    return named ? connection() : brokersOnly();
  }

  /** Asks brokers something; where they do not answer, the sentence says which. */
  static <T> T asking(Connection brokers, Supplier<T> question) {
    try {
      return question.get();
    } catch (KafkaException | EnvironmentException e) {
      throw BrokerTrouble.sentence(brokers, e)
          .<RuntimeException>map(sentence -> new EnvironmentException(sentence, e))
          .orElse(e);
    }
  }

  /** For commands that send responses as an application does. */
  Whence.Builder application() {
    return Whence.builder()
        .bootstrapServers(bootstrapServers())
        .schemaRegistry(registryUrl())
        .topicPrefix(topicPrefix())
        .kafka(kafka())
        .registry(registry());
  }

  private String bootstrapServers() {
    if (!bootstrapServer.isEmpty()) {
      return bootstrapServer;
    }
    return named(
        properties(KAFKA_CONFIG, kafkaConfig), kafkaConfig, BOOTSTRAP, "--bootstrap-server");
  }

  private String registryUrl() {
    return withoutUserInfo(
        schemaRegistry.isEmpty()
            ? named(
                properties(REGISTRY_CONFIG, registryConfig),
                registryConfig,
                REGISTRY,
                "--schema-registry")
            : schemaRegistry);
  }

  /** The registry's client logs its addresses. */
  private static String withoutUserInfo(String registryUrls) {
    if (AvroSerdes.hasUserInfo(registryUrls)) {
      throw new UsageException(
          "the registry's address holds a user or a password; put them into a file for"
              + " --registry-config, as basic.auth.credentials.source=USER_INFO and"
              + " basic.auth.user.info=USER:PASSWORD (in a processor's configuration:"
              + " registry.basic.auth.user.info)");
    }
    return registryUrls;
  }

  private static String named(
      Map<String, String> properties, Optional<Path> file, String key, String option) {
    String value = properties.get(key);
    if (value == null || value.isBlank()) {
      throw new UsageException(
          option + " is missing" + file.map(f -> ", and " + f + " has no " + key).orElse(""));
    }
    return value;
  }

  private Map<String, String> kafka() {
    return checked(
        KAFKA_CONFIG,
        kafkaConfig,
        BOOTSTRAP,
        ClientKeys.kafka(),
        REGISTRY_CONFIG,
        ClientKeys.registry());
  }

  private Map<String, String> registry() {
    return checked(
        REGISTRY_CONFIG,
        registryConfig,
        REGISTRY,
        ClientKeys.registry(),
        KAFKA_CONFIG,
        ClientKeys.kafka());
  }

  /**
   * The properties of a file without the client's address, which is given apart.
   *
   * @throws UsageException if one is mistyped
   */
  private Map<String, String> checked(
      String option,
      Optional<Path> file,
      String address,
      ClientKeys keys,
      String otherOption,
      ClientKeys others) {
    Map<String, String> properties = properties(option, file);
    for (String key : properties.keySet()) {
      keys.meantBy(key)
          .ifPresent(
              meant -> {
                throw new UsageException(
                    option
                        + file.map(f -> " '" + f + "'").orElse("")
                        + " has the unknown key "
                        + key
                        + "; did you mean "
                        + meant
                        + "?");
              });
    }
    List<String> foreign = keys.foreign(properties.keySet());
    ClientKeys.tell(foreign.stream().filter(key -> !others.names().contains(key)).toList());
    if (!kafkaConfig.equals(registryConfig)) { // one file may serve both
      ClientKeys.tellMisplaced(others.known(foreign), option, otherOption);
    }
    properties.remove(address);
    return properties;
  }

  /** As Kafka's own tools read such files: in ISO 8859-1, with escapes for all else. */
  private static Map<String, String> properties(String option, Optional<Path> file) {
    Map<String, String> values = new TreeMap<>();
    if (file.isPresent()) {
      InputFile.checkStream(option, file.get());
      Properties read = new Properties();
      try (InputStream in = Files.newInputStream(file.get())) {
        read.load(in);
      } catch (IOException e) {
        throw InputFile.unreadable(option, file.get(), FileProblem.of(e, file.get()));
      } catch (IllegalArgumentException e) { // a backslash and u without four digits
        throw InputFile.unreadable(option, file.get(), String.valueOf(e.getMessage()));
      }
      read.stringPropertyNames().forEach(name -> values.put(name, read.getProperty(name)));
    }
    return values;
  }
}
