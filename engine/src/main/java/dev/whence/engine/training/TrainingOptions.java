package dev.whence.engine.training;

import dev.whence.engine.EngineOptions;
import java.util.function.Predicate;

/**
 * How a trainer changes parameters.
 *
 * @param schedule learning rate
 * @param beta1 AdamW's decay of the mean of gradients
 * @param beta2 AdamW's decay of the mean of squared gradients
 * @param epsilon AdamW's guard against division by nothing
 * @param weightDecay AdamW's decoupled decay, of matrices other than embeddings
 * @param clipNorm the gradient is scaled down to this Euclidean norm; infinite: never
 * @param packTokens token budget of one forward and backward pass; a larger batch is several passes
 * @param workers threads that differentiate parts of a batch at once, each alone: faster than
 *     several threads for each operation where operations are small. Another number of them adds
 *     gradients in another order, and so gives other bits
 * @param trained by Hugging Face name: which parameters are trained
 * @param engine device, threads, and where natives are unpacked
 */
public record TrainingOptions(
    Schedule schedule,
    double beta1,
    double beta2,
    double epsilon,
    double weightDecay,
    double clipNorm,
    int packTokens,
    int workers,
    Predicate<String> trained,
    EngineOptions engine) {
  public TrainingOptions {
    if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1)) {
      throw new IllegalArgumentException(
          "beta1 " + beta1 + " and beta2 " + beta2 + " must lie in [0, 1)");
    }
    if (!(epsilon > 0) || !(weightDecay >= 0) || !(clipNorm > 0) || packTokens < 1 || workers < 1) {
      throw new IllegalArgumentException(
          "epsilon, clipNorm, packTokens and workers must be positive, weightDecay not negative");
    }
  }

  /**
   * AdamW with betas .9 and .95, decay .1, clipping at 1, all parameters, packs of 4,096 tokens,
   * one worker.
   */
  public static TrainingOptions of(Schedule schedule) {
    return new TrainingOptions(
        schedule, 0.9, 0.95, 1e-8, 0.1, 1, 4096, 1, name -> true, EngineOptions.defaults());
  }

  public TrainingOptions withSchedule(Schedule other) {
    return new TrainingOptions(
        other, beta1, beta2, epsilon, weightDecay, clipNorm, packTokens, workers, trained, engine);
  }

  public TrainingOptions withTrained(Predicate<String> wanted) {
    return new TrainingOptions(
        schedule,
        beta1,
        beta2,
        epsilon,
        weightDecay,
        clipNorm,
        packTokens,
        workers,
        wanted,
        engine);
  }

  public TrainingOptions withWeightDecay(double wanted) {
    return new TrainingOptions(
        schedule, beta1, beta2, epsilon, wanted, clipNorm, packTokens, workers, trained, engine);
  }

  public TrainingOptions withBetas(double first, double second) {
    return new TrainingOptions(
        schedule,
        first,
        second,
        epsilon,
        weightDecay,
        clipNorm,
        packTokens,
        workers,
        trained,
        engine);
  }

  public TrainingOptions withClipNorm(double wanted) {
    return new TrainingOptions(
        schedule, beta1, beta2, epsilon, weightDecay, wanted, packTokens, workers, trained, engine);
  }

  public TrainingOptions withPackTokens(int wanted) {
    return new TrainingOptions(
        schedule, beta1, beta2, epsilon, weightDecay, clipNorm, wanted, workers, trained, engine);
  }

  public TrainingOptions withWorkers(int wanted) {
    return new TrainingOptions(
        schedule,
        beta1,
        beta2,
        epsilon,
        weightDecay,
        clipNorm,
        packTokens,
        wanted,
        trained,
        engine);
  }

  public TrainingOptions withEngine(EngineOptions wanted) {
    return new TrainingOptions(
        schedule,
        beta1,
        beta2,
        epsilon,
        weightDecay,
        clipNorm,
        packTokens,
        workers,
        trained,
        wanted);
  }
}
