package dev.whence.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WholeFileTest {
  @TempDir Path directory;

  @Test
  void isWrittenAndWrittenOverWithNothingBesideIt() throws IOException {
    Path file = directory.resolve("state.json");
    WholeFile.write(file, new byte[] {1, 2, 3});
    WholeFile.write(file, new byte[] {4});
    assertThat(file).hasBinaryContent(new byte[] {4});
    assertThat(directory.toFile().list()).containsExactly("state.json");
  }

  @Test
  void whatCanNotTakeItsPlaceLeavesWhatWasThereAndNothingElse() throws IOException {
    Path taken = Files.createDirectory(directory.resolve("state.json"));
    Files.writeString(taken.resolve("inside"), "kept");
    assertThatThrownBy(() -> WholeFile.write(taken, new byte[] {1}))
        .isInstanceOf(IOException.class);
    assertThat(taken.resolve("inside")).hasContent("kept");
    assertThat(directory.toFile().list()).containsExactly("state.json");
  }
}
