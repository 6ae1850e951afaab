package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportsTest {
  @TempDir private Path directory;

  private List<String> files() throws IOException {
    try (var files = Files.list(directory.resolve("reports"))) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void aPageHasItsTransfersNameAndIsWrittenOver() throws IOException {
    Reports reports = new Reports(directory.resolve("reports"));
    reports.write("ab12", "first");
    Path page = reports.write("ab12", "second");
    assertThat(page).isEqualTo(directory.resolve("reports/ab12.html")).hasContent("second");
    assertThat(files()).containsExactly("ab12.html");
  }

  @Test
  void aPageMayBeReadByWhoeverMayReadOtherFiles() throws IOException {
    Path page = new Reports(directory.resolve("reports")).write("ab12", "page");
    Path other = Files.createFile(directory.resolve("other"));
    assertThat(Files.getPosixFilePermissions(page)).isEqualTo(Files.getPosixFilePermissions(other));
  }

  @Test
  void theNewestPagesAreKept() throws IOException {
    Reports reports = new Reports(directory.resolve("reports"), 3);
    for (int i = 0; i < 5; i++) {
      Path page = reports.write("t" + i, "page");
      Files.setLastModifiedTime(page, FileTime.fromMillis(1_000_000_000_000L + i * 1000L));
    }
    assertThat(files()).containsExactly("t2.html", "t3.html", "t4.html");
    Files.writeString(directory.resolve("reports/notes.txt"), "somebody else's");
    reports.write("t5", "page");
    assertThat(files()).containsExactly("notes.txt", "t3.html", "t4.html", "t5.html");
  }

  @Test
  void anIdThatIsNoFileNameDoesNotLeaveTheDirectory() throws IOException {
    Reports reports = new Reports(directory.resolve("reports"));
    for (String id : List.of("../../outside", "/tmp/x", "", "..", "a\0b", "x".repeat(300))) {
      assertThat(reports.write(id, "page").getParent()).isEqualTo(directory.resolve("reports"));
    }
    assertThat(files()).hasSize(6).allMatch(name -> name.matches("[0-9a-f]{64}\\.html"));
    try (var all = Files.list(directory)) {
      assertThat(all).containsExactly(directory.resolve("reports"));
    }
  }
}
