package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.whence.runtime.config.ClientKeys;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.worker.EnvironmentException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.TimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

/** A file that can not be read or written is named once, by one sentence in words. */
class FileErrorsTest {
  /** A directory in which nobody can make anything. */
  private static final Path PROC = Path.of("/proc");

  @TempDir private Path directory;

  private static CommandRun withTemplate(Path input, Path template) {
    return CommandRun.of(
        "attribute",
        "--model",
        "m",
        "--input",
        input.toString(),
        "--chat-template",
        template.toString());
  }

  @Test
  void aChatTemplateThatIsNoTextOrNoFileIsNamed() throws IOException {
    Path input = Files.writeString(directory.resolve("in.jsonl"), "{}\n");
    Path latin = latin("latin.jinja", "{# caf\u00e9 #}");
    assertSentence(
        withTemplate(input, latin),
        2,
        "whence: --chat-template '" + latin + "' can not be read: it is not text in UTF-8");
    assertSentence(
        withTemplate(input, directory),
        2,
        "whence: --chat-template '" + directory + "' is not a file");
  }

  @Test
  void aChatTemplateThatIsNoTemplateIsNamedBeforeAnyModelIsLoaded() throws IOException {
    Path input = Files.writeString(directory.resolve("in.jsonl"), "{}\n");
    Path broken = Files.writeString(directory.resolve("broken.jinja"), "{% if %}");
    CommandRun run = withTemplate(input, broken);
    assertThat(run.exit()).isEqualTo(2);
    assertThat(run.err())
        .singleElement()
        .asString()
        .startsWith("whence: --chat-template '" + broken + "' is no template: line 1: ");
  }

  @Test
  void propertiesAreReadAsKafkasOwnToolsReadThem() throws IOException {
    Path latin =
        latin("latin.properties", "bootstrap.servers=caf\u00e9 1\nsasl.mechanism=caf\\u00e9\n");
    assertThat(topics(latin).err())
        .singleElement()
        .asString()
        .startsWith("whence: ")
        .contains("bootstrap.servers: caf\u00e9 1");

    Path escape = latin("escape.properties", "a=\\u00e\n");
    assertThat(topics(escape).exit()).isEqualTo(2);
    assertThat(topics(escape).err())
        .singleElement()
        .asString()
        .startsWith("whence: --kafka-config '" + escape + "' can not be read: ");
    Path missing = directory.resolve("missing.properties");
    assertSentence(topics(missing), 2, "whence: --kafka-config '" + missing + "' is not a file");
  }

  /** Otherwise everything would go over the wire as plain text. */
  @Test
  void aMistypedPropertyOfAClientIsRefused() throws IOException {
    Path kafka = latin("k.properties", "bootstrap.servers=b:1\nsecruity.protocol=SASL_SSL\n");
    assertSentence(
        topics(kafka),
        2,
        "whence: --kafka-config '"
            + kafka
            + "' has the unknown key secruity.protocol; did you mean security.protocol?");
    Path registry =
        latin("r.properties", "schema.registry.url=http://r\nbasic.auth.user.inf=a:b\n");
    assertSentence(
        CommandRun.of(
            "topics", "--bootstrap-server", "b:1", "--registry-config", registry.toString()),
        2,
        "whence: --registry-config '"
            + registry
            + "' has the unknown key basic.auth.user.inf; did you mean basic.auth.user.info?");
  }

  @Test
  void brokersThatCanNotBeAreNamed() {
    CommandRun run =
        CommandRun.of("topics", "--bootstrap-server", "a b", "--schema-registry", "http://r");
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err()).singleElement().asString().contains("bootstrap.servers: a b");
  }

  @Test
  void everyCommandNamesTheBrokersThatCanNotBeAsked() {
    String corpus = directory.resolve("corpus.jsonl").toString();
    for (String command :
        List.of(
            "topics",
            "dlq show",
            "dlq replay",
            "transfer rollback --model-id m",
            "influence collect --topic t --output " + corpus)) {
      CommandRun run =
          CommandRun.of(
              (command + " --bootstrap-server foo --schema-registry http://r").split(" ", -1));
      assertThat(run.exit()).isEqualTo(1);
      assertThat(run.err())
          .singleElement()
          .asString()
          .contains("the brokers at 'foo' can not be asked: Invalid url in bootstrap.servers: foo");
    }
  }

  @Test
  void brokersThatDoNotAnswerAreNamed() {
    Connection brokers = Connection.of("kafka-1:9092", "");
    for (RuntimeException silence :
        List.of(
            new TimeoutException("Timed out waiting for a node assignment. Call: listTopics"),
            new EnvironmentException("no answer", new java.util.concurrent.TimeoutException()))) {
      assertThatThrownBy(
              () ->
                  ConnectionOptions.asking(
                      brokers,
                      () -> {
                        throw silence;
                      }))
          .hasMessage("the brokers at 'kafka-1:9092' did not answer in time; are they reachable?");
    }
    assertThatThrownBy(
            () ->
                ConnectionOptions.asking(
                    brokers,
                    () -> {
                      throw new KafkaException("there is no topic t on these brokers");
                    }))
        .hasMessage("there is no topic t on these brokers");
  }

  @Test
  void anIndexOrModelThatIsNotThereIsNamedOnce() throws IOException {
    Path input = Files.writeString(directory.resolve("in.jsonl"), "{}\n");
    Path missing = directory.resolve("missing");
    assertSentence(
        CommandRun.of(
            "influence", "query", "--index", missing.toString(), "--input", input.toString()),
        1,
        "whence: " + missing + " could not be read (there is no such file or directory).");
    assertSentence(
        CommandRun.of("attribute", "--model", directory + "/.", "--input", input.toString()),
        1,
        "whence: "
            + directory
            + "/./config.json is missing or can not be read: there is no such file or directory");
  }

  @Test
  void anOutputThatCanNotBeMadeIsNamedAndTheDiskIsNotBlamed() throws IOException {
    assumeTrue(Files.isDirectory(PROC), "this system has no /proc");
    Path corpus = Files.writeString(directory.resolve("c.jsonl"), "{\"text\": \"a b c\"}\n");
    String output = PROC.resolve("no-such-output").toString();
    for (String command :
        List.of(
            "train tiny-base",
            "influence factors --model tiny-base --corpus " + corpus,
            "transfer run --base base-v1 --fine-tuned chat-v1 --target base-v2")) {
      CommandRun run = CommandRun.of((command + " --output " + output).split(" ", -1));
      assertThat(run.exit()).isEqualTo(1);
      assertThat(run.err())
          .last()
          .asString()
          .startsWith("whence: ")
          .contains(output, "there is no such file or directory")
          .doesNotContain("disk", "Exception");
    }
  }

  @Test
  void aReportThatCanNotBeWrittenIsRefusedBeforeAnythingIsMeasured() throws IOException {
    Path file = Files.writeString(directory.resolve("file"), "");
    CommandRun run =
        CommandRun.of(
            "bench",
            "exact",
            "--model",
            "README.md",
            "--input",
            "README.md",
            "--report",
            file.resolve("r.md").toString());
    assertThat(run.exit()).isEqualTo(2);
    assertThat(run.out()).isEmpty();
    assertThat(run.err())
        .singleElement()
        .asString()
        .startsWith("whence: --report '" + file.resolve("r.md") + "' can not be written: ");
  }

  /** The brokers' address is no address, so that nothing is connected to. */
  @Test
  void aPropertyOfTheOtherClientIsToldToBelongIntoTheOthersFile() throws IOException {
    Path kafka =
        latin(
            "k.properties",
            """
            bootstrap.servers=b 1
            basic.auth.user.info=a:b
            num.standby.replicas=1
            schema.registry.url=http://r
            """);
    var log = (Logger) LoggerFactory.getLogger(ClientKeys.class);
    var lines = new ListAppender<ILoggingEvent>();
    lines.start();
    log.addAppender(lines);
    try {
      assertThat(topics(kafka).exit()).isNotZero();
      assertThat(lines.list)
          .extracting(ILoggingEvent::getFormattedMessage)
          .containsExactly(
              "these keys are unknown to Kafka's consumers, producers and admin clients and to the"
                  + " registry's client: num.standby.replicas. They are passed on, for plugins and"
                  + " Kafka Streams; check their spelling if you meant something else.",
              "these keys in the file for --kafka-config belong into the file for --registry-config"
                  + " and have no effect here: basic.auth.user.info, schema.registry.url");

      lines.list.clear();
      CommandRun both =
          CommandRun.of(
              "topics", "--kafka-config", kafka.toString(), "--registry-config", kafka.toString());
      assertThat(both.exit()).isNotZero();
      assertThat(lines.list)
          .extracting(ILoggingEvent::getFormattedMessage)
          .isNotEmpty()
          .allMatch(line -> line.contains("client: num.standby.replicas. They"));
    } finally {
      log.detachAppender(lines);
    }
  }

  private CommandRun topics(Path kafkaConfig) {
    return CommandRun.of(
        "topics", "--kafka-config", kafkaConfig.toString(), "--schema-registry", "http://r");
  }

  private Path latin(String name, String text) throws IOException {
    return Files.write(directory.resolve(name), text.getBytes(StandardCharsets.ISO_8859_1));
  }

  private static void assertSentence(CommandRun run, int exit, String sentence) {
    assertThat(run.err()).containsExactly(sentence);
    assertThat(run.exit()).isEqualTo(exit);
  }
}
