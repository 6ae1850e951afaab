package dev.whence.cli;

import dev.whence.transfer.merge.Expectation;
import dev.whence.transfer.merge.Role;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Option;

/**
 * What a result is said to be made from, in the words of {@code transfer run}: what is given is
 * compared, so that the same line goes with every command.
 */
final class TransferExpectedOptions {
  @Option(names = "--base", paramLabel = "B", description = "ends with 1 if it was another base")
  private Optional<String> base = Optional.empty();

  @Option(
      names = "--fine-tuned",
      paramLabel = "F",
      description = "ends with 1 if it was another fine-tuned model")
  private Optional<String> fineTuned = Optional.empty();

  @Option(
      names = "--target",
      paramLabel = "T",
      description = "ends with 1 if it was another target")
  private Optional<String> target = Optional.empty();

  @Option(
      names = "--lambda",
      split = ",",
      paramLabel = "L",
      description = "ends with 1 if it was another factor, or others")
  private List<Double> lambdas = List.of();

  @Option(
      names = "--policy",
      paramLabel = "NAME=VALUE",
      description = "ends with 1 if it was another policy")
  private Map<String, String> policies = Map.of();

  @Option(
      names = "--rename",
      paramLabel = "TARGET=SOURCE",
      description = "ends with 1 if it was not renamed so")
  private Map<String, String> renamed = Map.of();

  boolean given() {
    return base.isPresent()
        || fineTuned.isPresent()
        || target.isPresent()
        || !lambdas.isEmpty()
        || !policies.isEmpty()
        || !renamed.isEmpty();
  }

  Expectation expectation() {
    TransferModels models = new TransferModels();
    base.ifPresent(model -> models.add(Role.BASE, model));
    fineTuned.ifPresent(model -> models.add(Role.FINE_TUNED, model));
    target.ifPresent(model -> models.add(Role.TARGET, model));
    Map<String, String> named = TransferModels.named(policies, renamed);
    var unused = models.policies(named); // only whether they are any
    List<Double> factors = models.lambdas(lambdas);
    return new Expectation(models.orRefuse().found(), factors, named);
  }
}
