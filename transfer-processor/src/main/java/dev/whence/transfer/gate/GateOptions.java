package dev.whence.transfer.gate;

import java.nio.file.Path;
import java.util.List;

/**
 * What a transfer is measured by.
 *
 * @param taskSet what fine-tuning was for, JSONL
 * @param generalSet what must not be forgotten, JSONL
 * @param barrierLimit nats per token, on both sets
 * @param taskTolerance e1: task(M) &lt;= (1 + e1) task(F)
 * @param generalTolerance e2: general(M) / general(T) &lt;= (1 + e2) general(F) / general(B)
 * @param sweep further lambdas whose losses are measured; may be empty
 */
public record GateOptions(
    Path taskSet,
    Path generalSet,
    double barrierLimit,
    double taskTolerance,
    double generalTolerance,
    List<Double> sweep) {

  public GateOptions {
    sweep = List.copyOf(sweep);
  }

  /** The limits of the design: all .1. */
  public static GateOptions of(Path taskSet, Path generalSet) {
    return new GateOptions(taskSet, generalSet, .1, .1, .1, List.of());
  }

  public GateOptions withSweep(List<Double> other) {
    return new GateOptions(
        taskSet, generalSet, barrierLimit, taskTolerance, generalTolerance, other);
  }
}
