package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the transfer commands say of everything that is wrong, and what they make of diffs. */
class TransferReasonsTest {
  private static final int MANY = 25;

  @TempDir Path directory;

  private Path model(String name, float... values) throws Exception {
    return new SmallModel().add("model.layers.0.a", values).write(directory.resolve(name));
  }

  @Test
  void everyReasonIsOnALineOfItsOwnHoweverManyThereAre() throws Exception {
    Path base = model("b", 1);
    SmallModel more = new SmallModel().add("model.layers.0.a", 1);
    for (int i = 0; i < MANY; i++) {
      more.add("more." + i, 1);
    }
    CommandRun run =
        CommandRun.of(
            "transfer",
            "plan",
            "--base",
            base.toString(),
            "--fine-tuned",
            base.toString(),
            "--target",
            more.write(directory.resolve("t")).toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err())
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, MANY)
                .mapToObj(
                    i -> "whence: 'more." + i + "' is neither in base nor in the fine-tuned model")
                .toList());
  }

  @Test
  void allModelsThatAreNowhereAreToldWithWhatIsWrongWithTheOthers() throws Exception {
    Path broken = Files.createDirectories(directory.resolve("broken"));
    CommandRun run =
        CommandRun.of(
            "transfer",
            "plan",
            "--base",
            directory.resolve("no-base").toString(),
            "--fine-tuned",
            broken.toString(),
            "--target",
            directory.resolve("no-target").toString());
    assertThat(run.exit()).isEqualTo(1);
    assertThat(run.err())
        .hasSize(3)
        .anySatisfy(line -> assertThat(line).startsWith("whence: base: ").contains("no-base"))
        .anySatisfy(line -> assertThat(line).startsWith("whence: target: ").contains("no-target"))
        .anySatisfy(line -> assertThat(line).startsWith("whence: fine-tuned: ").contains("broken"));
    // Wrong usage stays wrong usage, with all of it.
    CommandRun usage =
        CommandRun.of(
            "transfer",
            "plan",
            "--base",
            "s3://A_B/x",
            "--fine-tuned",
            broken.toString(),
            "--target",
            directory.resolve("no-target").toString(),
            "--lambda",
            "NaN",
            "--policy",
            "missing=perhaps");
    assertThat(usage.exit()).isEqualTo(2);
    assertThat(usage.err()).hasSize(1);
    assertThat(usage.err().get(0))
        .contains("is no URI of a file")
        .contains("no-target")
        .contains("--lambda is NaN, but must be a finite number")
        .contains("policy missing is 'perhaps'");
  }

  @Test
  void extractAndApplyTellOfAllModelsAndDiffsThatAreNowhere() {
    CommandRun extract =
        CommandRun.of(
            "transfer",
            "extract",
            "--base",
            directory.resolve("no-b").toString(),
            "--fine-tuned",
            directory.resolve("no-f").toString(),
            "--output",
            directory.resolve("d").toString());
    assertThat(extract.exit()).isEqualTo(1);
    assertThat(extract.err()).hasSize(2);
    CommandRun apply =
        CommandRun.of(
            "transfer",
            "apply",
            "--target",
            directory.resolve("no-t").toString(),
            "--diff",
            directory.resolve("d1").toString(),
            "--diff",
            directory.resolve("d2") + "=2",
            "--output",
            directory.resolve("o").toString());
    assertThat(apply.exit()).isEqualTo(1);
    assertThat(apply.err()).hasSize(3);
    CommandRun weights =
        CommandRun.of("transfer", "compose", "--diff", "a=x", "--diff", "b=y", "--output", "never");
    assertThat(weights.exit()).isEqualTo(2);
    assertThat(weights.err().get(0)).contains("'x' is no weight; 'y' is no weight");
  }

  @Test
  void aDiffIsTakenOutByWeightMinusOneAndDiffsAddUpToOne() throws Exception {
    // Within a factor of two and of the same sign: every difference is exact.
    Path base = model("b", 1, 2, .1f, -4, 0);
    Path fineTuned = model("f", 1.5f, 3.9f, .11f, -2.5f, 0);
    Path diff = directory.resolve("d");
    assertThat(
            CommandRun.of(
                    "transfer",
                    "extract",
                    "--base",
                    base.toString(),
                    "--fine-tuned",
                    fineTuned.toString(),
                    "--output",
                    diff.toString())
                .exit())
        .isZero();
    Path back = apply(fineTuned, diff + "=-1", "back");
    assertThat(SmallModel.weights(back)).isEqualTo(SmallModel.weights(base));

    // 2 d - d is d, and a quarter of d four times as well: powers of two change no digit.
    Path sum = directory.resolve("sum");
    CommandRun composed =
        CommandRun.of(
            "transfer",
            "compose",
            "--diff",
            diff + "=2",
            "--diff",
            diff + "=-1",
            "--output",
            sum.toString());
    assertThat(composed.err()).isEmpty();
    assertThat(composed.exit()).isZero();
    assertThat(SmallModel.weights(apply(base, sum.toString(), "again")))
        .isEqualTo(SmallModel.weights(fineTuned));
    Path quarter = directory.resolve("quarter");
    assertThat(
            CommandRun.of(
                    "transfer", "compose", "--diff", diff + "=0.25", "--output", quarter.toString())
                .exit())
        .isZero();
    assertThat(SmallModel.weights(apply(base, quarter + "=4", "four")))
        .isEqualTo(SmallModel.weights(fineTuned));
  }

  private Path apply(Path target, String diff, String name) {
    Path output = directory.resolve(name);
    CommandRun run =
        CommandRun.of(
            "transfer",
            "apply",
            "--target",
            target.toString(),
            "--diff",
            diff,
            "--output",
            output.toString());
    assertThat(run.err()).isEmpty();
    assertThat(run.exit()).isZero();
    return output;
  }
}
