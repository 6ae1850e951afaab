package dev.whence.quickstart;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.quickstart.view.Terminal;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a person reads where the quickstart can not begin. */
class QuickstartSentenceTest {
  @TempDir private Path directory;

  @Test
  void aDataDirectoryThatCanNotBeMadeIsNamedWithTheOptionThatChangesIt() throws IOException {
    Path file = Files.writeString(directory.resolve("taken"), "a file");
    ByteArrayOutputStream errors = new ByteArrayOutputStream();
    int code =
        Quickstart.run(
            new QuickstartOptions(
                Optional.empty(),
                Optional.empty(),
                OptionalInt.empty(),
                OptionalDouble.empty(),
                file,
                true,
                0,
                0,
                "fp32",
                "cpu"),
            Terminal.plain(
                new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8)),
            new PrintStream(errors, true, StandardCharsets.UTF_8));
    assertThat(code).isEqualTo(1);
    assertThat(errors.toString(StandardCharsets.UTF_8).strip())
        .isEqualTo(
            "whence: '"
                + file.toAbsolutePath()
                + "' is a file where a directory is needed; another place is named by --data-dir.");
  }
}
