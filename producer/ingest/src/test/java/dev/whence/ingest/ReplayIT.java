package dev.whence.ingest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.EmbeddedRegistry;
import dev.whence.producer.Whence;
import dev.whence.schemas.Topics;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(180)
class ReplayIT {
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final ReplayListener NOBODY = new ReplayListener() {};

  @TempDir static Path directory;

  private static EmbeddedBroker broker;
  private static EmbeddedRegistry registry;

  @BeforeAll
  static void start() throws Exception {
    broker = EmbeddedBroker.open(directory.resolve("kafka"));
    registry = EmbeddedRegistry.open(directory.resolve("registry"));
  }

  @AfterAll
  static void stop() throws Exception {
    registry.close();
    broker.close();
  }

  @Test
  void aReplayThatIsKilledThreeTimesLosesNothing() throws Exception {
    int lines = 3_000;
    Topics topics = topics("killed.");
    Path input = input("killed.jsonl", lines);
    ReplayOptions options = ReplayOptions.of(input);

    List<Long> marks = new ArrayList<>();
    long settled = 0;
    for (int kill = 1; kill <= 3; kill++) {
      Process process = process(input, "killed.", 300);
      long enough = settled + 200;
      await()
          .atMost(PATIENCE)
          .until(
              () -> {
                assertThat(process.isAlive()).isTrue();
                return line(options) >= enough;
              });
      process.destroyForcibly();
      assertThat(process.waitFor()).isNotZero();
      settled = line(options);
      marks.add(settled);
    }
    assertThat(settled).isBetween(600L, lines - 1L);

    ReplayReport report = new Replay(options, NOBODY).run(whence("killed."));

    assertThat(report.resumedAfter()).isEqualTo(settled);
    assertThat(report.acknowledged()).isEqualTo(lines - settled);
    List<String> keys = keys(topics);
    assertThat(new HashSet<>(keys)).isEqualTo(new HashSet<>(ids(lines)));
    // A line comes once for each run that began before it: those with their mark behind it skip it.
    Map<String, Long> times =
        keys.stream().collect(Collectors.groupingBy(key -> key, Collectors.counting()));
    for (int line = 1; line <= lines; line++) {
      int number = line;
      long runs = 1 + marks.stream().filter(mark -> mark < number).count();
      assertThat(times.get("r-" + line)).as("line %d", line).isBetween(1L, runs);
    }
  }

  @Test
  void aBrokerThatRestartsInTheMiddleOfAReplayLosesAndDoublesNothing() throws Exception {
    int lines = 2_000;
    Topics topics = topics("restart.");
    Path input = input("restart.jsonl", lines);
    boolean[] restarted = new boolean[1];
    ReplayListener restarting =
        new ReplayListener() {
          @Override
          public void progress(ReplayProgress progress) {
            if (!restarted[0] && progress.acknowledged() > 300) {
              restarted[0] = true;
              broker.stop();
              try {
                broker.start();
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            }
          }
        };

    ReplayReport report =
        new Replay(new ReplayOptions(input, 2_000, false, PATIENCE), restarting)
            .run(whence("restart."));

    assertThat(restarted[0]).isTrue();
    assertThat(report).isEqualTo(new ReplayReport(0, lines, lines, 0));
    assertThat(keys(topics)).containsExactlyInAnyOrderElementsOf(ids(lines));
  }

  @Test
  void aLineTooLargeForTheTopicIsABadLineAndTheOthersPass() throws Exception {
    Topics topics = topics("large.");
    Path input = directory.resolve("large.jsonl");
    Files.writeString(
        input, line("r-1", "q") + line("big", "x".repeat(9 << 20)) + line("r-3", "q"));
    List<String> bad = new ArrayList<>();

    ReplayReport report =
        new Replay(
                ReplayOptions.of(input),
                new ReplayListener() {
                  @Override
                  public void badLine(long line, String problem) {
                    bad.add(line + ": " + problem);
                  }
                })
            .run(whence("large."));

    assertThat(bad).containsExactly("2: Kafka did not take the response: RecordTooLargeException");
    assertThat(report).isEqualTo(new ReplayReport(0, 3, 2, 1));
    assertThat(keys(topics)).containsExactlyInAnyOrder("r-1", "r-3");
  }

  private static Whence.Builder whence(String prefix) {
    return Whence.builder()
        .bootstrapServers(broker.bootstrapServers())
        .schemaRegistry(registry.url())
        .topicPrefix(prefix)
        .autoRegisterSchemas(true);
  }

  private static Process process(Path input, String prefix, int rate) throws Exception {
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx256m",
            "-cp",
            classPath,
            ReplayProcess.class.getName(),
            input.toString(),
            broker.bootstrapServers(),
            registry.url(),
            prefix,
            Integer.toString(rate))
        .redirectErrorStream(true)
        .redirectOutput(directory.resolve("process.log").toFile())
        .start();
  }

  private static long line(ReplayOptions options) throws Exception {
    return ReplayMark.read(options.markFile()).map(ReplayMark::line).orElse(0L);
  }

  private static Path input(String name, int lines) throws Exception {
    Path input = directory.resolve(name);
    Files.writeString(
        input, ids(lines).stream().map(id -> line(id, "q")).collect(Collectors.joining()));
    return input;
  }

  private static String line(String id, String question) {
    return "{\"responseId\": \""
        + id
        + "\", \"messages\": [{\"role\": \"user\", \"content\": \""
        + question
        + "\"}], \"response\": \"a\"}\n";
  }

  private static List<String> ids(int count) {
    return IntStream.rangeClosed(1, count).mapToObj(i -> "r-" + i).toList();
  }

  private static Topics topics(String prefix) throws Exception {
    Topics topics = new Topics(prefix);
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()))) {
      NewTopic topic =
          new NewTopic(topics.responses().name(), 3, (short) 1)
              .configs(topics.responses().config());
      admin.createTopics(List.of(topic)).all().get();
    }
    return topics;
  }

  /** Keys of all records of the topic. */
  private static List<String> keys(Topics topics) {
    Map<String, Object> configuration =
        Map.of(
            "bootstrap.servers", broker.bootstrapServers(),
            "key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer",
            "value.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
    try (KafkaConsumer<String, byte[]> consumer = new KafkaConsumer<>(configuration)) {
      String topic = topics.responses().name();
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream()
              .map(info -> new TopicPartition(topic, info.partition()))
              .toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      List<String> keys = new ArrayList<>();
      await()
          .atMost(PATIENCE)
          .until(
              () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(record -> keys.add(record.key()));
                return partitions.stream().allMatch(p -> consumer.position(p) >= ends.get(p));
              });
      return keys;
    }
  }
}
