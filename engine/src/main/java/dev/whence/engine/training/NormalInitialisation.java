package dev.whence.engine.training;

import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.weights.ModelConfig;
import java.util.Arrays;
import java.util.Random;

/**
 * First values of a model's parameters: matrices and embeddings normal with mean 0, the projections
 * that write to the residual stream narrower by sqrt(2 layers) (GPT-2), norms 1, biases 0.
 *
 * @param standardDeviation of the embedding; of other matrices too if {@code byFanIn} is false
 * @param byFanIn matrices have standard deviation 1 / sqrt(columns) instead
 * @param seed the same seed gives the same values on every JVM
 */
public record NormalInitialisation(double standardDeviation, boolean byFanIn, long seed)
    implements Initialisation {
  /** GPT-2's: everything with one standard deviation. */
  public static NormalInitialisation of(double standardDeviation, long seed) {
    return new NormalInitialisation(standardDeviation, false, seed);
  }

  @Override
  public float[] values(ParameterLayout.Parameter parameter, ModelConfig config) {
    float[] values = new float[Math.toIntExact(parameter.elements())];
    String name = parameter.name();
    if (parameter.shape().size() == 1) {
      Arrays.fill(values, name.endsWith(".bias") ? 0f : 1f);
      return values;
    }
    boolean embedding = ParameterLayout.isEmbedding(name);
    double deviation =
        byFanIn && !embedding ? 1 / Math.sqrt(parameter.shape().get(1)) : standardDeviation;
    if (writesToStream(name)) {
      deviation /= Math.sqrt(2.0 * config.layers());
    }
    // java.util.Random: its algorithm is part of its specification
    Random random = new Random(seed * 0x9e37_79b9_7f4a_7c15L + name.hashCode());
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextGaussian() * deviation);
    }
    return values;
  }

  private static boolean writesToStream(String name) {
    return name.endsWith("o_proj.weight")
        || name.endsWith("down_proj.weight")
        || name.endsWith("attention.dense.weight")
        || name.endsWith("dense_4h_to_h.weight");
  }
}
