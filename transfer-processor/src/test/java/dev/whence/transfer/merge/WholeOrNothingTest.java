package dev.whence.transfer.merge;

import static dev.whence.transfer.merge.SmallMerge.ONE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A result is published whole or not at all: merges that are stopped, that fail, or that find
 * something where theirs is to be.
 */
class WholeOrNothingTest {
  @TempDir Path directory;
  SmallMerge merge;

  /** How merges run here. */
  MergeOptions options() {
    return MergeOptions.defaults();
  }

  @BeforeEach
  void models() throws IOException {
    merge = new SmallMerge(directory, options());
    merge.write();
  }

  @Test
  void whatIsMergedStaysIfOnlyTheLastRenameFails() throws IOException {
    Path other = Files.createDirectory(merge.output).resolve("of-somebody-else");
    try (TransferPlan plan = TransferPlan.of(merge.request())) {
      MergeProgress putting =
          (moved, total) -> {
            try {
              Files.write(other, new byte[1]);
            } catch (IOException e) {
              throw new IllegalStateException(e);
            }
          };
      assertThatThrownBy(() -> MergeRun.run(plan, merge.output, options(), putting))
          .isInstanceOf(TransferException.class)
          .hasMessageContaining("could not be published")
          .hasMessageContaining("what is merged stays");
      Files.delete(other);
      assertThat(
              Journal.noted(Staging.journal(Staging.directory(merge.output)), plan.id())
                  .orElseThrow())
          .containsAll(
              plan.shards().stream()
                  .flatMap(shard -> shard.tensors().stream())
                  .map(TensorPlan::name)
                  .toList());
      assertThat(MergeRun.run(plan, merge.output, options(), MergeProgress.NONE).before())
          .isFalse();
    }
    assertThat(Verification.of(merge.output)).isEmpty();
    merge.assertNoTraces();
  }

  @Test
  void theSameTransferAgainIsASuccessThatWritesNothing() throws IOException {
    Published first = merge.run(merge.request());
    Map<Path, FileTime> times = Map.of(merge.output, Files.getLastModifiedTime(merge.output));
    Published again = merge.run(merge.request());

    assertThat(again.before()).isTrue();
    assertThat(again.models()).isEqualTo(first.models());
    assertThat(Files.getLastModifiedTime(merge.output)).isEqualTo(times.get(merge.output));
    merge.assertNoTraces();
  }

  @Test
  void whatARunLeftThatWasKilledRightAfterPublishingIsClearedAway() throws IOException {
    merge.run(merge.request());
    Path left = Files.createDirectories(directory.resolve(".merged.whence-transfer/result"));
    Files.writeString(left.resolve("rest"), "");
    assertThat(merge.run(merge.request()).before()).isTrue();
    merge.assertNoTraces();
  }

  @Test
  void anOutputThatHoldsSomethingElseIsNeverTouched() throws IOException {
    merge.run(merge.request());
    Map<String, String> before = ModelFolder.contents(merge.output);
    assertThatThrownBy(() -> merge.run(merge.request().withLambdas(List.of(.5))))
        .hasMessageContaining("exists and is not the result of this transfer");
    assertThat(ModelFolder.contents(merge.output)).isEqualTo(before);
  }

  @Test
  void linksThatLieWhereAResultGrowsAreRefusedAndLeadNowhere() throws IOException {
    Path somebodys = Files.writeString(directory.resolve("somebody's"), "theirs");
    Path lock =
        Files.createSymbolicLink(directory.resolve(".merged.whence-transfer.lock"), somebodys);
    assertThatThrownBy(() -> merge.run(merge.request()))
        .isInstanceOf(TransferException.class)
        .hasMessage(
            "the transfer to "
                + merge.output
                + " failed ('"
                + directory.toRealPath().resolve(lock.getFileName())
                + "': it is a link, which is not followed here)");
    assertThat(somebodys).hasContent("theirs");
    Files.delete(lock);

    Path theirs = Files.createDirectory(directory.resolve("their-directory"));
    Path staging = Files.createSymbolicLink(directory.resolve(".merged.whence-transfer"), theirs);
    assertThatThrownBy(() -> merge.run(merge.request()))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining(staging + " is a link");
    assertThat(theirs).isEmptyDirectory();
    assertThat(merge.output).doesNotExist();
  }

  @Test
  void aSecondWriterIsTurnedAway() throws IOException {
    try (Staging held = Staging.lock(merge.output)) {
      assertThat(Staging.directory(held.output())).doesNotExist();
      assertThatThrownBy(() -> merge.run(merge.request())).hasMessageContaining("is running");
    }
    merge.run(merge.request());
    merge.assertNoTraces();
  }

  @Test
  void aStoppedRunGoesOnWhereItWasAndGivesTheSameBytes() throws IOException {
    merge.run(merge.request());
    Map<String, String> expected = ModelFolder.contents(merge.output);
    merge.output = directory.resolve("stopped");
    AtomicInteger asked = new AtomicInteger();
    assertThatThrownBy(
            () ->
                merge.run(
                    merge.request(),
                    options()
                        .withWorkers(1)
                        .withMemoryBytes(1)
                        .withStop(() -> asked.incrementAndGet() > 20)))
        .isInstanceOf(StoppedException.class);
    assertThat(merge.output).doesNotExist();
    merge.run(RequestFile.find(merge.output).orElseThrow());
    assertThat(ModelFolder.contents(merge.output)).isEqualTo(expected);
    merge.assertNoTraces();
  }

  @Test
  void aResumedRunCanBeStoppedWhileItVerifiesWhatIsThere() throws IOException {
    MergeOptions small = options().withWorkers(1).withMemoryBytes(1);
    Path journal = directory.resolve(".merged.whence-transfer/journal");
    // The largest tensor is first: it is in the journal, after the line that names the plan.
    assertThatThrownBy(
            () ->
                merge.run(
                    merge.request(), small.withForceBytes(1).withStop(() -> lines(journal) > 1)))
        .isInstanceOf(StoppedException.class);
    assertThat(lines(journal)).isEqualTo(2);
    // It has 19 pieces; all others together have three.
    AtomicInteger asked = new AtomicInteger();
    assertThatThrownBy(
            () -> merge.run(merge.request(), small.withStop(() -> asked.incrementAndGet() == 15)))
        .isInstanceOf(StoppedException.class);
    assertThat(lines(journal)).isEqualTo(2);
    merge.run(merge.request());
    merge.assertNoTraces();
  }

  @Test
  void aResumedRunThatMayOpenNoMoreFilesKeepsWhatWasDone() throws IOException {
    MergeOptions small = options().withWorkers(1).withMemoryBytes(1).withForceBytes(1);
    Path journal = directory.resolve(".merged.whence-transfer/journal");
    assertThatThrownBy(() -> merge.run(merge.request(), small.withStop(() -> lines(journal) > 1)))
        .isInstanceOf(StoppedException.class);
    MergeOptions few =
        options()
            .withOpener(
                (file, options) -> {
                  throw new FileSystemException(file.toString(), null, "Too many open files");
                });
    assertThatThrownBy(() -> merge.run(merge.request(), few))
        .hasMessageContaining("Too many open files");
    assertThat(lines(journal)).isEqualTo(2);
    merge.run(merge.request());
    merge.assertNoTraces();
  }

  private static int lines(Path file) {
    try {
      return Files.readAllLines(file).size();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aFullDiskFailsWithTensorAndByteAndLeavesNothing() throws IOException {
    AtomicLong room = new AtomicLong(400_000);
    MergeOptions small =
        options()
            .withWorkers(1)
            .withMemoryBytes(1)
            .withOpener((file, options) -> new FullChannel(FileChannel.open(file, options), room));
    assertThatThrownBy(() -> merge.run(merge.request(), small))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("'model.layers.0.a.weight'")
        .hasMessageContaining("byte ")
        .hasMessageContaining("No space left on device");
    merge.assertNoTraces();
    assertThat(merge.output).doesNotExist();
  }

  @Test
  void aShardThatIsChangedMeanwhileFailsWithTensorAndByte() throws IOException {
    Path shard = merge.fineTuned.resolve(ONE);
    MergeOptions options = onTheWay(() -> touch(shard));
    assertThatThrownBy(() -> merge.run(merge.request(), options))
        .hasMessageContaining("'model.layers.0.a.weight'")
        .hasMessageContaining("byte ")
        .hasMessageContaining("changed while it was read");
    merge.assertNoTraces();
  }

  @Test
  void anInputThatVanishesOrIsCutFailsWithTensorAndByte() throws IOException {
    for (boolean vanishes : new boolean[] {true, false}) {
      merge.write();
      Path shard = merge.base.resolve(ONE);
      MergeOptions options =
          onTheWay(
              () -> {
                if (vanishes) {
                  remove(shard);
                } else {
                  cut(shard);
                }
              });
      assertThatThrownBy(() -> merge.run(merge.request(), options))
          .isInstanceOf(TransferException.class)
          .hasMessageContaining("'model.layers.0.a.weight'")
          .hasMessageContaining("byte ")
          .hasMessageMatching(
              vanishes
                  ? "(?s).*the file vanished while it was read.*"
                  : "(?s).*the file was (cut|changed) while it was read.*");
      merge.assertNoTraces();
      assertThat(merge.output).doesNotExist();
    }
  }

  /** Small steps by one worker, with something that happens before the tenth. */
  private MergeOptions onTheWay(Runnable happens) {
    AtomicInteger asked = new AtomicInteger();
    return options()
        .withWorkers(1)
        .withMemoryBytes(1)
        .withStop(
            () -> {
              if (asked.incrementAndGet() == 10) {
                happens.run();
              }
              return false;
            });
  }

  private static void touch(Path file) {
    try {
      Files.setLastModifiedTime(file, FileTime.fromMillis(1_000_000_000_000L));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void remove(Path file) {
    try {
      Files.delete(file);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void cut(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(100_000);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aReleaseThatIsNotWhatItsDigestSaysIsNotPublished() throws IOException {
    TransferRequest request = merge.request();
    TransferRequest.Input wrong = new TransferRequest.Input(merge.fineTuned, Optional.of("00ff"));
    assertThatThrownBy(
            () ->
                merge.run(
                    new TransferRequest(
                        request.base(), wrong, request.target(), List.of(1.), Policies.STRICT)))
        .hasMessageContaining("its release says 00ff");
    assertThat(merge.output).doesNotExist();
    merge.assertNoTraces();
  }
}
