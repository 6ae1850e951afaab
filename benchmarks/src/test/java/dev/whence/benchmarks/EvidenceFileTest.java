package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvidenceFileTest {
  @TempDir Path directory;

  @Test
  void aFileSaysWhatWasRunWhereWhenAndWithWhichVersions() throws IOException {
    Machine machine = new Machine("Some|CPU", 2, 3L << 30, "Linux 6", "VM 17", 1.5);
    Path file = directory.resolve("new/exact.md");

    new EvidenceFile(
            "Title",
            "whence bench exact --model M",
            machine,
            Instant.parse("2026-01-02T03:04:05.6Z"),
            Map.of("model", "m"),
            "| a | b |\n\n")
        .write(file);

    assertThat(Files.readString(file))
        .startsWith("# Title\n\nCommand: `whence bench exact --model M`\n")
        .contains("| date | 2026-01-02T03:04:05Z |")
        .contains("| processor | Some\\|CPU, 2 cores |")
        .contains("| memory | 3.0 GiB |")
        .contains("| load average at the start | 1.50 |")
        .contains("| model | m |")
        .endsWith("| a | b |\n");
  }

  @Test
  void thisMachineIsDescribed() {
    Machine machine = Machine.here();
    assertThat(machine.cores()).isPositive();
    assertThat(machine.memoryBytes()).isPositive();
    assertThat(machine.processor()).isNotBlank();
  }
}
