package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs that are cut off, damaged, misused. */
class TrainingRunTest {
  private static final GradientFixture FIXTURE = GradientFixture.read("smollm2");
  private static final TrainingOptions OPTIONS =
      TrainingOptions.of(new Schedule.Cosine(3e-3, 0, 3, 12))
          .withEngine(EngineOptions.defaults().withDevice("cpu"));

  @TempDir private Path directory;

  /** Batches of three documents that depend on the step alone. */
  private static List<Example> batch(long step) {
    Random random = new Random(step);
    List<Example> batch = new ArrayList<>();
    for (int d = 0; d < 3; d++) {
      batch.add(Example.of(random.ints(5 + random.nextInt(20), 0, 160).toArray()));
    }
    return batch;
  }

  private TrainingRun run(String name) {
    return new TrainingRun(directory.resolve(name), 12, 4, "a test");
  }

  private Map<String, float[]> whole(String name, Seen seen) {
    try (Trainer trainer = FIXTURE.trainer(OPTIONS)) {
      run(name).run(trainer, TrainingRunTest::batch, seen);
      return GradientTest.values(trainer);
    }
  }

  private void cutOff(String name, long step) {
    Seen seen = new Seen();
    seen.stopAt = step;
    assertThatThrownBy(() -> whole(name, seen)).isInstanceOf(Seen.CutOffException.class);
  }

  @Test
  void aRunThatWasCutOffEndsWithTheSameBits() {
    Seen straight = new Seen();
    Map<String, float[]> expected = whole("straight", straight);
    cutOff("cut", 6);
    cutOff("cut", 11);
    Seen last = new Seen();
    Map<String, float[]> values = whole("cut", last);
    assertThat(last.resumed).containsExactly(8L);
    assertThat(last.reports).isEqualTo(straight.reports.subList(8, 12));
    values.forEach((name, v) -> assertThat(v).as(name).isEqualTo(expected.get(name)));
  }

  @Test
  void aRunThatIsDoneIsNotDoneAgain() {
    Map<String, float[]> expected = whole("done", new Seen());
    Seen again = new Seen();
    Map<String, float[]> values = whole("done", again);
    assertThat(again.reports).isEmpty();
    assertThat(again.resumed).containsExactly(12L);
    values.forEach((name, v) -> assertThat(v).as(name).isEqualTo(expected.get(name)));
  }

  @Test
  void aCheckpointThatWasCutShortIsPassedOverForTheOneBefore() throws IOException {
    Map<String, float[]> expected = whole("straight", new Seen());
    cutOff("cut", 11);
    Path newest = directory.resolve("cut/step-8/model.safetensors");
    truncate(newest);
    Seen last = new Seen();
    Map<String, float[]> values = whole("cut", last);
    assertThat(last.passedOver).singleElement().asString().contains("step 8", "cut short");
    assertThat(last.resumed).containsExactly(4L);
    values.forEach((name, v) -> assertThat(v).as(name).isEqualTo(expected.get(name)));
  }

  @Test
  void aFlippedBitInACheckpointIsNoticed() throws IOException {
    cutOff("cut", 6);
    Path state = directory.resolve("cut/step-4/model.safetensors");
    byte[] bytes = Files.readAllBytes(state);
    bytes[bytes.length / 2] ^= 1;
    Files.write(state, bytes);
    assertThatThrownBy(() -> whole("cut", new Seen()))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
        .hasMessageContaining("No checkpoint under")
        .hasMessageContaining("delete the directory");
  }

  @Test
  void checkpointsOfAnotherRecipeAreRefused() {
    cutOff("cut", 6);
    TrainingRun other = new TrainingRun(directory.resolve("cut"), 12, 4, "another recipe");
    try (Trainer trainer = FIXTURE.trainer(OPTIONS)) {
      assertThatThrownBy(() -> other.run(trainer, TrainingRunTest::batch, new Seen()))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("another model, recipe or seed");
      assertThat(trainer.step()).isZero();
    }
  }

  @Test
  void aDivergingRunKeepsItsLastGoodCheckpoint() {
    TrainingOptions wild =
        TrainingOptions.of(new Schedule.WarmupStableDecay(1e-3, 1e30, 0, 6, 12))
            .withEngine(EngineOptions.defaults().withDevice("cpu"));
    try (Trainer trainer = FIXTURE.trainer(wild)) {
      assertThatThrownBy(() -> run("wild").run(trainer, TrainingRunTest::batch, new Seen()))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("diverged at step 8");
    }
    Seen after = new Seen();
    Map<String, float[]> values = whole("wild", after);
    assertThat(after.resumed).containsExactly(4L);
    values.values().forEach(v -> assertThat(v).doesNotContain(Float.NaN));
  }

  @Test
  void aCheckpointThatCanNotBeWrittenStopsTheRunAndEarlierOnesStay() throws IOException {
    cutOff("cut", 6);
    Files.createDirectories(directory.resolve("cut/.writing/in-the-way"));
    try (Trainer trainer = FIXTURE.trainer(OPTIONS)) {
      assertThatThrownBy(() -> run("cut").run(trainer, TrainingRunTest::batch, new Seen()))
          .isInstanceOfSatisfying(
              EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.ENVIRONMENT))
          .hasMessageContaining("step 8")
          .hasMessageContaining("the directory is not empty");
    }
    Files.delete(directory.resolve("cut/.writing/in-the-way"));
    Seen after = new Seen();
    whole("cut", after);
    assertThat(after.resumed).containsExactly(4L);
  }

  /** Each step takes two minutes: every third is due. */
  @Test
  void slowStepsAreSavedByTheClockToo() {
    AtomicLong minutes = new AtomicLong();
    TrainingRun slow =
        new TrainingRun(
            directory.resolve("slow"),
            12,
            12,
            "a test",
            () -> Duration.ofMinutes(minutes.get()).toNanos());
    List<Long> told = new ArrayList<>();
    try (Trainer trainer = FIXTURE.trainer(OPTIONS)) {
      assertThatThrownBy(
              () ->
                  slow.run(
                      trainer,
                      TrainingRunTest::batch,
                      new TrainingRun.Listener() {
                        @Override
                        public void stepped(StepReport report) {
                          minutes.addAndGet(2);
                          if (report.step() == 8) {
                            throw new Seen.CutOffException();
                          }
                        }

                        @Override
                        public void checkpointed(Trainer at) {
                          told.add(at.step());
                        }
                      }))
          .isInstanceOf(Seen.CutOffException.class);
    }
    assertThat(told).isEmpty();
    Seen after = new Seen();
    whole("slow", after);
    assertThat(after.resumed).containsExactly(6L);
  }

  @Test
  void aSecondRunOverTheSameCheckpointsIsRefusedWhileTheFirstIsAtIt() {
    List<Throwable> second = new ArrayList<>();
    Seen first =
        new Seen() {
          @Override
          public void stepped(StepReport report) {
            super.stepped(report);
            if (report.step() == 2) {
              second.add(catchThrowable(() -> whole("shared", new Seen())));
            }
          }
        };
    whole("shared", first);
    assertThat(first.reports).hasSize(12);
    assertThat(second)
        .singleElement()
        .asInstanceOf(InstanceOfAssertFactories.type(EngineException.class))
        .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.ENVIRONMENT))
        .extracting(Throwable::getMessage)
        .asString()
        .contains("Another training writes to", "another output");
  }

  @Test
  void whatAFileBrowserPutIntoACheckpointStopsNoTraining() throws IOException {
    cutOff("browsed", 5);
    Files.writeString(directory.resolve("browsed/step-4/.DS_Store"), "x");
    Seen after = new Seen();
    whole("browsed", after);
    assertThat(after.reports).hasSize(8);
    assertThat(directory.resolve("browsed/step-4")).doesNotExist();
  }

  @Test
  void onlyTheTwoNewestCheckpointsAreKept() throws IOException {
    whole("kept", new Seen());
    try (Stream<Path> entries = Files.list(directory.resolve("kept"))) {
      assertThat(entries.map(path -> path.getFileName().toString()))
          .containsExactlyInAnyOrder("step-8", "step-12", "in-use.lock");
    }
  }

  /** Else two that are damaged would have every later one deleted as it is written. */
  @Test
  void whatWasPassedOverCountsForNoneOfTheTwo() throws IOException {
    cutOff("damaged", 6);
    for (String name : List.of("step-100", "step-104")) {
      Files.createDirectories(directory.resolve("damaged").resolve(name));
    }
    Seen after = new Seen();
    whole("damaged", after);
    assertThat(after.resumed).containsExactly(4L);
    for (String name : List.of("step-8", "step-12")) {
      assertThat(directory.resolve("damaged").resolve(name)).isDirectory();
    }
  }

  private static void truncate(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
