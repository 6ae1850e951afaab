package dev.whence.transfer.merge;

import static dev.whence.transfer.merge.SmallMerge.ONE;
import static dev.whence.transfer.merge.SmallMerge.TWO;
import static dev.whence.transfer.merge.SmallMerge.random;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import com.sun.nio.file.ExtendedOpenOption;
import dev.whence.engine.weights.ElementType;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystem;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.slf4j.LoggerFactory;

/** Everything that {@link MergeRunTest} says, of merges past the page cache; and their own. */
class PastCacheMergeTest extends MergeRunTest {
  /** Of tests that say what happens where it is not possible to go past the cache. */
  private static final String FALLBACK = "fallback";

  /** Past the page cache, however few bytes there are. */
  static final MergeOptions OPTIONS = MergeOptions.defaults().withDirectBytes(0);

  @Override
  MergeOptions options() {
    return OPTIONS;
  }

  /** A test that went through the cache would say nothing here. */
  @BeforeEach
  void onlyWhereItIsPossible(TestInfo test) throws IOException {
    if (!test.getTags().contains(FALLBACK)) {
      DirectFileTest.assumePossible(directory.resolve("probe"));
    }
  }

  /** Tensors of one shard at any offset: bytes between the numbers shift what follows. */
  private static ModelFolder odd(Random sizes, long seed) {
    ModelFolder folder = new ModelFolder();
    List<ElementType> types = List.of(ElementType.BF16, ElementType.F16, ElementType.F32);
    for (int shard = 1; shard <= 2; shard++) {
      String file = "model-0000" + shard + "-of-00002.safetensors";
      for (int i = 0; i < 8; i++) {
        String name = shard + "." + i;
        // One is larger than the smallest piece.
        int kept = i == 5 ? 70_000 : i % 4 == 0 ? 10_000 : 10;
        byte[] bytes = random((i == 5 ? 66_000 : 1) + sizes.nextInt(kept), 10 * shard + i);
        folder.add(
            file, new ModelFolder.Raw(name + ".bytes", "U8", List.of((long) bytes.length), bytes));
        ElementType type = types.get(sizes.nextInt(types.size()));
        long elements = sizes.nextInt(3) == 0 ? sizes.nextInt(3000) : sizes.nextInt(300_000);
        folder.random(file, name + ".numbers", type, seed + i, elements);
      }
    }
    return folder;
  }

  @Test
  void tensorsAtAnyOffsetComeOutAsTheFineTunedModelsWhereTheBaseStays() throws IOException {
    for (long seed = 0; seed < 6; seed++) {
      Path before = odd(new Random(seed), 1).write(directory.resolve("before-" + seed));
      Path after = odd(new Random(seed), 100).write(directory.resolve("after-" + seed));
      merge.output = directory.resolve("odd-" + seed);
      merge.run(
          TransferRequest.of(before, after, before),
          options().withMemoryBytes(seed == 0 ? 1 : new Random(seed).nextInt(8 << 20)));
      Map<String, String> expected = ModelFolder.contents(after);
      Map<String, String> merged = ModelFolder.contents(merge.output);
      expected.keySet().removeIf(name -> !name.endsWith("ors"));
      assertThat(expected).hasSize(2);
      assertThat(merged).as("seed %d", seed).containsAllEntriesOf(expected);
    }
  }

  @Test
  void aStoppedRunIsResumedTheOtherWayToTheSameBytes() throws IOException {
    Path b = odd(new Random(3), 1).write(directory.resolve("b"));
    Path f = odd(new Random(3), 100).write(directory.resolve("f"));
    Path t = odd(new Random(3), 200).write(directory.resolve("t"));
    TransferRequest request = TransferRequest.of(b, f, t).withLambdas(List.of(.5, 1.));
    MergeOptions through = options().withDirectBytes(Long.MAX_VALUE);
    merge.run(request, through);
    Map<String, String> expected = ModelFolder.contents(merge.output);
    for (int stops = 0; stops < 6; stops++) {
      merge.output = directory.resolve("stopped-" + stops);
      AtomicInteger asked = new AtomicInteger();
      int after = 10 + 25 * stops;
      MergeOptions first = stops % 2 == 0 ? options() : through;
      try {
        merge.run(
            request,
            first
                .withWorkers(2)
                .withMemoryBytes(1)
                .withForceBytes(100_000)
                .withStop(() -> asked.incrementAndGet() > after));
        throw new AssertionError("it was to be stopped");
      } catch (StoppedException e) {
        assertThat(merge.output).doesNotExist();
      }
      merge.run(request, stops % 2 == 0 ? through : options());
      assertThat(ModelFolder.contents(merge.output)).as("%d stops", stops).isEqualTo(expected);
    }
  }

  @Test
  @Tag(FALLBACK)
  void whereAFileSystemCanNotDoItTheBytesGoThroughTheCacheAndTheLogSaysSo() throws IOException {
    merge.run(merge.request(), options().withDirectBytes(Long.MAX_VALUE));
    Map<String, String> expected = ModelFolder.contents(merge.output);
    List<MergeOptions.Opener> unable =
        List.of(
            (file, options) -> {
              if (isDirect(options)) {
                throw new UnsupportedOperationException("no such option");
              }
              return FileChannel.open(file, options);
            },
            (file, options) -> {
              if (isDirect(options)) {
                throw new FileSystemException(file.toString(), null, "Invalid argument");
              }
              return FileChannel.open(file, options);
            },
            (file, options) ->
                isDirect(options)
                    ? new RefusingChannel(FileChannel.open(file, options), "Invalid argument")
                    : FileChannel.open(file, options));
    for (int i = 0; i < unable.size(); i++) {
      merge.output = directory.resolve("unable-" + i);
      List<String> log = new ArrayList<>();
      MergeOptions options = options().withOpener(unable.get(i));
      logged(log, () -> merge.run(merge.request(), options));
      assertThat(ModelFolder.contents(merge.output)).isEqualTo(expected);
      assertThat(log)
          .anyMatch(line -> line.contains("written through the page cache"))
          .allMatch(
              line ->
                  line.contains("no direct input and output")
                      || line.contains("has blocks of")
                      || line.contains(": Invalid argument")
                      || line.contains(", Invalid argument"));
    }
  }

  @Test
  void whatABrokenOrFullDiskSaysIsNoReasonToGoThroughTheCache() throws IOException {
    for (String reason : List.of("Input/output error", "No space left on device")) {
      List<MergeOptions.Opener> broken =
          List.of(
              (file, options) -> {
                if (isDirect(options)) {
                  throw new FileSystemException(file.toString(), null, reason);
                }
                return FileChannel.open(file, options);
              },
              (file, options) ->
                  isDirect(options)
                      ? new RefusingChannel(FileChannel.open(file, options), reason)
                      : FileChannel.open(file, options),
              // Outputs are whole, inputs are not.
              (file, options) ->
                  isDirect(options) && !options.contains(StandardOpenOption.WRITE)
                      ? new RefusingChannel(FileChannel.open(file, options), reason)
                      : FileChannel.open(file, options));
      for (MergeOptions.Opener opener : broken) {
        MergeOptions options = options().withOpener(opener);
        assertThatThrownBy(() -> merge.run(merge.request(), options))
            .isInstanceOf(TransferException.class)
            .hasMessageContaining("model-0000")
            .hasMessageContaining(reason);
        merge.assertNoTraces();
        assertThat(merge.output).doesNotExist();
      }
    }
  }

  @Test
  void whereTheProcessMayOpenNoMoreFilesAllInputsAreReadThroughTheCache() throws IOException {
    merge.run(merge.request(), options().withDirectBytes(Long.MAX_VALUE));
    Map<String, String> expected = ModelFolder.contents(merge.output);
    merge.output = directory.resolve("few");
    List<FileChannel> inputs = new ArrayList<>();
    AtomicInteger outputs = new AtomicInteger();
    MergeOptions.Opener opener =
        (file, options) -> {
          if (options.contains(StandardOpenOption.WRITE)) {
            assertThat(inputs).as("opened before outputs").isEmpty();
            outputs.incrementAndGet();
            return FileChannel.open(file, options);
          }
          if (inputs.size() == 4) {
            throw new FileSystemException(file.toString(), null, "Too many open files");
          }
          FileChannel channel = FileChannel.open(file, options);
          inputs.add(channel);
          return channel;
        };
    // Asked while tensors are merged: nothing is held then.
    MergeOptions options =
        options()
            .withOpener(opener)
            .withStop(
                () -> {
                  assertThat(inputs).hasSize(4).noneMatch(FileChannel::isOpen);
                  return false;
                });
    List<String> log = new ArrayList<>();
    logged(log, () -> merge.run(merge.request(), options));
    assertThat(outputs).hasValue(2);
    assertThat(ModelFolder.contents(merge.output)).isEqualTo(expected);
    assertThat(log)
        .singleElement()
        .asString()
        .contains("6 files are read through the page cache")
        .contains("Too many open files");
  }

  @Test
  void anInterruptWhileFilesAreOpenedKeepsWhatWasDoneAsAStopDoes() throws IOException {
    merge.run(merge.request());
    Map<String, String> expected = ModelFolder.contents(merge.output);
    merge.output = directory.resolve("interrupted");
    AtomicInteger asked = new AtomicInteger();
    MergeOptions small = options().withWorkers(1).withMemoryBytes(1).withForceBytes(1);
    assertThatThrownBy(
            () -> merge.run(merge.request(), small.withStop(() -> asked.incrementAndGet() > 40)))
        .isInstanceOf(StoppedException.class);
    Path journal = directory.resolve(".interrupted.whence-transfer/journal");
    List<String> done = Files.readAllLines(journal);
    assertThat(done).as("a plan and a tensor at least").hasSizeGreaterThan(1);
    for (boolean input : new boolean[] {false, true}) {
      MergeOptions.Opener opener =
          (file, options) -> {
            if (options.contains(StandardOpenOption.WRITE) != input) {
              Thread.currentThread().interrupt();
            }
            return FileChannel.open(file, options);
          };
      try {
        assertThatThrownBy(() -> merge.run(merge.request(), options().withOpener(opener)))
            .isInstanceOf(StoppedException.class);
      } finally {
        assertThat(Thread.interrupted()).as("still interrupted").isTrue();
      }
      assertThat(Files.readAllLines(journal)).isEqualTo(done);
    }
    merge.run(merge.request());
    assertThat(ModelFolder.contents(merge.output)).isEqualTo(expected);
    merge.assertNoTraces();
  }

  @Test
  void tensorsWhoseRowsGoTogetherByTokenAreReadThroughTheCacheOnly() throws IOException {
    List<Path> models = new ArrayList<>();
    for (List<String> tokens : List.of(List.of("a", "b"), List.of("a", "b"), List.of("b", "a"))) {
      models.add(
          new ModelFolder()
              .tokens(tokens)
              .add(ModelFolder.rows("model.embed_tokens.weight", 5_000, 1, 2))
              .write(directory.resolve("rows-" + models.size())));
    }
    Policies p = Policies.STRICT;
    Policies aligned =
        new Policies(
            p.missing(),
            p.shapes(),
            p.tiedHead(),
            Policies.Vocabularies.ALIGN,
            p.addedTokens(),
            p.nonFinite(),
            p.template(),
            Map.of());
    Set<Long> positions = ConcurrentHashMap.newKeySet();
    MergeOptions.Opener opener =
        (file, options) ->
            options.contains(StandardOpenOption.WRITE)
                ? FileChannel.open(file, options)
                : new FullChannel(FileChannel.open(file, options), new AtomicLong()) {
                  @Override
                  public int read(ByteBuffer bytes, long position) throws IOException {
                    positions.add(position + bytes.remaining());
                    return super.read(bytes, position);
                  }
                };
    merge.run(
        TransferRequest.of(models.get(0), models.get(1), models.get(2)).withPolicies(aligned),
        options().withOpener(opener));
    assertThat(positions).as("ends of direct reads: the first block").hasSize(1);
  }

  @Test
  void aMergeOfFewerBytesThanTheOptionsSayGoesThroughTheCache() throws IOException {
    long bytes;
    try (TransferPlan plan = TransferPlan.of(merge.request())) {
      bytes = plan.inputBytes() + plan.outputBytes();
    }
    for (boolean small : new boolean[] {true, false}) {
      merge.output = directory.resolve("small-" + small);
      AtomicInteger direct = new AtomicInteger();
      MergeOptions.Opener opener =
          (file, options) -> {
            if (isDirect(options)) {
              direct.incrementAndGet();
            }
            return FileChannel.open(file, options);
          };
      merge.run(
          merge.request(), options().withDirectBytes(small ? bytes + 1 : bytes).withOpener(opener));
      assertThat(direct).hasValue(small ? 0 : 8); // three models and a result of two shards
    }
  }

  @Test
  void nothingIsLoggedWhereAllGoesPastTheCache() throws IOException {
    List<String> log = new ArrayList<>();
    logged(log, () -> merge.run(merge.request()));
    assertThat(log).isEmpty();
  }

  @Test
  void modelsOfAnotherFileSystemAreReadThroughIt() throws IOException {
    merge.run(merge.request());
    Map<String, String> expected = ModelFolder.contents(merge.output);
    try (FileSystem memory = Jimfs.newFileSystem(Configuration.unix())) {
      List<Path> copies = new ArrayList<>();
      for (Path model : List.of(merge.base, merge.fineTuned, merge.target)) {
        Path copy = Files.createDirectories(memory.getPath("/" + model.getFileName()));
        try (var files = Files.list(model)) {
          for (Path file : files.toList()) {
            Files.copy(file, copy.resolve(file.getFileName().toString()));
          }
        }
        copies.add(copy);
      }
      merge.output = directory.resolve("from-memory");
      List<String> log = new ArrayList<>();
      logged(log, () -> merge.run(TransferRequest.of(copies.get(0), copies.get(1), copies.get(2))));
      assertThat(log)
          .singleElement()
          .asString()
          .contains("6 files are read through the page cache");
      Map<String, String> merged = ModelFolder.contents(merge.output);
      for (String name : List.of(ONE, TWO)) {
        assertThat(merged.get(name)).isEqualTo(expected.get(name));
      }
    }
  }

  @Test
  void aDiskThatIsFullUnderTheLastBorderFailsAndLeavesNothing() throws IOException {
    // Less than all whole blocks of all tensors, so that one of the borders or insides is too much.
    for (long room : new long[] {1_000, 10_000, 1_203_000}) {
      AtomicLong left = new AtomicLong(room);
      MergeOptions full =
          options()
              .withOpener(
                  (file, options) -> new FullChannel(FileChannel.open(file, options), left));
      assertThatThrownBy(() -> merge.run(merge.request(), full))
          .hasMessageContaining("No space left on device")
          .hasMessageContaining("byte ");
      merge.assertNoTraces();
      assertThat(merge.output).doesNotExist();
    }
  }

  private static boolean isDirect(Set<?> options) {
    return options.contains(ExtendedOpenOption.DIRECT);
  }

  private static void logged(List<String> log, Runnable work) {
    Logger logger = (Logger) LoggerFactory.getLogger(MergeRun.class);
    ListAppender<ILoggingEvent> appender = new ListAppender<>();
    appender.start();
    logger.addAppender(appender);
    try {
      work.run();
    } finally {
      logger.detachAppender(appender);
    }
    appender.list.forEach(event -> log.add(event.getFormattedMessage()));
  }

  /** Opens, and then refuses every read and write, as some file systems do. */
  private static final class RefusingChannel extends FullChannel {
    private final String reason;

    RefusingChannel(FileChannel real, String reason) {
      super(real, new AtomicLong());
      this.reason = reason;
    }

    @Override
    public int read(ByteBuffer bytes, long position) throws IOException {
      throw new IOException(reason);
    }

    @Override
    public int write(ByteBuffer bytes, long position) throws IOException {
      throw new IOException(reason);
    }
  }
}
