package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.files.OwnFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputLockTest {
  private static final int GOT_IT = 7;
  private static final int BUSY = 8;

  @TempDir Path directory;

  @Test
  void anotherProcessIsTurnedAwayUntilTheLockIsGivenBack() throws Exception {
    Path output = directory.resolve("model");
    try (OutputLock held = OutputLock.of(output)) {
      assertThat(other(output)).isEqualTo(BUSY);
      // Whoever is turned away in this process must not take the lock from who holds it.
      assertThatThrownBy(() -> OutputLock.of(output)).isInstanceOf(BusyException.class);
      assertThat(other(output)).isEqualTo(BUSY);
      assertThat(held).isNotNull();
    }
    assertThat(other(output)).isEqualTo(GOT_IT);
    try (var files = Files.list(directory)) {
      assertThat(files).isEmpty();
    }
  }

  /** In a directory that others can write to, somebody may have left one. */
  @Test
  void aLinkInTheLocksPlaceLeadsNowhere() throws Exception {
    Path output = directory.resolve("model");
    Path somebodys = Files.writeString(directory.resolve("somebody's"), "theirs");
    Path link =
        Files.createSymbolicLink(directory.resolve(".model.whence-transfer.lock"), somebodys);
    assertThatThrownBy(() -> OutputLock.of(output)).isInstanceOf(OwnFile.LinkException.class);
    assertThatThrownBy(() -> OutputLock.isHeld(output)).isInstanceOf(OwnFile.LinkException.class);
    assertThat(somebodys).hasContent("theirs");

    Files.delete(link);
    Files.createSymbolicLink(link, directory.resolve("not-there-yet"));
    assertThatThrownBy(() -> OutputLock.of(output)).isInstanceOf(OwnFile.LinkException.class);
    assertThat(directory.resolve("not-there-yet")).doesNotExist();

    Files.delete(link);
    OutputLock.of(output).close();
  }

  private static int other(Path output) throws Exception {
    Process process =
        new ProcessBuilder(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    System.getProperty("java.class.path"),
                    OutputLockTest.class.getName(),
                    output.toString()))
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    return process.exitValue();
  }

  public static void main(String[] args) throws Exception {
    int status = BUSY;
    try {
      OutputLock.of(Path.of(args[0])).close();
      status = GOT_IT;
    } catch (BusyException e) {
      // somebody else has it
    }
    System.exit(status);
  }
}
