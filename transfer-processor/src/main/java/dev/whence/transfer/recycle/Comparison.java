package dev.whence.transfer.recycle;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.Predicate;

/**
 * Recycling against fine-tuning a base version anew, on the same data: how well a model does by the
 * transfer alone, and after how many steps which way does how well.
 *
 * @param base name of the version
 * @param recycled from M_i + delta_{i-1} (step 0) to M*_i
 * @param direct from M_i (step 0) on, a run for each number of steps; the longest is what recycling
 *     is measured by
 */
public record Comparison(String base, List<Measurement> recycled, List<List<Measurement>> direct) {
  public Comparison {
    recycled = List.copyOf(recycled);
    direct = List.copyOf(direct);
    if (recycled.isEmpty() || direct.isEmpty() || direct.stream().anyMatch(List::isEmpty)) {
      throw new IllegalArgumentException("a curve without a point");
    }
  }

  /**
   * Fine-tunes a version anew, once for each number of steps; goes on where it was cut off.
   *
   * @param index of the round's base, from 0
   * @param output of the whole recycling
   */
  public static Comparison of(
      Recycling recycling,
      Recycling.Round round,
      int index,
      FineTuner tuner,
      List<Long> steps,
      Path output) {
    List<List<Measurement>> direct = new ArrayList<>();
    for (long one : steps) {
      direct.add(
          Recycling.curve(
              tuner,
              index,
              round.base().directory(),
              one,
              recycling.directory(output, index).resolve("direct-" + one)));
    }
    return new Comparison(round.base().name(), round.curve(), direct);
  }

  /** The end of the longest run of direct fine-tuning. */
  public Measurement reference() {
    Measurement reference = last(direct.get(0));
    for (List<Measurement> run : direct) {
      if (last(run).step() > reference.step()) {
        reference = last(run);
      }
    }
    return reference;
  }

  /** Transfer alone. */
  public Measurement transferred() {
    return recycled.get(0);
  }

  /** Whether exact match tells anything: not where direct fine-tuning has no answer right. */
  public boolean hasRightAnswers() {
    return reference().exact() > 0;
  }

  /**
   * The first step at which transfer then fine-tuning answers as many right as the reference; empty
   * if it never does, or the reference has none right.
   */
  public OptionalLong reached() {
    Measurement reference = reference();
    return !hasRightAnswers()
        ? OptionalLong.empty()
        : first(point -> point.share() >= reference.share());
  }

  /** The first step at which transfer then fine-tuning has no greater loss than the reference. */
  public OptionalLong reachedLoss() {
    Measurement reference = reference();
    return first(point -> point.loss() <= reference.loss());
  }

  private OptionalLong first(Predicate<Measurement> there) {
    return recycled.stream().filter(there).mapToLong(Measurement::step).min();
  }

  static Measurement last(List<Measurement> curve) {
    return curve.get(curve.size() - 1);
  }
}
