package dev.whence.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One writer at a time. */
class WriterLockTest {
  @TempDir private Path directory;

  /** Tries to lock in a JVM of its own, and prints whether it could. */
  static final class Other {
    public static void main(String[] args) throws IOException {
      System.out.print(WriterLock.alone(Path.of(args[0]), () -> {}));
    }
  }

  /** Holds a lock in a JVM of its own until it is killed. */
  static final class Holder {
    public static void main(String[] args) throws IOException {
      WriterLock held = WriterLock.acquire(Path.of(args[0])).orElseThrow();
      System.out.print("h");
      System.out.flush();
      int killed = System.in.read(); // never: nobody writes to it
      held.close();
      System.exit(killed);
    }
  }

  private static Process start(Class<?> main, Path lock) throws IOException {
    return new ProcessBuilder(
            ProcessHandle.current().info().command().orElseThrow(),
            "-cp",
            System.getProperty("java.class.path"),
            main.getName(),
            lock.toString())
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }

  private static String otherProcess(Path lock) {
    try {
      Process process = start(Other.class, lock);
      return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean alone(Path lock, Runnable work) {
    try {
      return WriterLock.alone(lock, work);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** That this process tried again must not let another one in. */
  @Test
  void whileOneIsAtWorkNobodyElseIsInThisProcessOrAnother() {
    Path lock = directory.resolve("a.lock");
    List<Object> seen = new ArrayList<>();
    boolean worked =
        alone(
            lock,
            () -> {
              seen.add(alone(directory.resolve("./a.lock"), () -> seen.add("second")));
              seen.add(otherProcess(lock));
            });
    assertThat(worked).isTrue();
    assertThat(seen).containsExactly(false, "false");
    assertThat(otherProcess(lock)).isEqualTo("true");
  }

  @Test
  void workThatFailsGivesTheLockBack() {
    Path lock = directory.resolve("b.lock");
    assertThatThrownBy(
            () ->
                alone(
                    lock,
                    () -> {
                      throw new IllegalStateException("failed");
                    }))
        .hasMessage("failed");
    assertThat(alone(lock, () -> {})).isTrue();
  }

  @Test
  void aLinkInTheLocksPlaceIsNotFollowed() throws IOException {
    Path lock = directory.resolve("c.lock");
    Path elsewhere = directory.resolve("elsewhere");
    Files.createSymbolicLink(lock, elsewhere);
    assertThatThrownBy(() -> WriterLock.alone(lock, () -> {}))
        .isInstanceOf(OwnFile.LinkException.class);
    assertThat(elsewhere).doesNotExist();
    Files.delete(lock);
    assertThat(alone(lock, () -> {})).isTrue();
  }

  /** Closed again, it must not give back what somebody else took meanwhile. */
  @Test
  void aLockThatWasGivenBackIsNotGivenBackAgain() throws IOException {
    Path file = directory.resolve("d.lock");
    WriterLock first = WriterLock.acquire(file).orElseThrow();
    assertThat(WriterLock.acquire(file)).isEmpty();
    first.close();
    try (WriterLock second = WriterLock.acquire(file).orElseThrow()) {
      assertThat(second).isNotSameAs(first);
      first.close();
      assertThat(WriterLock.acquire(file)).isEmpty();
      assertThat(otherProcess(file)).isEqualTo("false");
    }
  }

  /** Opening the file under another name, and closing it, would give the lock away. */
  @Test
  void aDirectoryHasOneLockWhicheverLinkLeadsToIt() throws IOException {
    Path real = Files.createDirectory(directory.resolve("real"));
    Path link = Files.createSymbolicLink(directory.resolve("link"), real);
    WriterLock held = WriterLock.acquire(real.resolve("e.lock")).orElseThrow();
    try {
      assertThat(WriterLock.acquire(link.resolve("e.lock"))).isEmpty();
      assertThat(otherProcess(real.resolve("e.lock"))).isEqualTo("false");
    } finally {
      held.close();
    }
  }

  @Test
  void whatAnotherProcessHeldCanBeHadWhenItHasEnded() throws Exception {
    Path lock = directory.resolve("f.lock");
    Process other = start(Holder.class, lock);
    try {
      assertThat(other.getInputStream().read()).as("it holds the lock").isEqualTo('h');
      assertThat(WriterLock.acquire(lock)).isEmpty();
      assertThat(WriterLock.acquire(lock)).isEmpty();
    } finally {
      other.destroyForcibly().waitFor();
    }
    try (WriterLock held = WriterLock.acquire(lock).orElseThrow()) {
      assertThat(held).isNotNull();
      assertThat(otherProcess(lock)).isEqualTo("false");
    }
  }
}
