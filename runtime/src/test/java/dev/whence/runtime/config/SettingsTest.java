package dev.whence.runtime.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.schemas.AvroSerdes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SettingsTest {
  private static final Duration MOST = Duration.ofDays(1);

  @TempDir Path directory;

  @Test
  void aFlagWinsOverTheEnvironmentAndTheEnvironmentOverTheFile() throws IOException {
    Path file = yaml("a.b-c: file\nd: file\ne: file\n");
    Settings settings =
        Settings.load(
            file,
            Map.of("WHENCE_A_B_C", "environment", "WHENCE_D", "environment"),
            Map.of("a.b-c", "flag"));
    assertThat(settings.text("a.b-c", "")).isEqualTo("flag");
    assertThat(settings.text("d", "")).isEqualTo("environment");
    assertThat(settings.text("e", "")).isEqualTo("file");
    assertThat(settings.text("f", "fallback")).isEqualTo("fallback");
    settings.finish();
  }

  @Test
  void everythingThatIsWrongIsSaidAtOnce() throws IOException {
    Settings settings =
        Settings.load(
            yaml(
                "port: many\nwait: 5 parsecs\nmod: x\nsamplng:\n  rate: 2\nlist: [1, [2]]\nnone: ~\n"),
            Map.of(),
            Map.of());
    settings.integer("port", 1, 0, 65535);
    settings.duration("wait", Duration.ZERO, Duration.ZERO, MOST);
    settings.choice("mod", Start.class, Start.EARLIEST);
    settings.number("sampling.rate", 1, 0, 1);
    settings.required("must", "what must be");
    ConfigException e = catchThrowableOfType(ConfigException.class, settings::finish);
    assertThat(e.problems())
        .hasSize(7)
        .anyMatch(p -> p.contains("port is 'many'") && p.contains("a whole number"))
        .anyMatch(p -> p.contains("wait is '5 parsecs'"))
        .anyMatch(p -> p.contains("mod is 'x'") && p.contains("earliest, latest"))
        .anyMatch(
            p -> p.contains("unknown key samplng.rate") && p.contains("did you mean sampling.rate"))
        .anyMatch(p -> p.startsWith("must is not set"))
        .anyMatch(p -> p.contains("list in"))
        .anyMatch(p -> p.contains("none has no value"));
  }

  @Test
  void secretsComeFromTheEnvironmentAndFilesAndAreNeverShown() throws IOException {
    Path secret = Files.writeString(directory.resolve("secret"), "hunter2\n");
    Settings settings =
        Settings.load(
            yaml(
                "a: ${file:"
                    + secret
                    + "}\nb: x-${env:TOKEN}\nport: ${env:TOKEN}\nc: ${env:GONE}\n"),
            Map.of("TOKEN", "canary-7"),
            Map.of());
    assertThat(settings.text("a", "")).isEqualTo("hunter2");
    assertThat(settings.text("b", "")).isEqualTo("x-canary-7");
    settings.integer("port", 1, 0, 65535);
    settings.text("c", "");
    assertThatThrownBy(settings::finish)
        .hasMessageContaining("port is (hidden)")
        .hasMessageContaining("environment variable GONE is not set")
        .message()
        .doesNotContain("canary-7");
  }

  @Test
  void sizesAndTimesHaveUnits() {
    Settings settings = Settings.of(Map.of("a", "8MiB", "b", "1024", "c", "500ms", "d", "2h"));
    assertThat(settings.bytes("a", 0, 0, 1L << 40)).isEqualTo(8L << 20);
    assertThat(settings.bytes("b", 0, 0, 1L << 40)).isEqualTo(1024);
    assertThat(settings.duration("c", Duration.ZERO, Duration.ZERO, MOST))
        .isEqualTo(Duration.ofMillis(500));
    assertThat(settings.duration("d", Duration.ZERO, Duration.ZERO, MOST))
        .isEqualTo(Duration.ofHours(2));
    settings.finish();
  }

  @Test
  void listsAreListsInYamlAndCommaSeparatedElsewhere() throws IOException {
    Settings settings = Settings.load(yaml("a: [x, y]\nb: z\n"), Map.of(), Map.of("c", "p, q"));
    assertThat(settings.list("a")).containsExactly("x", "y");
    assertThat(settings.list("b")).containsExactly("z");
    assertThat(settings.list("c")).containsExactly("p", "q");
    assertThat(settings.list("d")).isEmpty();
    settings.finish();
  }

  @Test
  void numbersAreKeptAsTheyAreWritten() throws IOException {
    Settings settings =
        Settings.load(
            yaml("version: 1.10\npassword: 007\nkey: 1e10\nid: 0x1F\nlist: [2.50, 1_000]\n"),
            Map.of(),
            Map.of());
    assertThat(settings.text("version", "")).isEqualTo("1.10");
    assertThat(settings.text("password", "")).isEqualTo("007");
    assertThat(settings.text("key", "")).isEqualTo("1e10");
    assertThat(settings.text("id", "")).isEqualTo("0x1F");
    assertThat(settings.list("list")).containsExactly("2.50", "1000");
    settings.finish();
  }

  @Test
  void aVariableForANameThatIsTheUsersOwnOnlyTakesTheFilesPlace() throws IOException {
    Path file = yaml("filter.attributes.my-app: support\n");
    Settings known =
        Settings.load(file, Map.of("WHENCE_FILTER_ATTRIBUTES_MY_APP", "sales"), Map.of());
    assertThat(known.named("filter.attributes.")).containsExactly(Map.entry("my-app", "sales"));
    known.finish();

    Settings unknown =
        Settings.load(file, Map.of("WHENCE_FILTER_ATTRIBUTES_TEAM", "a secret"), Map.of());
    assertThat(unknown.named("filter.attributes.")).containsOnlyKeys("my-app");
    ConfigException e = catchThrowableOfType(ConfigException.class, unknown::finish);
    assertThat(e.problems())
        .singleElement()
        .asString()
        .contains("WHENCE_FILTER_ATTRIBUTES_TEAM", "filter.attributes.")
        .doesNotContain("a secret");
  }

  @Test
  void aKeyThatStandsTwiceIsAnError() {
    assertThatThrownBy(() -> Settings.load(yaml("a: 1\na: 2\n"), Map.of(), Map.of()))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("is not YAML");
    assertThatThrownBy(
            () -> {
              Settings settings = Settings.load(yaml("a.b: 1\na:\n  b: 2\n"), Map.of(), Map.of());
              settings.text("a.b", "");
              settings.finish();
            })
        .hasMessageContaining("a.b stands twice");
  }

  @Test
  void aMissingFileIsOneSentence() {
    assertThatThrownBy(() -> Settings.load(directory.resolve("no.yaml"), Map.of(), Map.of()))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("does not exist");
  }

  @Test
  void onlyKnownClientKeysAreTakenFromTheEnvironment() {
    Settings settings =
        Settings.load(
            null,
            Map.of(
                "WHENCE_KAFKA_SECURITY_PROTOCOL",
                "SSL",
                "WHENCE_KAFKA_SERVICE_HOST",
                "10.0.0.1",
                "WHENCE_KAFKA_BOOTSTRAP_SERVERS",
                "b:1",
                "WHENCE_REGISTRY_URL",
                "http://r"),
            Map.of());
    RuntimeConfig config = RuntimeConfig.read(settings, "g");
    settings.finish();
    assertThat(config.connection().bootstrapServers()).isEqualTo("b:1");
    assertThat(config.connection().kafka().values())
        .containsExactly(Map.entry("security.protocol", "SSL"));
  }

  @Test
  void whatTheRegistrysClientKnowsIsTakenFromTheEnvironment() {
    Settings settings =
        Settings.load(
            null,
            Map.of(
                "WHENCE_KAFKA_BOOTSTRAP_SERVERS", "b:1",
                "WHENCE_REGISTRY_URL", "http://r",
                "WHENCE_REGISTRY_PORT", "tcp://10.0.0.1:8081",
                "WHENCE_REGISTRY_BASIC_AUTH_USER_INFO", "u:p",
                "WHENCE_REGISTRY_BEARER_AUTH_CREDENTIALS_SOURCE", "STATIC_TOKEN",
                "WHENCE_REGISTRY_SCHEMA_REGISTRY_SSL_TRUSTSTORE_LOCATION", "/t",
                "WHENCE_REGISTRY_SSL_KEYSTORE_PASSWORD", "k",
                "WHENCE_REGISTRY_SASL_JAAS_CONFIG", "j"),
            Map.of());
    RuntimeConfig config = RuntimeConfig.read(settings, "g");
    settings.finish();
    assertThat(config.connection().registry().values())
        .containsOnly(
            Map.entry("basic.auth.user.info", "u:p"),
            Map.entry("bearer.auth.credentials.source", "STATIC_TOKEN"),
            Map.entry("schema.registry.ssl.truststore.location", "/t"),
            Map.entry("ssl.keystore.password", "k"),
            Map.entry("sasl.jaas.config", "j"));
  }

  @Test
  void theRegistrysAddressHasOneKey() {
    Settings settings =
        Settings.load(
            null,
            Map.of(
                "WHENCE_KAFKA_BOOTSTRAP_SERVERS", "b:1",
                "WHENCE_REGISTRY_URL", "http://r",
                "WHENCE_REGISTRY_SCHEMA_REGISTRY_URL", "http://other"),
            Map.of());
    RuntimeConfig.read(settings, "g");
    assertThatThrownBy(settings::finish)
        .hasMessage("registry.schema.registry.url can not be set: use the key registry.url");
  }

  @Test
  void keysThatTheWorkerLoopOwnsAreRefusedWithTheReason() {
    Settings settings =
        Settings.of(
            Map.of(
                "kafka.bootstrap.servers", "b:1",
                "registry.url", "http://r",
                "consumer.enable.auto.commit", "true",
                "producer.acks", "1",
                "producer.bootstrap.servers", "other:1",
                "consumer.session.timeout.ms", "1000",
                "registry.auto.register.schemas", "true",
                "instance.id", "two words"));
    RuntimeConfig.read(settings, "g");
    ConfigException e = catchThrowableOfType(ConfigException.class, settings::finish);
    assertThat(e.problems())
        .hasSize(6)
        .anyMatch(p -> p.startsWith("consumer.enable.auto.commit can not be set: "))
        .anyMatch(p -> p.startsWith("producer.bootstrap.servers can not be set: "))
        .anyMatch(p -> p.startsWith("producer.acks can not be set: "))
        .anyMatch(p -> p.startsWith("session.timeout.ms can not be set"))
        .anyMatch(p -> p.startsWith("registry.auto.register.schemas can not be set"))
        .anyMatch(p -> p.startsWith("instance.id must have"));
  }

  @Test
  void keysThatTheWorkerLoopOwnsAreRefusedFromTheEnvironmentToo() {
    Settings settings =
        Settings.load(
            null,
            Map.of(
                "WHENCE_KAFKA_BOOTSTRAP_SERVERS", "b:1",
                "WHENCE_REGISTRY_URL", "http://r",
                "WHENCE_KAFKA_ACKS", "0",
                "WHENCE_KAFKA_GROUP_ID", "x",
                "WHENCE_CONSUMER_AUTO_OFFSET_RESET", "latest",
                "WHENCE_PRODUCER_REQUEST_TIMEOUT_MS", "1",
                "WHENCE_REGISTRY_AUTO_REGISTER_SCHEMAS", "true"),
            Map.of());
    RuntimeConfig.read(settings, "g");
    ConfigException e = catchThrowableOfType(ConfigException.class, settings::finish);
    assertThat(e.problems())
        .hasSize(5)
        .anyMatch(p -> p.startsWith("kafka.acks can not be set: "))
        .anyMatch(p -> p.startsWith("kafka.group.id can not be set: "))
        .anyMatch(p -> p.startsWith("consumer.auto.offset.reset can not be set: "))
        .anyMatch(p -> p.startsWith("producer.request.timeout.ms can not be set: "))
        .anyMatch(p -> p.startsWith("registry.auto.register.schemas can not be set: "));
  }

  @Test
  void clientPropertiesNeverShowTheirValues() {
    assertThat(new ClientProperties(Map.of("sasl.jaas.config", "canary-9")).toString())
        .contains("sasl.jaas.config")
        .doesNotContain("canary-9");
  }

  @Test
  void theInstanceNameIsKeptOrThePodsName() {
    RuntimeConfig config = config(directory.resolve("data"));
    String first = InstanceName.of(config, Map.of());
    assertThat(InstanceName.of(config, Map.of())).isEqualTo(first);
    assertThat(
            InstanceName.of(config, Map.of("KUBERNETES_SERVICE_HOST", "x", "HOSTNAME", "whence-2")))
        .isEqualTo("whence-2");
    assertThat(
            InstanceName.of(
                config, Map.of("KUBERNETES_SERVICE_HOST", "x", "HOSTNAME", "whence-7b9c-xyz")))
        .isEqualTo(first);
  }

  @Test
  void anInstanceNameOfWhichAPowerCutLeftNothingIsMadeAnew() throws IOException {
    Path data = Files.createDirectory(directory.resolve("data"));
    Path file = Files.createFile(data.resolve("instance.id"));
    String name = InstanceName.of(config(data), Map.of());
    assertThat(name).matches("i-[0-9a-f]{8}");
    assertThat(file).hasContent(name);
    assertThat(data).isDirectoryContaining(file::equals).isDirectoryNotContaining("glob:**.i-*");
    assertThat(InstanceName.of(config(data), Map.of())).isEqualTo(name);
    Files.writeString(file, "not a name\n");
    assertThatThrownBy(() -> InstanceName.of(config(data), Map.of()))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("does not hold an instance name");
  }

  private static RuntimeConfig config(Path data) {
    return RuntimeConfig.read(
        Settings.of(
            Map.of(
                "kafka.bootstrap.servers", "b:1",
                "registry.url", "http://r",
                "data.dir", data.toString())),
        "g");
  }

  private Path yaml(String text) throws IOException {
    return Files.writeString(
        directory.resolve("config-" + List.of(text).hashCode() + ".yaml"), text);
  }

  @Test
  void aPasswordInTheRegistrysAddressIsRefusedAndNotRepeated() throws IOException {
    assertThat(AvroSerdes.hasUserInfo("http://registry:8081, https://r2/@path")).isFalse();
    Settings settings =
        Settings.load(
            yaml(
                """
                kafka.bootstrap.servers: b:1
                registry.url: http://r1, https://me:canary@r2:8081
                producer.linger.ms: 5
                producer.request.timeout.ms: 5
                kafka.request.timeout.ms: 5
                """),
            Map.of(),
            Map.of());
    Connection unused = Connection.read(settings);
    ConfigException e = catchThrowableOfType(ConfigException.class, settings::finish);
    assertThat(e.problems())
        .hasSize(3)
        .anyMatch(p -> p.contains("registry.basic.auth.user.info"))
        .anyMatch(p -> p.startsWith("producer.linger.ms can not be set"))
        .anyMatch(p -> p.startsWith("producer.request.timeout.ms can not be set"))
        .noneMatch(p -> p.contains("canary"));
  }
}
