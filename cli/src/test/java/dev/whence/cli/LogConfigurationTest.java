package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.joran.JoranConfigurator;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.joran.spi.JoranException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class LogConfigurationTest {
  /** Names of loggers that end with the name of a class. */
  private static final Pattern CLASS = Pattern.compile("<logger name=\"([a-z.]+\\.[A-Z]\\w*)\"");

  /** An upgrade of Kafka's clients may rename it, and the line would then silence nothing. */
  @Test
  void aClassWhoseLogIsSilencedIsThere() throws IOException {
    ClassLoader loader = LogConfigurationTest.class.getClassLoader();
    List<String> names;
    try (InputStream in = Objects.requireNonNull(loader.getResourceAsStream("logback.xml"))) {
      names =
          CLASS
              .matcher(new String(in.readAllBytes(), StandardCharsets.UTF_8))
              .results()
              .map((MatchResult found) -> found.group(1))
              .toList();
    }

    assertThat(names)
        .contains("org.apache.kafka.clients.consumer.internals.ConsumerMembershipManager")
        .allSatisfy(
            name -> assertThat(loader.getResource(name.replace('.', '/') + ".class")).isNotNull());
  }

  /** Names of tensors, tokens and files are quoted as they stand. */
  @Test
  void whatIsLoggedCanNeitherMoveTheCursorNorForgeALine() throws Exception {
    String hostile = "a\u001b[2J\r\n12:00:00.000 INFO forged\u009b1m\u202e\u2028\u0007 b\tc";
    List<String> lines = logged("the token '" + hostile + "'", null);
    assertThat(lines).singleElement().asString().contains("forged?1m??? b\tc'");
    assertFit(lines);
  }

  @Test
  void soIsTheMessageOfAnException() throws Exception {
    Exception cause = new IllegalStateException("root\n12:00:00.000 INFO forged\u001b[2J");
    List<String> lines =
        logged("failed", new IllegalArgumentException("outer\r12:00:00.000 INFO forged", cause));
    assertThat(lines)
        .anyMatch(line -> line.contains("IllegalStateException: root?12:00:00.000 INFO forged?[2J"))
        .anyMatch(line -> line.startsWith("Wrapped by: ") && line.contains("outer?12:00"))
        .anyMatch(line -> line.startsWith("\tat "))
        .noneMatch(line -> line.startsWith("12:00:00.000"));
    assertFit(lines);
  }

  private static void assertFit(List<String> lines) {
    assertThat(lines).noneMatch(line -> line.chars().anyMatch(c -> c < ' ' && c != '\t'));
  }

  /** What the log has of an event, by the configuration of the command line. */
  private static List<String> logged(String message, @Nullable Exception exception)
      throws JoranException {
    LoggerContext context = new LoggerContext();
    JoranConfigurator configurator = new JoranConfigurator();
    configurator.setContext(context);
    configurator.doConfigure(
        Objects.requireNonNull(
            LogConfigurationTest.class.getClassLoader().getResource("logback.xml")));
    Logger root = context.getLogger(Logger.ROOT_LOGGER_NAME);
    var appender = (ConsoleAppender<ILoggingEvent>) root.getAppender("STDERR");
    byte[] event =
        appender
            .getEncoder()
            .encode(new LoggingEvent("caller", root, Level.WARN, message, exception, null));
    return new String(event, StandardCharsets.UTF_8).lines().toList();
  }
}
