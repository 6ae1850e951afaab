package dev.whence.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileProblemTest {
  @TempDir private Path directory;

  @Test
  void whatIsWrongIsSaidInWordsAndTheNamedFileOnlyOnce() throws IOException {
    Path missing = directory.resolve("missing");
    assertThat(FileProblem.of(problem(() -> Files.readString(missing)), missing))
        .isEqualTo("there is no such file or directory");
    Path latin = Files.write(directory.resolve("latin"), new byte[] {'a', (byte) 0xe9, 'b'});
    assertThat(FileProblem.of(problem(() -> Files.readString(latin)), latin))
        .isEqualTo("it is not text in UTF-8");
    assertThat(FileProblem.of(problem(() -> Files.createDirectory(latin)), latin))
        .isEqualTo("it is there already");
    assertThat(FileProblem.of(new NotDirectoryException(latin.toString()), latin))
        .isEqualTo("it is no directory");
    assertThat(FileProblem.of(problem(() -> Files.delete(directory)), directory))
        .isEqualTo("the directory is not empty");
    assertThat(FileProblem.of(problem(() -> Files.readString(directory)), directory))
        .isEqualTo("Is a directory");
    assertThat(FileProblem.words(new AccessDeniedException("f"))).isEqualTo("permission denied");
    assertThat(FileProblem.words(new FileSystemException("f", null, "No space left on device")))
        .isEqualTo("No space left on device");
    assertThat(FileProblem.words(new IOException())).isEqualTo("IOException");
  }

  @Test
  void aFileThatTheSentenceDoesNotNameIsNamed() {
    Path missing = directory.resolve("missing");
    assertThat(FileProblem.of(problem(() -> Files.readString(missing)), directory))
        .isEqualTo("'" + missing + "': there is no such file or directory");
  }

  @Test
  void theDiskIsBlamedOnlyWhereItMayBeTheDisk() {
    Path file = directory.resolve("none/file");
    assertThat(FileProblem.unwritten(problem(() -> Files.writeString(file, "x")), file))
        .isEqualTo("(there is no such file or directory)");
    assertThat(FileProblem.unwritten(new IOException("No space left on device"), file))
        .isEqualTo("(No space left on device): see that the disk has room");
  }

  @Test
  void aLinkThatIsNotFollowedIsSaidAndTheDiskIsNotBlamed() throws IOException {
    Path link = Files.createSymbolicLink(directory.resolve("link"), directory.resolve("there"));
    IOException refused = problem(() -> OwnFile.write(link, new byte[1]));
    assertThat(FileProblem.of(refused, link)).isEqualTo("it is a link, which is not followed here");
    assertThat(FileProblem.unwritten(refused, link))
        .isEqualTo("(it is a link, which is not followed here)");
    assertThat(directory.resolve("there")).doesNotExist();
    Files.delete(link);
    OwnFile.write(link, new byte[3]);
    OwnFile.write(link, new byte[1]);
    assertThat(link).hasBinaryContent(new byte[1]);
  }

  private static IOException problem(ThrowingCallable call) {
    return catchThrowableOfType(IOException.class, call);
  }
}
