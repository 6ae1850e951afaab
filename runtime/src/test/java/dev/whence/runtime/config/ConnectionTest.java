package dev.whence.runtime.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

class ConnectionTest {
  @TempDir private Path directory;

  /** Whether a record fits into its topic is computed before it is sent. */
  @Test
  void howRecordsAreCompressedCanNotBeSet() throws IOException {
    Path file =
        Files.writeString(
            directory.resolve("config.yaml"),
            """
            kafka.bootstrap.servers: b:1
            registry.url: http://r1
            kafka.compression.zstd.level: 9
            producer.compression.zstd.level: 1
            producer.compression.type: gzip
            """);
    Settings settings = Settings.load(file, Map.of(), Map.of());
    Connection unused = Connection.read(settings);
    ConfigException e = catchThrowableOfType(ConfigException.class, settings::finish);
    assertThat(e.problems())
        .containsExactlyInAnyOrder(
            "kafka.compression.zstd.level can not be set: sizes are computed for the level that is"
                + " used",
            "producer.compression.zstd.level can not be set: sizes are computed for the level that"
                + " is used",
            "producer.compression.type can not be set: sizes are computed for the one that is"
                + " used");
  }

  /** Otherwise a slip in security.protocol would mean plain text. */
  @Test
  void aKeyThatIsNearlyOneOfTheClientsIsRefused() throws IOException {
    Settings settings =
        Settings.load(
            Files.writeString(
                directory.resolve("config.yaml"),
                """
                kafka.bootstrap.servers: b:1
                kafka.secruity.protocol: SASL_SSL
                kafka.sasl-mechanism: PLAIN
                consumer.fetch.max.byte: 1000
                registry.url: http://r1
                registry.basic.auth.credential.source: USER_INFO
                """),
            Map.of(
                "WHENCE_KAFKA_SSL_TRUSTSTORE_LOCATON", "t.jks",
                "WHENCE_KAFKA_PORT", "tcp://10.0.0.1:9092",
                "WHENCE_KAFKA_SERVICE_HOST", "10.0.0.1"),
            Map.of());
    Connection unused = Connection.read(settings);
    assertThat(catchThrowableOfType(ConfigException.class, settings::finish).problems())
        .containsExactlyInAnyOrder(
            "unknown key kafka.secruity.protocol; did you mean kafka.security.protocol?",
            "unknown key kafka.sasl-mechanism; did you mean kafka.sasl.mechanism?",
            "unknown key consumer.fetch.max.byte; did you mean consumer.fetch.max.bytes?",
            "unknown key registry.basic.auth.credential.source; did you mean"
                + " registry.basic.auth.credentials.source?",
            "the environment variable WHENCE_KAFKA_SSL_TRUSTSTORE_LOCATON is no key of the client;"
                + " did you mean WHENCE_KAFKA_SSL_TRUSTSTORE_LOCATION?");
  }

  @Test
  void theKeysOfPluginsPassAndAreTold() throws IOException {
    Settings settings =
        Settings.load(
            Files.writeString(
                directory.resolve("config.yaml"),
                """
                kafka.bootstrap.servers: b:1
                kafka.interceptor.classes: my.Interceptor
                kafka.my.interceptor.url: http://i
                registry.url: http://r1
                registry.missing.id.cache.ttl.sec: 5
                registry.schema.registry.ssl.truststore.location: t.jks
                registry.my.provider.tags: a
                """),
            Map.of(),
            Map.of());
    var log = (Logger) LoggerFactory.getLogger(ClientKeys.class);
    var lines = new ListAppender<ILoggingEvent>();
    lines.start();
    log.addAppender(lines);
    Connection read = Connection.read(settings);
    log.detachAppender(lines);
    settings.finish();
    assertThat(read.kafka().values()).containsOnlyKeys("interceptor.classes", "my.interceptor.url");
    assertThat(lines.list)
        .singleElement()
        .asString()
        .contains(
            "WARN",
            "these keys are unknown to Kafka's consumers, producers and admin clients and to the"
                + " registry's client: kafka.my.interceptor.url, registry.my.provider.tags. They"
                + " are passed on, for plugins and Kafka Streams; check their spelling if you meant"
                + " something else.");
  }
}
