package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.worker.EnvironmentException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClaimCheckTest {
  private static final byte[] BYTES = {1, 2, 3};

  @TempDir private Path directory;

  private List<Path> files() throws Exception {
    try (Stream<Path> all = Files.list(directory)) {
      return all.toList();
    }
  }

  @Test
  void whatIsPutHasThePermissionsOfAnyOtherFileForItsReadersAreOtherUsers() throws Exception {
    Path other = Files.write(directory.resolve("other"), BYTES);
    String name = new ClaimCheck(directory).put(BYTES);
    assertThat(Files.getPosixFilePermissions(directory.resolve(name + ".sketch")))
        .isEqualTo(Files.getPosixFilePermissions(other));
    assertThat(new ClaimCheck(directory).get(name)).hasValue(BYTES);
  }

  @Test
  void whatIsOldIsSweptWhetherItWasFinishedOrNot() throws Exception {
    FileTime old = FileTime.from(Instant.now().minus(Duration.ofDays(2)));
    for (String name : List.of("a.sketch", "b.writing", "c.other")) {
      Files.setLastModifiedTime(Files.write(directory.resolve(name), BYTES), old);
    }
    String kept = new ClaimCheck(directory).put(BYTES);
    assertThat(files())
        .containsExactlyInAnyOrder(
            directory.resolve("c.other"), directory.resolve(kept + ".sketch"));
  }

  @Test
  void aDirectoryThatIsNotThereIsNoRecordsFault() {
    ClaimCheck here = new ClaimCheck(directory);
    ClaimCheck unmounted = new ClaimCheck(directory.resolve("unmounted"));
    assertThat(here.get("0".repeat(64))).isEmpty();
    assertThatThrownBy(() -> unmounted.get("0".repeat(64)))
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("claim-check.dir")
        .hasMessageContaining("is not there");
  }
}
