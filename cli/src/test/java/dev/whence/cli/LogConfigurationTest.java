package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
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
}
