package dev.whence.transfer.merge;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What is to be transferred.
 *
 * @param base the model that fine-tuning started from, B
 * @param fineTuned what came of it, F
 * @param target the base that is to get the fine-tuning, T
 * @param lambdas factors of the difference, at least one; all in one pass
 * @param policies where the models do not match
 */
public record TransferRequest(
    Input base, Input fineTuned, Input target, List<Double> lambdas, Policies policies) {

  /** Most factors in one pass. */
  public static final int MOST_LAMBDAS = 16;

  /**
   * A model directory.
   *
   * @param digest of its release, if known: checked before anything is published
   */
  public record Input(Path directory, Optional<String> digest) {
    public static Input of(Path directory) {
      return new Input(directory, Optional.empty());
    }
  }

  public TransferRequest {
    lambdas = List.copyOf(lambdas);
  }

  /** With lambda 1 and strict policies. */
  public static TransferRequest of(Path base, Path fineTuned, Path target) {
    return new TransferRequest(
        Input.of(base), Input.of(fineTuned), Input.of(target), List.of(1.), Policies.STRICT);
  }

  Input input(Role role) {
    return switch (role) {
      case BASE -> base;
      case FINE_TUNED -> fineTuned;
      case TARGET -> target;
    };
  }

  public TransferRequest withLambdas(List<Double> other) {
    return new TransferRequest(base, fineTuned, target, other, policies);
  }

  public TransferRequest withPolicies(Policies other) {
    return new TransferRequest(base, fineTuned, target, lambdas, other);
  }
}
