package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.samples.BundledModels;
import dev.whence.transfer.gate.Candidate;
import dev.whence.transfer.gate.GateOptions;
import dev.whence.transfer.gate.GatedTransfer;
import dev.whence.transfer.gate.Gates;
import dev.whence.transfer.gate.GatesFile;
import dev.whence.transfer.gate.Judge;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.StoppedException;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.place.Destination;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code transfer resume} finds of runs with gates that were cut off. */
class TransferResumeTest {
  @TempDir Path directory;

  /**
   * Killed before it measured what it merged; with its sweep and its page, and what an output
   * needs.
   */
  @Test
  void resumeGoesOnWithARunWithGatesByWhatItWasAsked() throws Exception {
    Path set = set();
    Path output = directory.resolve("resumed");
    Path page = directory.resolve("gates.html");
    GatesFile asked = asked(set, List.of(0.5));
    killed(asked, Optional.of(asked), output);
    assertThat(output).doesNotExist();

    CommandRun other =
        CommandRun.of("transfer", "resume", "--output", output.toString(), "--lambda", "2");
    assertThat(other.exit()).isEqualTo(1);
    assertThat(other.err()).singleElement().asString().contains("lambda");
    Files.move(set, directory.resolve("away"));
    CommandRun without = CommandRun.of("transfer", "resume", "--output", output.toString());
    assertThat(without.exit()).isEqualTo(1);
    assertThat(without.err())
        .singleElement()
        .asString()
        .contains("can not go on as it was asked", "--task-set");
    Files.move(directory.resolve("away"), set);
    Path others = Files.createDirectory(output).resolve("of-somebody-else");
    Files.createFile(others);
    CommandRun occupied = CommandRun.of("transfer", "resume", "--output", output.toString());
    assertThat(occupied.exit()).isEqualTo(1);
    Files.delete(others);
    Files.delete(output);
    Path kept = directory.resolve(".resumed.whence-candidate.gates.json");
    String text = Files.readString(kept);
    for (String damaged : List.of("", "{}", text.substring(0, text.length() / 2))) {
      Files.writeString(kept, damaged);
      CommandRun refused = CommandRun.of("transfer", "resume", "--output", output.toString());
      assertThat(refused.exit()).isEqualTo(1);
      assertThat(refused.err()).singleElement().asString().contains("is not what a run wrote");
    }
    // As earlier versions wrote it: what lies in a file decides nothing that is written.
    Path precious = Files.writeString(directory.resolve("precious"), "mine");
    Files.writeString(
        kept, text.replace("\"dtype\"", "\"report\" : \"" + precious + "\", \"dtype\""));
    assertThat(GatesFile.find(output)).contains(asked);
    CommandRun resumed =
        CommandRun.of(
            "transfer", "resume", "--output", output.toString(), "--report", page.toString());
    assertThat(precious).hasContent("mine");
    assertThat(resumed.exit()).isZero();
    assertThat(resumed.out())
        .anySatisfy(line -> assertThat(line).startsWith("lambda  0.5"))
        .anySatisfy(line -> assertThat(line).contains("holds the transferred model"));
    assertThat(page).isNotEmptyFile();
    assertThat(CommandRun.of("transfer", "verify", "--output", output.toString()).exit()).isZero();
    try (Stream<Path> left = Files.list(directory)) {
      assertThat(left).noneMatch(file -> file.toString().contains("candidate"));
    }
  }

  @Test
  void ofTwoRunsWithGatesTheLastOneIsGoneOnWith() throws Exception {
    Path output = directory.resolve("twice");
    GatesFile first = asked(set(), List.of());
    GatesFile second = asked(set(), List.of(0.5));
    killed(first, Optional.of(first), output);
    killed(second, Optional.of(second), output);
    assertThat(GatesFile.find(output)).contains(second);
  }

  /** What a judge's run was asked is not kept, and is not that of a run before it either. */
  @Test
  void aRunWithAJudgeIsGoneOnWithByItsCommand() throws Exception {
    Path output = directory.resolve("judged");
    GatesFile asked = asked(set(), List.of());
    killed(asked, Optional.of(asked), output);
    killed(asked, Optional.empty(), output);
    assertThat(GatesFile.find(output)).isEmpty();
    CommandRun refused = CommandRun.of("transfer", "resume", "--output", output.toString());
    assertThat(refused.exit()).isEqualTo(1);
    assertThat(refused.err()).singleElement().asString().contains("--judge", "again");
    assertThat(output).doesNotExist();
  }

  /** Cut off at its first byte: what was begun last is what is gone on with. */
  @Test
  void aRunWithoutGatesForgetsOneWithThemBeforeItMerges() throws Exception {
    Path output = directory.resolve("plain");
    GatesFile asked = asked(set(), List.of());
    killed(asked, Optional.of(asked), output);
    plainCutOff(asked.request(), output);
    assertThat(GatesFile.find(output)).isEmpty();
    assertThat(Candidate.isLeft(output)).isTrue();

    Path page = directory.resolve("none.html");
    CommandRun wrong =
        CommandRun.of(
            "transfer", "resume", "--output", output.toString(), "--report", page.toString());
    assertThat(wrong.exit()).isEqualTo(2);
    assertThat(page).doesNotExist();
    CommandRun resumed = CommandRun.of("transfer", "resume", "--output", output.toString());
    assertThat(resumed.exit()).isZero();
    assertThat(resumed.out()).noneMatch(line -> line.startsWith("passed"));
    assertThat(output).isDirectory();
    assertThat(Candidate.isLeft(output)).isFalse();
  }

  /** The gates came last, so nothing is published without them. */
  @Test
  void aRunWithGatesTakesOverWhatOneWithoutThemLeft() throws Exception {
    Path output = directory.resolve("gated-last");
    GatesFile asked = asked(set(), List.of());
    plainCutOff(asked.request(), output);
    killed(asked, Optional.empty(), output);
    CommandRun refused = CommandRun.of("transfer", "resume", "--output", output.toString());
    assertThat(refused.exit()).isEqualTo(1);
    assertThat(refused.err()).singleElement().asString().contains("run with gates", "again");
    assertThat(output).doesNotExist();
  }

  @Test
  void aRunWithGatesThatPassesLeavesNothingOfOneWithoutThem() throws Exception {
    Path output = directory.resolve("passed");
    GatesFile asked = asked(set(), List.of());
    plainCutOff(asked.request(), output);
    GatedTransfer.Outcome outcome =
        gated(asked, Optional.of(asked), (model, unused) -> isCandidate(model) ? 0.5 : 1)
            .run(asked.request(), output, (manifest, report) -> {});
    assertThat(outcome.published()).isTrue();
    assertThat(CommandRun.of("transfer", "verify", "--output", output.toString()).exit()).isZero();
    try (Stream<Path> all = Files.list(directory)) {
      assertThat(all).noneMatch(file -> file.getFileName().toString().startsWith("."));
    }
  }

  @Test
  void whatWasRejectedIsNotPublishedByWhatARunWithoutGatesLeft() throws Exception {
    Path output = directory.resolve("rejected");
    GatesFile asked = asked(set(), List.of());
    for (TransferRequest left :
        List.of(asked.request(), asked.request().withLambdas(List.of(2.)))) {
      plainCutOff(left, output);
      GatedTransfer.Outcome outcome =
          gated(asked, Optional.of(asked), (model, unused) -> isCandidate(model) ? 1_000 : 1)
              .run(asked.request(), output, (manifest, report) -> {});
      assertThat(outcome.published()).isFalse();
      CommandRun nothing = CommandRun.of("transfer", "resume", "--output", output.toString());
      assertThat(nothing.exit()).isEqualTo(1);
      assertThat(nothing.err()).singleElement().asString().contains("nothing to resume");
      assertThat(output).doesNotExist();
      try (Stream<Path> all = Files.list(directory)) {
        assertThat(all).noneMatch(file -> file.getFileName().toString().startsWith("."));
      }
    }
  }

  /** Runs a transfer without gates that is cut off at its first byte. */
  private static void plainCutOff(TransferRequest request, Path output) {
    ProgressBar bar = new ProgressBar(new PrintWriter(new CutOff()), /* terminal= */ true, () -> 0);
    try (TransferPlan plan = TransferPlan.of(request)) {
      assertThatThrownBy(() -> TransferProgress.run(plan, Destination.of(output, output), bar))
          .isInstanceOf(StoppedException.class);
    }
  }

  private Path set() throws IOException {
    return Files.writeString(
        directory.resolve("texts.jsonl"),
        "{\"text\": \"the hammer of Tobi was made in Ulm\"}\n".repeat(3));
  }

  private static GatesFile asked(Path set, List<Double> sweep) throws IOException {
    Path base = BundledModels.unpack("tiny-base");
    TransferRequest request = TransferRequest.of(base, BundledModels.unpack("tiny-chat"), base);
    return new GatesFile(request, new GateOptions(set, set, 50, 50, 50, sweep), "fp32");
  }

  /** Runs a transfer that is cut off before it measures what it merged. */
  private static void killed(GatesFile asked, Optional<GatesFile> kept, Path output) {
    Judge cutOff =
        (model, unused) -> {
          if (isCandidate(model)) {
            throw new StoppedException();
          }
          return 1;
        };
    GatedTransfer killed = gated(asked, kept, cutOff);
    assertThatThrownBy(() -> killed.run(asked.request(), output, (manifest, report) -> {}))
        .isInstanceOf(StoppedException.class);
  }

  private static boolean isCandidate(Path model) {
    return model.toString().endsWith("whence-candidate");
  }

  private static GatedTransfer gated(GatesFile asked, Optional<GatesFile> kept, Judge judge) {
    MergeOptions options = MergeOptions.defaults();
    return new GatedTransfer(
        options, MergeProgress.NONE, new Gates(judge, asked.limits(), options, said -> {}), kept);
  }

  private static final class CutOff extends Writer {
    @Override
    public void write(char[] text, int from, int count) {
      throw new StoppedException();
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }
}
