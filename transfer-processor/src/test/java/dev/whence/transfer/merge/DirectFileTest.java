package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AddLifecycleHook;
import net.jqwik.api.lifecycle.LifecycleContext;
import net.jqwik.api.lifecycle.SkipExecutionHook;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.opentest4j.TestAbortedException;

class DirectFileTest {
  private static final Set<StandardOpenOption> OPTIONS =
      Set.of(StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);

  @TempDir Path directory;

  /** A range of a file that one thread writes. */
  private record Range(int from, int bytes) {}

  /** Some systems keep temporary files where there is no direct input and output. */
  static DirectFile open(Path file, Set<StandardOpenOption> options) throws IOException {
    return open(file, options, FileChannel::open);
  }

  /** Aborts a test where a file can not be written directly. */
  static void assumePossible(Path probe) throws IOException {
    open(probe, OPTIONS).close();
    Files.delete(probe);
  }

  /** The same for a property, which has no assumptions about where it runs. */
  static final class WherePossible implements SkipExecutionHook {
    @Override
    public SkipResult shouldBeSkipped(LifecycleContext context) {
      try {
        assumePossible(Files.createTempFile("whence-direct", ""));
        return SkipResult.doNotSkip();
      } catch (TestAbortedException e) {
        return SkipResult.skip(e.getMessage());
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static DirectFile open(
      Path file, Set<StandardOpenOption> options, MergeOptions.Opener opener) throws IOException {
    try {
      return DirectFile.open(file, opener, options);
    } catch (DirectFile.UnableException e) {
      return Assumptions.abort("no direct input and output here: " + e.getMessage());
    }
  }

  /** Reads or writes only some bytes of what it is asked for, so many times. */
  private static final class PartialChannel extends FullChannel {
    private final FileChannel real;
    private final int some;
    private int reads;
    private int writes;

    PartialChannel(FileChannel real, int some) {
      super(real, new AtomicLong(Long.MAX_VALUE));
      this.real = real;
      this.some = some;
    }

    @Override
    public int read(ByteBuffer bytes, long position) throws IOException {
      int before = bytes.position();
      int n = real.read(bytes, position);
      if (reads > 0 && n > some) {
        reads--;
        bytes.position(before + some);
        return some;
      }
      return n;
    }

    @Override
    public int write(ByteBuffer bytes, long position) throws IOException {
      if (position % 512 != 0) {
        throw new IOException("written from byte " + position + ", where no block begins");
      }
      if (writes == 0) {
        return real.write(bytes, position);
      }
      writes--;
      if (some > 0) {
        // As a disk that took the whole block but told of some: what was told is what counts.
        ByteBuffer whole = bytes.duplicate();
        real.write(whole, position);
      }
      bytes.position(bytes.position() + some);
      return some;
    }
  }

  private static byte[] random(int bytes) {
    byte[] random = new byte[bytes];
    new Random(bytes).nextBytes(random);
    return random;
  }

  private static byte[] zeroed(byte[] bytes, int from, int to) {
    byte[] zeroed = bytes.clone();
    Arrays.fill(zeroed, from, to, (byte) 0);
    return zeroed;
  }

  @Test
  void aBlockThatIsReadShortOnceIsReadAgainAndItsNeighbourStays() throws IOException {
    byte[] earlier = random(10_000);
    Path file = Files.write(directory.resolve("file"), earlier);
    List<PartialChannel> channels = new ArrayList<>();
    try (DirectFile direct = open(file, OPTIONS, partial(channels, 100))) {
      channels.get(0).reads = 1;
      direct.write(3_000, ByteBuffer.wrap(new byte[1_000]));
      channels.get(0).reads = 1;
      ByteBuffer memory = DirectFile.memory(2_000, direct.block());
      direct.read(5_000, 2_000, memory);
      assertThat(memory).isEqualTo(ByteBuffer.wrap(earlier, 5_000, 2_000).slice());
      direct.trim(earlier.length);
    }
    assertThat(Files.readAllBytes(file)).isEqualTo(zeroed(earlier, 3_000, 4_000));
  }

  @Test
  void aBlockThatIsReadShortAgainFailsAndNothingIsWritten() throws IOException {
    byte[] earlier = random(10_000);
    Path file = Files.write(directory.resolve("file"), earlier);
    List<PartialChannel> channels = new ArrayList<>();
    try (DirectFile direct = open(file, OPTIONS, partial(channels, 100))) {
      channels.get(0).reads = Integer.MAX_VALUE;
      assertThatThrownBy(() -> direct.write(3_000, ByteBuffer.wrap(new byte[1_000])))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("short read of a block")
          .hasMessageContaining("10000");
      assertThatThrownBy(() -> direct.read(5_000, 2_000, DirectFile.memory(2_000, direct.block())))
          .hasMessageContaining("short read of a block");
    }
    assertThat(Files.readAllBytes(file)).isEqualTo(earlier);
  }

  @Test
  void aBorderThatIsWrittenShortIsWrittenAgainFromWhereTheBlockBegins() throws IOException {
    byte[] earlier = random(10_000);
    Path file = Files.write(directory.resolve("file"), earlier);
    List<PartialChannel> channels = new ArrayList<>();
    try (DirectFile direct = open(file, OPTIONS, partial(channels, 100))) {
      channels.get(0).writes = 2;
      direct.write(3_000, ByteBuffer.wrap(new byte[1_000]));
      direct.trim(earlier.length);
    }
    assertThat(Files.readAllBytes(file)).isEqualTo(zeroed(earlier, 3_000, 4_000));
  }

  @Test
  @Timeout(20)
  void aDiskThatTakesNothingOrNeverAllFailsInsteadOfBeingAskedForEver() throws IOException {
    for (int some : new int[] {0, 100}) {
      Path file = Files.write(directory.resolve("file-" + some), random(10_000));
      List<PartialChannel> channels = new ArrayList<>();
      try (DirectFile direct = open(file, OPTIONS, partial(channels, some))) {
        channels.get(0).writes = Integer.MAX_VALUE;
        assertThatThrownBy(() -> direct.write(3_000, ByteBuffer.wrap(new byte[1_000])))
            .isInstanceOf(IOException.class)
            .hasMessageContaining("wrote only " + some + " bytes of the block at byte ");
      }
    }
    Path file = Files.write(directory.resolve("whole"), random(10_000));
    List<PartialChannel> channels = new ArrayList<>();
    try (DirectFile direct = open(file, OPTIONS, partial(channels, 0))) {
      channels.get(0).writes = Integer.MAX_VALUE;
      ByteBuffer whole = DirectFile.memory(direct.block(), direct.block()).limit(direct.block());
      assertThatThrownBy(() -> direct.write(0, whole))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("wrote nothing at byte 0");
    }
  }

  private static MergeOptions.Opener partial(List<PartialChannel> opened, int some) {
    return (file, options) -> {
      PartialChannel channel = new PartialChannel(FileChannel.open(file, options), some);
      opened.add(channel);
      return channel;
    };
  }

  @Property(tries = 60)
  @AddLifecycleHook(WherePossible.class)
  void whatThreadsWriteInAnyRangesAndOrderIsInTheFile(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 60) int ranges) throws Exception {
    Random random = new Random(seed);
    List<Range> all = new ArrayList<>();
    int size = 0;
    for (int i = 0; i < ranges; i++) {
      // Many in one block, some over a few blocks, some of many.
      int bytes = 1 + random.nextInt(new int[] {50, 20_000, 200_000}[random.nextInt(3)]);
      all.add(new Range(size, bytes));
      size += bytes;
    }
    byte[] expected = new byte[size];
    random.nextBytes(expected);
    Collections.shuffle(all, random);
    Path file = Files.createTempFile("whence-direct", "");
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try (DirectFile direct = open(file, OPTIONS)) {
      List<Future<?>> running = new ArrayList<>();
      for (Range range : all) {
        boolean asInFile = random.nextInt(4) > 0;
        running.add(
            threads.submit(
                () -> {
                  ByteBuffer memory = DirectFile.memory(range.bytes(), direct.block());
                  int skip = asInFile ? range.from() % direct.block() : 0;
                  memory.limit(skip + range.bytes()).position(skip);
                  memory.put(expected, range.from(), range.bytes()).position(skip);
                  direct.write(range.from(), memory);
                  assertThat(memory.hasRemaining()).isFalse();
                  return null;
                }));
      }
      for (Future<?> one : running) {
        one.get();
      }
      for (Range range : all) {
        ByteBuffer memory = DirectFile.memory(range.bytes(), direct.block());
        direct.read(range.from(), range.bytes(), memory);
        assertThat(memory)
            .isEqualTo(ByteBuffer.wrap(expected, range.from(), range.bytes()).slice());
      }
      direct.trim(size);
      direct.force();
      assertThat(Files.readAllBytes(file)).isEqualTo(expected);
    } finally {
      threads.shutdownNow();
      Files.delete(file);
    }
  }

  @Test
  void whatAnEarlierRunWroteBesideABorderStays() throws IOException {
    byte[] earlier = random(10_000);
    Path file = Files.write(directory.resolve("file"), earlier);
    try (DirectFile direct = open(file, OPTIONS)) {
      direct.write(3_000, ByteBuffer.wrap(new byte[6_000]));
      direct.trim(earlier.length);
    }
    assertThat(Files.readAllBytes(file)).isEqualTo(zeroed(earlier, 3_000, 9_000));
  }

  @Test
  void aReadBeyondTheEndGivesWhatIsThere() throws IOException {
    Path file = Files.write(directory.resolve("file"), new byte[5_000]);
    try (DirectFile direct = open(file, Set.of(StandardOpenOption.READ))) {
      ByteBuffer memory = DirectFile.memory(6_000, direct.block());
      direct.read(4_999, 6_000, memory);
      assertThat(memory.remaining()).isEqualTo(1);
      direct.read(5_000, 1, memory);
      assertThat(memory.remaining()).isZero();
      direct.read(100_000, 6_000, memory);
      assertThat(memory.remaining()).isZero();
    }
  }

  @Test
  void aFileOfNoFileSystemOfThisMachineIsRefusedWithTheReason() throws IOException {
    try (FileSystem memory = Jimfs.newFileSystem(Configuration.unix())) {
      Path file = Files.write(memory.getPath("/file"), new byte[1]);
      assertThatThrownBy(
              () -> DirectFile.open(file, FileChannel::open, Set.of(StandardOpenOption.READ)))
          .isInstanceOf(DirectFile.UnableException.class)
          .hasMessageContaining("no file system of this machine");
    }
  }
}
