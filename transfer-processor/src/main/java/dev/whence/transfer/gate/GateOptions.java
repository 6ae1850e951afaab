package dev.whence.transfer.gate;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.TransferRequest;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * What a transfer is measured by.
 *
 * @param taskSet what fine-tuning was for, JSONL
 * @param generalSet what must not be forgotten, JSONL
 * @param barrierLimit nats per token, on both sets
 * @param taskTolerance e1: task(M) &lt;= (1 + e1) task(F)
 * @param generalTolerance e2: general(M) / general(T) &lt;= (1 + e2) general(F) / general(B)
 * @param sweep further lambdas whose losses are measured: finite, each once, at most {@value
 *     TransferRequest#MOST_LAMBDAS}; may be empty
 */
public record GateOptions(
    Path taskSet,
    Path generalSet,
    double barrierLimit,
    double taskTolerance,
    double generalTolerance,
    List<Double> sweep) {

  /** What each of the three limits is where nobody says otherwise. */
  public static final double DEFAULT_LIMIT = .1;

  /** The largest limit that is taken for one. */
  public static final double LARGEST_LIMIT = 100;

  public GateOptions {
    check("the barrier limit", barrierLimit);
    check("the task tolerance", taskTolerance);
    check("the general tolerance", generalTolerance);
    sweep = List.copyOf(sweep);
    refusal(sweep)
        .ifPresent(
            refusal -> {
              throw new IllegalArgumentException(refusal);
            });
  }

  /** What is wrong with a sweep, in one sentence. */
  private static Optional<String> refusal(List<Double> sweep) {
    Set<String> wrong = new LinkedHashSet<>();
    if (sweep.size() > TransferRequest.MOST_LAMBDAS) {
      wrong.add(sweep.size() + " values");
    }
    Set<Double> seen = new HashSet<>();
    for (double lambda : sweep) {
      if (!Double.isFinite(lambda)) {
        wrong.add("the value " + lambda);
      } else if (!seen.add(lambda + 0.)) { // -0 + 0 = 0
        wrong.add(lambda + " more than once");
      }
    }
    return wrong.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "the sweep has "
                + String.join(", ", wrong)
                + ", but must be at most "
                + TransferRequest.MOST_LAMBDAS
                + " different finite numbers");
  }

  private static void check(String what, double limit) {
    if (!(limit >= 0 && limit <= LARGEST_LIMIT)) {
      throw new IllegalArgumentException(
          what + " is " + limit + ", but must be between 0 and " + LARGEST_LIMIT);
    }
  }

  /** The limits of the design. */
  public static GateOptions of(Path taskSet, Path generalSet) {
    return new GateOptions(
        taskSet, generalSet, DEFAULT_LIMIT, DEFAULT_LIMIT, DEFAULT_LIMIT, List.of());
  }

  /**
   * With the sweep of a request.
   *
   * @throws TransferException if it is none: the request is refused, the options are not wrong
   */
  public GateOptions withSweep(List<Double> other) {
    refusal(other)
        .ifPresent(
            refusal -> {
              throw new TransferException(refusal);
            });
    return new GateOptions(
        taskSet, generalSet, barrierLimit, taskTolerance, generalTolerance, other);
  }
}
