package dev.whence.engine.training;

import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.weights.ModelConfig;

/** First values of a model's parameters. */
public interface Initialisation {
  /**
   * The values of one parameter, row-major: the same at every call.
   *
   * @param config of the model
   */
  float[] values(ParameterLayout.Parameter parameter, ModelConfig config);
}
