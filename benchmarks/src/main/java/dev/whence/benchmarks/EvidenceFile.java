package dev.whence.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Locale;
import java.util.Map;

/**
 * A report as a Markdown file that stands on its own: what was run, where, when, with which
 * versions, and what came out.
 *
 * @param title first line
 * @param command that gives the figures again
 * @param machine where
 * @param when begin of the run
 * @param versions of what was measured and of what it runs on, by name
 * @param body the figures, as Markdown
 */
public record EvidenceFile(
    String title,
    String command,
    Machine machine,
    Instant when,
    Map<String, String> versions,
    String body) {

  String markdown() {
    StringBuilder out = new StringBuilder();
    out.append("# ").append(title).append("\n\n");
    out.append("Command: `").append(command.replace('`', '\'')).append("`\n\n");
    out.append("| | |\n|---|---|\n");
    row(out, "date", when.truncatedTo(ChronoUnit.SECONDS).toString());
    row(out, "processor", machine.processor() + ", " + machine.cores() + " cores");
    row(out, "memory", String.format(Locale.ROOT, "%.1f GiB", machine.memoryBytes() / 0x1p30));
    row(out, "system", machine.system());
    row(out, "java", machine.java());
    row(
        out,
        "load average at the start",
        machine.loadAverage() < 0
            ? "unknown"
            : String.format(Locale.ROOT, "%.2f", machine.loadAverage()));
    versions.forEach((name, version) -> row(out, name, version));
    return out.append('\n').append(body.stripTrailing()).append('\n').toString();
  }

  private static void row(StringBuilder out, String name, String value) {
    out.append("| ").append(name).append(" | ").append(value.replace("|", "\\|")).append(" |\n");
  }

  /** Writes the file, and its directory where it is new. */
  public void write(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    if (directory != null) {
      Files.createDirectories(directory);
    }
    Files.writeString(file, markdown());
  }
}
