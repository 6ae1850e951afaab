package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import dev.whence.samples.recipes.Recipes;
import dev.whence.transfer.recycle.FineTuner;
import dev.whence.transfer.recycle.Measurement;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TransferCommandTest {
  @TempDir Path directory;

  private String[] models(String command, String... more) {
    return Stream.concat(
            Stream.of(
                "transfer",
                command,
                "--base",
                "base-v1",
                "--fine-tuned",
                "chat-v1",
                "--target",
                "base-v2"),
            Stream.of(more))
        .toArray(String[]::new);
  }

  @Test
  void planSaysWhatHappensToEveryTensorAndWritesNothing() throws Exception {
    CommandRun run = CommandRun.of(models("plan"));

    assertThat(run.exit()).isZero();
    assertThat(run.out())
        .anySatisfy(
            line -> assertThat(line).contains("model.embed_tokens.weight").contains("merge"));
    assertThat(run.out().get(run.out().size() - 1)).startsWith("plan ").contains("reads");
  }

  @Test
  void runPublishesAModelThatVerifiesUntilAByteOfItChanges() throws Exception {
    Path output = directory.resolve("chat-v2");
    CommandRun run = CommandRun.of(models("run", "--output", output.toString()));
    assertThat(run.exit()).isZero();
    try (ModelFiles files = ModelFiles.open(output)) {
      assertThat(run.out().get(0)).contains(files.digest());
    }
    assertThat(CommandRun.of("transfer", "verify", "--output", output.toString()).exit()).isZero();
    assertThat(CommandRun.of("transfer", "inspect", "--output", output.toString()).out())
        .anySatisfy(line -> assertThat(line).contains("madeFrom"));

    Path shard = output.resolve("model.safetensors");
    try (FileChannel channel = FileChannel.open(shard, StandardOpenOption.WRITE)) {
      channel.write(java.nio.ByteBuffer.wrap(new byte[] {1}), Files.size(shard) - 2);
    }
    CommandRun damaged = CommandRun.of("transfer", "verify", "--output", output.toString());
    assertThat(damaged.exit()).isEqualTo(1);
    assertThat(damaged.err().get(0)).contains("is not what was written");
  }

  @Test
  void aDiffIsExtractedInspectedAndAppliedToItsOwnBase() throws Exception {
    Path diff = directory.resolve("diff");
    assertThat(
            CommandRun.of(
                    "transfer",
                    "extract",
                    "--base",
                    "base-v1",
                    "--fine-tuned",
                    "chat-v1",
                    "--output",
                    diff.toString())
                .out()
                .get(0))
        // One weight went to -0.0, whose sign no sum of two numbers gives: its place is noted.
        .contains(" 0 that base + diff does not give back, ")
        .endsWith(" of the base that fine-tuned - diff does not give back");
    Path svg = directory.resolve("norms.svg");
    CommandRun inspected =
        CommandRun.of(
            "transfer",
            "inspect",
            "--diff",
            diff.toString(),
            "--with",
            diff.toString(),
            "--svg",
            svg.toString());
    assertThat(inspected.out().get(inspected.out().size() - 1))
        .startsWith("total ")
        .contains("cosine 1.000000");
    assertThat(Files.readString(svg)).startsWith("<svg").contains("polyline");
    Path again = directory.resolve("again");
    assertThat(
            CommandRun.of(
                    "transfer",
                    "apply",
                    "--target",
                    "base-v1",
                    "--diff",
                    diff.toString(),
                    "--output",
                    again.toString())
                .exit())
        .isZero();
    try (ModelFiles one = ModelFiles.open(again);
        ModelFiles other = ModelFiles.open(BundledModels.unpack("chat-v1"))) {
      assertThat(one.weights().tensors()).isEqualTo(other.weights().tensors());
    }
  }

  @Test
  void aDiffThatIsNotThereIsCalledADiff() {
    for (String command : List.of("inspect", "apply --target base-v1 --output out")) {
      CommandRun run = CommandRun.of(("transfer " + command + " --diff nope").split(" ", -1));
      assertThat(run.exit()).isEqualTo(1);
      assertThat(run.err())
          .containsExactly("whence: the diff nope is no directory of safetensors files");
    }
  }

  @Test
  void wrongUsageAndImpossibleTransfersAreOneSentenceEach() {
    assertThat(CommandRun.of(models("run", "--output", "x", "--gates")).exit()).isEqualTo(2);
    assertThat(CommandRun.of(models("plan", "--policy", "missing=perhaps")).exit()).isEqualTo(2);
    CommandRun impossible =
        CommandRun.of(
            "transfer",
            "plan",
            "--base",
            "base-v1",
            "--fine-tuned",
            "chat-v1",
            "--target",
            "tiny-base");
    assertThat(impossible.exit()).isEqualTo(1);
    assertThat(impossible.err())
        .allSatisfy(line -> assertThat(line).startsWith("whence: "))
        .anySatisfy(line -> assertThat(line).contains("has shape"));
  }

  @Test
  void theLimitsOfTheGatesAreOptionsAndDecide() throws Exception {
    // A judge by name: the result's task loss is 1.3 times the fine-tuned model's, its general loss
    // 1.05 times, with a hill of .15 in the middle of the way; all else is one.
    Path judge = directory.resolve("judge.sh");
    Files.writeString(
        judge,
        """
        case "$1:$2" in
          *lambda-0.5:*general.jsonl) echo 1.2 ;;
          *candidate*:*task.jsonl) echo 1.3 ;;
          *candidate*:*general.jsonl) echo 1.05 ;;
          *base-v2*:*task.jsonl) echo 4 ;;
          *) echo 1 ;;
        esac
        """);
    Path task = Files.writeString(directory.resolve("task.jsonl"), "{}");
    Path general = Files.writeString(directory.resolve("general.jsonl"), "{}");
    Path output = directory.resolve("gated");
    List<String> gated =
        List.of(
            "--output",
            output.toString(),
            "--gates",
            "--task-set",
            task.toString(),
            "--general-set",
            general.toString(),
            "--judge",
            "sh," + judge);
    CommandRun rejected = CommandRun.of(models("run", gated.toArray(String[]::new)));
    assertThat(rejected.exit()).isEqualTo(1);
    assertThat(rejected.out())
        .anySatisfy(line -> assertThat(line).contains("it takes a task tolerance of 0.30"));
    assertThat(rejected.err()).last().asString().startsWith("whence: rejected");
    assertThat(output).doesNotExist();

    // Each of the three decides alone.
    assertThat(failedGates(gated, "--task-tolerance", "0.29", "--barrier-limit", "0.2"))
        .containsExactly("as good as the fine-tuned model");
    String[] forgetting = {
      "--task-tolerance", "0.3", "--barrier-limit", "0.2", "--general-tolerance"
    };
    assertThat(failedGates(gated, append(forgetting, "0.04"))).containsExactly("nothing forgotten");
    String[] barrier = {"--task-tolerance", "0.3", "--general-tolerance", "0.06"};
    assertThat(failedGates(gated, append(barrier, "--barrier-limit", "0.14")))
        .containsExactly("connectivity");
    assertThat(output).doesNotExist();
    List<String> wide = new ArrayList<>(gated);
    wide.addAll(List.of(append(barrier, "--barrier-limit", "0.16")));
    CommandRun published = CommandRun.of(models("run", wide.toArray(String[]::new)));
    assertThat(published.out())
        .anySatisfy(line -> assertThat(line).contains("holds the transferred model"));
    assertThat(published.exit()).isZero();

    List<String> wrong = new ArrayList<>(gated);
    wrong.addAll(List.of("--task-tolerance", "-1"));
    CommandRun refused = CommandRun.of(models("run", wrong.toArray(String[]::new)));
    assertThat(refused.exit()).isEqualTo(2);
    assertThat(refused.err())
        .anySatisfy(line -> assertThat(line).contains("the task tolerance is -1.0"));
    assertThat(CommandRun.of(models("run", "--output", "x", "--general-tolerance", "1")).exit())
        .isEqualTo(2);
  }

  private static String[] append(String[] first, String... more) {
    return Stream.concat(Stream.of(first), Stream.of(more)).toArray(String[]::new);
  }

  /** The gates that reject a transfer with some options. */
  private List<String> failedGates(List<String> gated, String... options) {
    CommandRun run = CommandRun.of(models("run", append(gated.toArray(String[]::new), options)));
    assertThat(run.exit()).isEqualTo(1);
    return run.out().stream()
        .filter(line -> line.startsWith("failed  "))
        .map(line -> line.substring("failed  ".length(), line.indexOf(':')))
        .toList();
  }

  @Test
  void aPlaceThatIsNoBucketIsWrongUsageAndAnOutputInOneIsForRunAlone() {
    CommandRun input =
        CommandRun.of(
            "transfer", "plan", "--base", "s3://A_B/x", "--fine-tuned", "y", "--target", "z");
    assertThat(input.exit()).isEqualTo(2);
    assertThat(input.err()).anySatisfy(line -> assertThat(line).contains("is no URI of a file"));
    assertThat(CommandRun.of(models("run", "--output", "s3://A_B/x")).exit()).isEqualTo(2);
    CommandRun whole = CommandRun.of(models("run", "--output", "s3://models"));
    assertThat(whole.exit()).isEqualTo(1);
    assertThat(whole.err()).anySatisfy(line -> assertThat(line).contains("is a whole bucket"));
  }

  @Test
  void recycleFineTunesTheNextBaseFromWhatWasTransferredAndSetsItAgainstTheDirectWay()
      throws Exception {
    // The next base is the same one, moved a little: half of what fine-tuning did.
    Path diff = directory.resolve("diff");
    CommandRun.of(
        "transfer",
        "extract",
        "--base",
        "tiny-base",
        "--fine-tuned",
        "tiny-chat",
        "--output",
        diff.toString());
    Path next = directory.resolve("tiny-base-2");
    CommandRun.of(
        "transfer",
        "apply",
        "--target",
        "tiny-base",
        "--diff",
        diff + "=0.5",
        "--output",
        next.toString());
    Path output = directory.resolve("recycled");
    String[] command = {
      "transfer", "recycle",
      "--bases", "tiny-base," + next,
      "--fine-tuned", "tiny-chat",
      "--recipe", "tiny-chat",
      "--steps", "4",
      "--direct", "8",
      "--measurements", "2",
      "--output", output.toString()
    };
    CommandRun run = CommandRun.of(command);

    assertThat(run.err()).noneSatisfy(line -> assertThat(line).contains("whence:"));
    assertThat(run.exit()).isZero();
    Path fineTuned = output.resolve("2-tiny-base-2/fine-tuned");
    assertThat(run.out())
        .contains(fineTuned.toString(), output.resolve("recycling.html").toString());
    try (ModelFiles files = ModelFiles.open(fineTuned)) {
      assertThat(files.weights().tensors()).isNotEmpty();
    }
    assertThat(Files.readString(output.resolve("recycling.md")))
        .contains("| base version | 0 |")
        .contains("| transfer alone | 0 |")
        .contains("| transfer, then fine-tuning | 2 |")
        .contains("| transfer, then fine-tuning | 4 |")
        .contains("| direct, 8 steps | 8 |");
    byte[] weights = Files.readAllBytes(fineTuned.resolve("model.safetensors"));
    assertThat(CommandRun.of(command).exit()).isZero();
    assertThat(Files.readAllBytes(fineTuned.resolve("model.safetensors"))).isEqualTo(weights);

    assertThat(
            CommandRun.of(
                    "transfer",
                    "recycle",
                    "--bases",
                    "tiny-base",
                    "--recipe",
                    "tiny-chat",
                    "--output",
                    "x")
                .exit())
        .isEqualTo(2);
    assertThat(
            CommandRun.of("transfer", "recycle", "--bases", "tiny-base,tiny-chat", "--output", "x")
                .exit())
        .isEqualTo(2);
  }

  /** Two versions of tiny-base. */
  private static CommandRun recycle(String... options) {
    List<String> command =
        new ArrayList<>(List.of("transfer", "recycle", "--bases", "tiny-base,tiny-base"));
    command.addAll(List.of(options));
    return CommandRun.of(command.toArray(String[]::new));
  }

  @Test
  void recycleRefusesARecipeOfATeacherBeforeAnythingIsTrained() {
    CommandRun run = recycle("--recipe", "tiny-chat,proxy", "--output", "x");
    assertThat(run.exit()).isEqualTo(2);
    assertThat(String.join("\n", run.err())).contains("recipe proxy learns from a teacher");
  }

  @Test
  void recycleRefusesAFactorThatIsNoNumberBeforeAModelIsOpened() {
    CommandRun run =
        CommandRun.of(
            "transfer",
            "recycle",
            "--bases",
            "no-such-model,nor-this-one",
            "--recipe",
            "tiny-chat",
            "--lambda",
            "NaN",
            "--output",
            directory.resolve("none").toString());
    assertThat(run.exit()).isEqualTo(2);
    assertThat(String.join("\n", run.err()))
        .contains("--lambda is NaN, but must be a finite number");
  }

  @Test
  void recycleTakesNoMoreStepsThanTheShortestRecipeOfTheVersionsThatTheyAreFor() {
    long longest = Recipes.named("chat-v1").orElseThrow().steps();
    long shortest = Recipes.named("tiny-chat").orElseThrow().steps();
    assertThat(longest).isGreaterThan(shortest);
    for (String option : List.of("--steps", "--direct")) {
      CommandRun run =
          recycle(
              "--recipe",
              "chat-v1,tiny-chat",
              option,
              String.valueOf(shortest + 1),
              "--output",
              directory.resolve("none").toString());
      assertThat(run.exit()).isEqualTo(2);
      assertThat(run.err()).anySatisfy(line -> assertThat(line).contains("at most " + shortest));
    }
    assertThat(directory.resolve("none")).doesNotExist();
  }

  @Test
  void aCheckpointThatARunWasCutOffAtBeforeItWasMeasuredIsMeasuredWhenItGoesOn() throws Exception {
    Path base = BundledModels.unpack("tiny-base");
    RecipeFineTuner tuner =
        new RecipeFineTuner(
            List.of(Recipes.named("tiny-chat").orElseThrow()),
            2,
            ProgressBar.on(new PrintWriter(Writer.nullWriter())));
    Path output = directory.resolve("fine-tuned");
    Steps before = new Steps(2);
    assertThatThrownBy(() -> tuner.fineTune(0, base, 4, output, before)).hasMessage("cut off");
    Steps after = new Steps(-1);
    tuner.fineTune(0, base, 4, output, after);
    assertThat(after.steps).containsExactly(2L, 4L);
    tuner.fineTune(0, base, 4, output, after);
    assertThat(after.steps).containsExactly(2L, 4L);
  }

  /** Steps that were measured, until one at which the run ends. */
  private static final class Steps implements FineTuner.Measured {
    private final List<Long> steps = new ArrayList<>();
    private final long last;

    private Steps(long last) {
      this.last = last;
    }

    @Override
    public boolean has(long step) {
      return steps.contains(step);
    }

    @Override
    public void add(Measurement measurement) {
      if (measurement.step() == last) {
        throw new IllegalStateException("cut off");
      }
      steps.add(measurement.step());
    }
  }
}
