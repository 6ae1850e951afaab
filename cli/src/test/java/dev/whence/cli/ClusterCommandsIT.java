package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.embedded.RawRecords;
import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.samples.BundledModels;
import dev.whence.schemas.Topics;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The commands that need a cluster: what they print where, and how they end. */
@Timeout(value = 3, unit = TimeUnit.MINUTES)
class ClusterCommandsIT {
  private static final String ANSWERED =
      """
      {"responseId": "%s", "messages": [{"role": "user", "content": [\
      {"kind": "retrieved", "id": "doc", "text": "Ada wrote it. "},\
      {"kind": "question", "text": "Who wrote it?"}]}], \
      "response": "Ada.", "finishReason": "stop"}
      """;

  @TempDir static Path directory;
  private static EmbeddedBroker broker;
  private static EmbeddedRegistry registry;

  @BeforeAll
  static void open() throws Exception {
    broker = EmbeddedBroker.open(directory.resolve("broker"));
    registry = EmbeddedRegistry.open(directory.resolve("registry"));
  }

  @AfterAll
  static void close() throws Exception {
    registry.close();
    broker.close();
  }

  @Test
  void topicsAreMissingThenCreatedThenAsWantedAndDriftIsOneSentence() throws Exception {
    CommandRun missing = run("topics.", "topics");
    assertThat(missing.exit()).isEqualTo(1);
    assertThat(missing.out()).isNotEmpty().allMatch(line -> line.contains("  missing "));
    assertThat(missing.err()).hasSize(1);
    assertThat(missing.err().get(0)).startsWith("whence: ").contains("missing", "--create");

    CommandRun created = run("topics.", "topics", "--create");
    assertThat(created.err()).isEmpty();
    assertThat(created.exit()).isZero();
    assertThat(created.out()).hasSameSizeAs(missing.out()).allMatch(l -> l.contains("  created "));

    CommandRun wanted = run("topics.", "topics");
    assertThat(wanted.err()).isEmpty();
    assertThat(wanted.exit()).isZero();
    assertThat(wanted.out()).allMatch(line -> line.contains("  as wanted "));

    alter("topics.attributions", "max.message.bytes", "99000000");
    CommandRun drift = run("topics.", "topics");
    assertThat(drift.exit()).isEqualTo(1);
    assertThat(drift.out())
        .filteredOn(line -> line.contains("  drift "))
        .singleElement()
        .asString()
        .startsWith("topics.attributions ")
        .endsWith("max.message.bytes is 99000000, wanted 8388608");
    assertThat(drift.err()).hasSize(1);
    assertThat(drift.err().get(0)).contains("0 missing and 1 different");

    // More than is wanted must not stop a deployment that begins with this.
    CommandRun again = run("topics.", "topics", "--create");
    assertThat(again.exit()).isZero();
    assertThat(again.err()).containsExactly(leftSo(1));

    alter("topics.models", "cleanup.policy", "delete");
    CommandRun refused = run("topics.", "topics", "--create");
    assertThat(refused.exit()).isEqualTo(1);
    assertThat(refused.err()).hasSize(1);
    assertThat(refused.err().get(0)).contains("1 refused");
  }

  private static String leftSo(int count) {
    return "whence: " + count + " different from the catalogue and left so (see the list)";
  }

  @Test
  void addressesAndClientPropertiesMayStandInFiles() throws Exception {
    Path kafka =
        Files.writeString(
            directory.resolve("client.properties"),
            "bootstrap.servers=" + broker.bootstrapServers() + "\nrequest.timeout.ms=20000\n");
    Path registryConfig =
        Files.writeString(
            directory.resolve("registry.properties"),
            "schema.registry.url=" + registry.url() + "\n");
    CommandRun run =
        CommandRun.of(
            "topics",
            "--topic-prefix",
            "files.",
            "--kafka-config",
            kafka.toString(),
            "--registry-config",
            registryConfig.toString());
    assertThat(run.out()).isNotEmpty().allMatch(line -> line.contains("  missing "));

    Path wrong =
        Files.writeString(
            directory.resolve("wrong.properties"), "security.protocol=CARRIER_PIGEON\n");
    CommandRun refused = run("files.", "topics", "--kafka-config", wrong.toString());
    assertThat(refused.exit()).isEqualTo(1);
    assertThat(refused.out()).isEmpty();
    assertThat(refused.err()).hasSize(1);

    CommandRun nowhere = run("files.", "topics", "--kafka-config", "no-such.properties");
    assertThat(nowhere.exit()).isEqualTo(2);
    assertThat(nowhere.err()).hasSize(1);
    assertThat(nowhere.err().get(0)).contains("no-such.properties");
  }

  @Test
  void topicsCanBeLookedAtAndCreatedWithoutARegistry() {
    String[] topics = {
      "topics", "--bootstrap-server", broker.bootstrapServers(), "--topic-prefix", "alone."
    };
    CommandRun missing = CommandRun.of(topics);
    assertThat(missing.exit()).isEqualTo(1);
    assertThat(missing.out()).isNotEmpty().allMatch(line -> line.contains("  missing "));
    assertThat(missing.err()).hasSize(2);
    assertThat(missing.err().get(0)).contains("only topics", "--schema-registry");

    String[] create = Arrays.copyOf(topics, topics.length + 1);
    create[topics.length] = "--create";
    CommandRun created = CommandRun.of(create);
    assertThat(created.exit()).isZero();
    assertThat(created.out()).isNotEmpty().allMatch(line -> line.contains("  created "));
    assertThat(CommandRun.of(topics).exit()).isZero();
  }

  @Test
  void aPrefixThatNoTopicCanHaveIsWrongUsage() throws Exception {
    Path input = Files.writeString(directory.resolve("prefix.jsonl"), ANSWERED.formatted("p-1"));
    for (CommandRun run :
        List.of(
            run("a b", "topics"),
            run("a b", "replay", "--input", input.toString()),
            run("a b", "dlq", "show"),
            run("a b", "transfer", "rollback", "--model-id", "m"))) {
      assertThat(run.exit()).isEqualTo(2);
      assertThat(run.err()).singleElement().asString().contains("--topic-prefix", "'a b'");
    }
  }

  @Test
  void aReplayNamesBadLinesGoesOnAndResumes() throws Exception {
    assertThat(run("replay.", "topics", "--create").exit()).isZero();
    Path input =
        Files.writeString(
            directory.resolve("replay.jsonl"),
            ANSWERED.formatted("r-1") + "{not json\n" + ANSWERED.formatted("r-3"));

    CommandRun replay = run("replay.", "replay", "--input", input.toString());
    assertThat(replay.exit()).isEqualTo(1);
    assertThat(replay.out()).containsExactly("2 responses acknowledged, 1 bad lines, 3 lines");
    assertThat(String.join("\n", replay.err())).contains("replay.jsonl, line 2: ");

    CommandRun over = run("replay.", "replay", "--input", input.toString());
    assertThat(over.exit()).isEqualTo(1);
    assertThat(over.err()).last().asString().contains("1 bad lines", "--from-start");

    Path good = Files.writeString(directory.resolve("good.jsonl"), ANSWERED.formatted("g-1"));
    CommandRun first = run("replay.", "replay", "--input", good.toString());
    assertThat(first.exit()).as(first.err().toString()).isZero();
    assertThat(first.out()).containsExactly("1 responses acknowledged, 0 bad lines, 1 lines");
    CommandRun second = run("replay.", "replay", "--input", good.toString());
    assertThat(second.exit()).isZero();
    assertThat(second.out())
        .containsExactly("0 responses acknowledged, 0 bad lines, 1 lines, resumed after line 1");
    assertThat(keys("replay.responses")).containsExactlyInAnyOrder("r-1", "r-3", "g-1");

    assertThat(run("other.", "topics", "--create").exit()).isZero();
    CommandRun elsewhere = run("other.", "replay", "--input", good.toString());
    assertThat(elsewhere.exit()).isEqualTo(1);
    assertThat(elsewhere.err()).hasSize(1);
    assertThat(elsewhere.err().get(0)).contains("replay.responses of cluster", "--progress-file");
    Path apart = directory.resolve("other.progress");
    CommandRun third =
        run("other.", "replay", "--input", good.toString(), "--progress-file", apart.toString());
    assertThat(third.exit()).as(third.err().toString()).isZero();
    assertThat(apart).exists();
    assertThat(keys("other.responses")).containsExactly("g-1");
  }

  @Test
  void deadLettersAreShownOnStandardOutputWithoutContentAndReplayedOnce() throws Exception {
    assertThat(run("dlq.", "topics", "--create").exit()).isZero();
    new RawRecords(broker.bootstrapServers())
        .send(List.of(dead("d-0", "A", false), dead("d-1", "B", false), dead("d-2", "B", true)));

    CommandRun shown = run("dlq.", "dlq", "show");
    assertThat(shown.exit()).isZero();
    assertThat(shown.err()).isEmpty();
    assertThat(shown.out()).hasSize(4);
    assertThat(shown.out().get(0)).startsWith("offset\tcode\tsource\t");
    assertThat(shown.out().get(1)).startsWith("0\tA\tdlq.responses-3@7\t").endsWith("\tno\twhy");
    assertThat(shown.out().get(3)).contains("1000 (only in its source)");
    assertThat(shown.out().toString()).doesNotContain("secret");
    assertThat(run("dlq.", "dlq", "show", "--code", "A").out()).hasSize(2);

    CommandRun some = run("dlq.", "dlq", "replay", "--code", "A");
    assertThat(some.exit()).isZero();
    assertThat(some.err()).isEmpty();
    assertThat(some.out())
        .containsExactly("1 replayed, 0 had been replayed before, 0 can not be replayed");

    CommandRun rest = run("dlq.", "dlq", "replay", "--topic", "dlq.responses");
    assertThat(rest.exit()).isEqualTo(1);
    assertThat(rest.out())
        .containsExactly("1 replayed, 1 had been replayed before, 1 can not be replayed");
    assertThat(rest.err()).hasSize(1);
    assertThat(rest.err().get(0))
        .startsWith("whence: 1 can not be replayed: the queue does not hold ");
    assertThat(keys("dlq.responses")).containsExactlyInAnyOrder("d-0", "d-1");

    CommandRun nowhere = run("dlq.", "dlq", "show", "--topic", "no-such");
    assertThat(nowhere.exit()).isEqualTo(1);
    assertThat(nowhere.out()).isEmpty();
    assertThat(nowhere.err()).hasSize(1);
    assertThat(nowhere.err().get(0)).contains("there is no topic dlq.dlq.no-such");
  }

  @Test
  void aCollectionWithoutAnyDocumentHasFailed() {
    assertThat(run("collect.", "topics", "--create").exit()).isZero();
    new RawRecords(broker.bootstrapServers())
        .send(
            List.of(
                new ProducerRecord<>("collect.responses", new byte[] {1}, new byte[] {'{'}),
                new ProducerRecord<>("collect.responses", new byte[] {2}, new byte[] {'1'})));
    Path corpus = directory.resolve("collected.jsonl");

    CommandRun run =
        run(
            "collect.",
            "influence",
            "collect",
            "--topic",
            "collect.responses",
            "--output",
            corpus.toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.out()).isEmpty();
    assertThat(run.err())
        .containsExactly(
            "whence: "
                + corpus
                + " is empty: none of the 2 records of topic collect.responses is a document; "
                + corpus
                + ".rejects.jsonl says why");
  }

  @Test
  void aProcessorTakesABundledModelByNameAndSaysWhichOffsetsItBeginsWith() throws Exception {
    assertThat(run("serve.", "topics", "--create").exit()).isZero();
    Path input = Files.writeString(directory.resolve("serve.jsonl"), ANSWERED.formatted("s-1"));
    assertThat(run("serve.", "replay", "--input", input.toString()).exit()).isZero();
    Path config =
        Files.writeString(
            directory.resolve("serve.yaml"),
            """
            kafka.bootstrap.servers: %s
            registry.url: %s
            topics.prefix: serve.
            data.dir: %s
            http.port: -1
            model: tiny-chat
            """
                .formatted(broker.bootstrapServers(), registry.url(), directory.resolve("data")));
    Path log = directory.resolve("serve.log");
    Path results = directory.resolve("serve.out");
    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:TieredStopAtLevel=1",
                "-D" + BundledModels.DIRECTORY_PROPERTY + "=" + directory.resolve("models"),
                "-cp",
                System.getProperty("java.class.path"),
                Whence.class.getName(),
                "serve",
                "attribution",
                "--config",
                config.toString())
            .redirectError(log.toFile())
            .redirectOutput(results.toFile());
    builder.environment().remove("WHENCE_LOG");
    Process process = builder.start();
    try {
      await()
          .atMost(Duration.ofMinutes(2))
          .until(() -> !process.isAlive() || keys("serve.attributions").size() == 1);
      assertThat(Files.readString(log))
          .contains("INFO ", "no committed offset, start EARLIEST: starting at {");
      assertThat(process.isAlive()).isTrue();
      process.destroy(); // SIGTERM
      assertThat(process.waitFor(40, TimeUnit.SECONDS)).isTrue();
      assertThat(results).isEmptyFile();
    } finally {
      process.destroyForcibly();
    }
  }

  private static CommandRun run(String prefix, String... arguments) {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.addAll(List.of("--topic-prefix", prefix));
    all.addAll(List.of("--bootstrap-server", broker.bootstrapServers()));
    all.addAll(List.of("--schema-registry", registry.url()));
    return CommandRun.of(all.toArray(String[]::new));
  }

  @Test
  void aDeadLetterThatIsTooLargeForItsTopicIsNamed() throws Exception {
    assertThat(run("large.", "topics", "--create").exit()).isZero();
    byte[] value = new byte[40_000];
    new Random(7).nextBytes(value); // zstd makes nothing of it
    new RawRecords(broker.bootstrapServers())
        .send(
            List.of(
                dead(new Topics("large."), "d-0", "A", value),
                dead(new Topics("large."), "d-1", "A", new byte[1])));
    alter("large.responses", "max.message.bytes", "20000");

    CommandRun replay = run("large.", "dlq", "replay");
    assertThat(replay.exit()).isEqualTo(1);
    assertThat(replay.out())
        .containsExactly("1 replayed, 0 had been replayed before, 1 can not be replayed");
    assertThat(replay.err())
        .containsExactly(
            "whence: offset 0 of the queue, with 40000 bytes, is too large for large.responses;"
                + " raise its max.message.bytes and replay again");
    assertThat(keys("large.responses")).containsExactly("d-1");
  }

  private static List<String> keys(String topic) {
    return new RawRecords(broker.bootstrapServers())
        .committed(topic).stream()
            .map(record -> new String(record.key(), StandardCharsets.UTF_8))
            .toList();
  }

  private static ProducerRecord<byte[], byte[]> dead(String key, String code, boolean omitted) {
    byte[] value = ("secret " + key).getBytes(StandardCharsets.UTF_8);
    ProducerRecord<byte[], byte[]> dead = dead(new Topics("dlq."), key, code, value);
    if (!omitted) {
      return dead;
    }
    dead.headers()
        .add(
            DeadLetterHeaders.OMITTED_BYTES,
            EventHeader.of(DeadLetterHeaders.OMITTED_BYTES, "1000").value());
    return new ProducerRecord<>(dead.topic(), null, dead.key(), null, dead.headers());
  }

  private static ProducerRecord<byte[], byte[]> dead(
      Topics topics, String key, String code, byte[] value) {
    byte[] bytes = key.getBytes(StandardCharsets.UTF_8);
    SourceRecord source =
        new SourceRecord(topics.responses().name(), 3, 7, 1, bytes, value, List.of());
    ProducerRecord<byte[], byte[]> dead =
        new ProducerRecord<>(topics.deadLettersOf(topics.responses()).name(), bytes, value);
    DeadLetterHeaders.of(source, new Failure(code, "why"), 1, "stage")
        .forEach(header -> dead.headers().add(header.name(), header.value()));
    return dead;
  }

  private static void alter(String topic, String key, String value) throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()))) {
      admin
          .incrementalAlterConfigs(
              Map.of(
                  new ConfigResource(ConfigResource.Type.TOPIC, topic),
                  List.of(
                      new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET))))
          .all()
          .get();
    }
  }
}
