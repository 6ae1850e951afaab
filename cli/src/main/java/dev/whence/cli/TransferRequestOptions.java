package dev.whence.cli;

import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Role;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Option;

/** What is to be transferred, and what to do where the models do not match. */
final class TransferRequestOptions {
  @Option(names = "--base", required = true, paramLabel = "B", description = "base version")
  private String base = "";

  @Option(
      names = "--fine-tuned",
      required = true,
      paramLabel = "F",
      description = "what came of the base by fine-tuning")
  private String fineTuned = "";

  @Option(
      names = "--target",
      required = true,
      paramLabel = "T",
      description = "the base version that is to get the fine-tuning")
  private String target = "";

  @Option(
      names = "--lambda",
      split = ",",
      defaultValue = "1",
      paramLabel = "L",
      description = "factor of the difference; several, separated by commas, go in one pass")
  private List<Double> lambdas = List.of();

  @Option(
      names = "--policy",
      paramLabel = "NAME=VALUE",
      description = {
        "missing=target, shapes=target, tied-head=embeddings, vocabulary=align,",
        "added-tokens=drop|append, non-finite=propagate, template=fine-tuned|target;",
        "everything is refused by default"
      })
  private Map<String, String> policies = Map.of();

  @Option(
      names = "--rename",
      paramLabel = "TARGET=SOURCE",
      description = "a tensor that has another name in the target than in base and fine-tuned")
  private Map<String, String> renamed = Map.of();

  /** Refused, with all that is known to be wrong by then, where models are nowhere. */
  TransferRequest request() {
    TransferModels models =
        new TransferModels()
            .add(Role.BASE, base)
            .add(Role.FINE_TUNED, fineTuned)
            .add(Role.TARGET, target);
    Policies decided = models.policies(TransferModels.named(policies, renamed));
    List<Double> factors = models.lambdas(lambdas);
    TransferRequest request =
        new TransferRequest(
            TransferRequest.Input.of(models.of(Role.BASE)),
            TransferRequest.Input.of(models.of(Role.FINE_TUNED)),
            TransferRequest.Input.of(models.of(Role.TARGET)),
            factors,
            decided);
    if (!models.good()) {
      throw models.refusal(
          models.isWrongUsage()
              ? List.of()
              : TransferPlan.problems(request, models.found().keySet()));
    }
    return request;
  }
}
