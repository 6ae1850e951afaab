package dev.whence.transfer.recycle;

import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Role;
import dev.whence.transfer.merge.SourceModel;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Iterative recycling-then-finetuning over a series of base versions M_1, M_2, ... (2503.20110,
 * Algorithm 1):
 *
 * <pre>
 *   M*_1    = finetune(M_1)                    delta_1 = M*_1 - M_1
 *   M*_i    = finetune(M_i + lambda delta_{i-1})      delta_i = M*_i - M_i        i = 2, 3, ...
 * </pre>
 *
 * <p>with lambda = 1 there. {@code M_i + lambda delta_{i-1}} is one transfer with base M_{i-1},
 * fine-tuned M*_{i-1} and target M_i, rounded once: no difference is ever rounded or stored. It is
 * not gated: fine-tuning goes on from it, and the paper finds that this also rescues differences
 * that fail by themselves.
 *
 * <p>Each version gets a directory under the output, {@code 1-NAME}, {@code 2-NAME}, ..., with
 * {@code recycled} (M_i + delta_{i-1}), {@code fine-tuned} (M*_i) and what was measured on the way.
 * The same call goes on where it was cut off: merges by their journal, training by its checkpoints.
 * Cost: for each version one merge, one fine-tuning, and reading both models once more.
 */
public final class Recycling {
  private final List<Base> bases;
  private final Optional<Path> first;
  private final double lambda;
  private final Policies policies;
  private final FineTuner tuner;
  private final Consumer<String> progress;

  /** A version of the base model. */
  public record Base(String name, Path directory) {}

  /**
   * What became of a version.
   *
   * @param recycled M_i + delta_{i-1}; empty of the first one
   * @param fineTuned M*_i
   * @param curve from {@code recycled} (step 0) to {@code fineTuned}; empty where M*_1 was given
   */
  public record Round(Base base, Optional<Path> recycled, Path fineTuned, List<Measurement> curve) {
    public Round {
      curve = List.copyOf(curve);
    }
  }

  /**
   * @param bases M_1, M_2, ..., at least two
   * @param first M*_1 where it is there already; empty: it is made
   * @param lambda factor of the differences
   * @param policies where two versions do not match
   * @param progress hears what is being done
   */
  public Recycling(
      List<Base> bases,
      Optional<Path> first,
      double lambda,
      Policies policies,
      FineTuner tuner,
      Consumer<String> progress) {
    if (bases.size() < 2) {
      throw new IllegalArgumentException(
          "recycling goes from one base version to the next: give two or more");
    }
    this.bases = List.copyOf(bases);
    this.first = first;
    this.lambda = lambda;
    this.policies = policies;
    this.tuner = tuner;
    this.progress = progress;
  }

  /**
   * Runs the algorithm, or what is left of it.
   *
   * @param steps of each fine-tuning after a transfer
   * @param firstSteps of the first one, of M_1
   * @throws dev.whence.transfer.TransferException if two versions do not match
   */
  public List<Round> run(long firstSteps, long steps, Path output) throws IOException {
    for (int i = 1; i < bases.size(); i++) { // what can not be merged is known before hours pass
      Base before = bases.get(i - 1);
      Path like = i == 1 ? first.orElse(before.directory()) : before.directory();
      TransferPlan.of(request(before, TransferRequest.Input.of(like), bases.get(i))).close();
    }
    List<Round> rounds = new ArrayList<>();
    for (int i = 0; i < bases.size(); i++) {
      Base base = bases.get(i);
      Path directory = Files.createDirectories(directory(output, i));
      if (i == 0 && first.isPresent()) {
        rounds.add(new Round(base, Optional.empty(), first.get(), List.of()));
        continue;
      }
      Optional<Path> recycled =
          i == 0
              ? Optional.empty()
              : Optional.of(transfer(rounds.get(i - 1), base, directory.resolve("recycled")));
      Path from = recycled.orElse(base.directory());
      Path fineTuned = directory.resolve("fine-tuned");
      progress.accept(
          "fine-tuning "
              + base.name()
              + (i == 0 ? "" : " + the difference before")
              + " -> "
              + fineTuned);
      List<Measurement> curve = curve(tuner, i, from, i == 0 ? firstSteps : steps, fineTuned);
      rounds.add(new Round(base, recycled, fineTuned, curve));
    }
    return rounds;
  }

  /** Where what belongs to a version lies. */
  Path directory(Path output, int i) {
    return output.resolve((i + 1) + "-" + bases.get(i).name());
  }

  /** A run and what was measured of it, beginning with the model that it goes on from. */
  static List<Measurement> curve(FineTuner tuner, int base, Path from, long steps, Path output) {
    LearningCurve curve =
        LearningCurve.of(
            output,
            String.join(
                "\n", "from " + digest(from), steps + " steps", tuner.identity(base, from, steps)));
    if (curve.points().isEmpty()) {
      curve.add(tuner.measure(base, from));
    }
    tuner.fineTune(base, from, steps, output, curve);
    if (!curve.has(steps)) { // nothing was left to train, and no checkpoint to measure
      curve.add(tuner.measure(base, output).at(steps));
    }
    return curve.points();
  }

  private Path transfer(Round before, Base target, Path output) {
    progress.accept(
        target.name()
            + " + ("
            + before.fineTuned()
            + " - "
            + before.base().name()
            + ") -> "
            + output);
    // By content: fine-tuning that has nothing left to do may write the same model again.
    TransferRequest.Input fineTuned =
        new TransferRequest.Input(before.fineTuned(), Optional.of(digest(before.fineTuned())));
    try (TransferPlan plan = TransferPlan.of(request(before.base(), fineTuned, target))) {
      MergeRun.run(plan, output, MergeOptions.defaults(), MergeProgress.NONE);
    }
    return output;
  }

  private static String digest(Path model) {
    try (SourceModel opened = SourceModel.open(Role.FINE_TUNED, model, Optional.empty())) {
      return opened.digest();
    }
  }

  private TransferRequest request(Base base, TransferRequest.Input fineTuned, Base target) {
    return new TransferRequest(
        TransferRequest.Input.of(base.directory()),
        fineTuned,
        TransferRequest.Input.of(target.directory()),
        List.of(lambda),
        policies);
  }
}
