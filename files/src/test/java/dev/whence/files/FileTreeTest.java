package dev.whence.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Directories with all that is in them. */
class FileTreeTest {
  @TempDir private Path directory;

  @Test
  void linksAreRemovedAndWhatTheyNameStays() throws IOException {
    Path kept = Files.createDirectory(directory.resolve("kept"));
    Path file = Files.writeString(kept.resolve("file"), "mine");
    Path root = Files.createDirectories(directory.resolve("root/deep/deeper")).getParent();
    Files.writeString(root.resolve("some"), "text");
    Files.createSymbolicLink(root.resolve("link"), kept);
    FileTree.delete(directory.resolve("root"));
    assertThat(directory.resolve("root")).doesNotExist();
    assertThat(file).hasContent("mine");
  }

  @Test
  void aLinkInTheRootsPlaceIsRemovedItself() throws IOException {
    Path link = Files.createSymbolicLink(directory.resolve("link"), directory.resolve("nothing"));
    FileTree.delete(link);
    assertThat(Files.exists(link, LinkOption.NOFOLLOW_LINKS)).isFalse();
  }

  @Test
  void whatIsNotThereIsNoError() {
    assertThatCode(() -> FileTree.delete(directory.resolve("never"))).doesNotThrowAnyException();
  }

  @Test
  void whatCanNotBeRemovedIsAnIoException() throws IOException {
    assumeThat(System.getProperty("user.name")).as("root may do anything").isNotEqualTo("root");
    Path closed = Files.createDirectories(directory.resolve("all/closed"));
    Files.writeString(closed.resolve("file"), "text");
    Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("r--------"));
    try {
      assertThatThrownBy(() -> FileTree.delete(directory.resolve("all")))
          .isInstanceOf(IOException.class);
    } finally {
      Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("rwx------"));
    }
  }

  @Test
  void whatCanNotEvenBeLookedAtIsAnIoException() {
    Path longer = directory.resolve("x".repeat(300)); // than a file system takes
    assertThatThrownBy(() -> FileTree.delete(longer)).isInstanceOf(IOException.class);
  }
}
