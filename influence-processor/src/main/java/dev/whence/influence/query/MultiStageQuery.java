package dev.whence.influence.query;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.CountSketch;
import dev.whence.influence.index.IndexSettings;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Multi-stage influence by EK-FAC: how a response of the fine-tuned model would change if example i
 * of pretraining had weight w_i. Pretraining gives theta_pt; fine-tuning from it gives theta_ft =
 * argmin J_ft + (alpha/2) |theta - theta_pt|^2. Then
 *
 * <pre>
 *   dL/dw_i = - (1/N) q' . alpha (H_ft + alpha)^-1 . (H_pt + lambda)^-1 . g_i
 * </pre>
 *
 * with q the gradient of the response's loss L at theta_ft, g_i the gradient of the example's
 * training loss at theta_pt (a sum over its tokens), H the Fisher information of each stage's mean
 * token loss (weighted, where tokens have weights), N the tokens of pretraining. What is published
 * is the change of the log-likelihood, the negative of it, in nats: positive means that the example
 * made the response more likely.
 *
 * <p>alpha to infinity is the single-stage influence function, which is what is computed where no
 * factors of fine-tuning are given; alpha to 0 keeps only what fine-tuning has left undetermined.
 *
 * <p>Both inverses act on the query: U = alpha (H_ft + alpha)^-1 q, V = (H_pt + lambda)^-1 U, and
 * the influence is V' g_i / N. For an index whose vectors are whitened with lambda0, the query's
 * vector is P[(Q_S' U Q_A) sqrt(Lambda_pt + lambda0) / (Lambda_pt + lambda)].
 *
 * <p>Source: Scalable Multi-Stage Influence Function for LLMs via EK-FAC (2505.05017), section 3;
 * the sign and alpha are kept here. Cost: 4 O I (O + I) multiply-adds per layer and stage.
 */
public final class MultiStageQuery {
  private final EkfacFactors pretraining;
  private final Optional<EkfacFactors> fineTuning;
  private final Matrices matrices;

  /**
   * @param pretraining factors of the stage whose examples are asked about
   * @param fineTuning factors of the stage after it; empty: single-stage
   * @throws InfluenceException if the stages have different layers
   */
  public MultiStageQuery(
      EkfacFactors pretraining, Optional<EkfacFactors> fineTuning, Matrices matrices) {
    this.pretraining = pretraining;
    this.fineTuning = fineTuning;
    this.matrices = matrices;
    if (fineTuning.isPresent() && !fineTuning.get().shapes().equals(pretraining.shapes())) {
      throw new InfluenceException(
          "The factors of fine-tuning have other layers than those of pretraining: compute both with"
              + " the same --layers, on models of one shape.");
    }
  }

  /**
   * A query, ready for examples and for an index.
   *
   * @param direction V [O, I] by the layer's name, row by row: influence is V' g_i / N
   * @param sketch q^, k numbers
   * @param norm |q^| before sketching
   * @param tokens N, see {@link EkfacFactors.Stage#tokens}
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Preconditioned(
      Map<String, double[]> direction, float[] sketch, double norm, double tokens) {}

  /**
   * Preconditions a gradient.
   *
   * @param index whose whitening and sketch the vector is for
   */
  public Preconditioned precondition(
      ResponseGradient gradient, Damping alpha, Damping lambda, IndexSettings index) {
    return precondition(gradient, alpha, lambda, index.damping(), index.sketch());
  }

  /**
   * Preconditions a gradient.
   *
   * @param lambda0 of the whitening of the vectors that it is for
   * @param projection their sketch
   */
  public Preconditioned precondition(
      ResponseGradient gradient,
      Damping alpha,
      Damping lambda,
      Damping lambda0,
      CountSketch projection) {
    Whitened whitened = whitened(gradient, alpha, lambda, lambda0);
    return new Preconditioned(
        whitened.direction(),
        whitened.sketch(projection),
        whitened.norm(),
        pretraining.stage().tokens());
  }

  /**
   * A query before it is sketched.
   *
   * @param direction V [O, I] by the layer's name, row by row: influence is V' g_i / N
   * @param vector by the layer's name, for the whole vectors of {@link
   *     dev.whence.influence.index.WhitenedGradients}: influence is their product over N
   * @param norm of the vector
   */
  public record Whitened(
      Map<String, double[]> direction, Map<String, float[]> vector, double norm) {
    /** q^, k numbers. */
    public float[] sketch(CountSketch projection) {
      float[] sketch = new float[projection.buckets()];
      long first = 0;
      for (float[] layer : vector.values()) {
        projection.add(layer, first, sketch);
        first += layer.length;
      }
      return sketch;
    }
  }

  /**
   * Preconditions a gradient.
   *
   * @param lambda0 of the whitening of the vectors that it is for
   */
  public Whitened whitened(
      ResponseGradient gradient, Damping alpha, Damping lambda, Damping lambda0) {
    Map<String, double[]> direction = new LinkedHashMap<>();
    Map<String, float[]> vectors = new LinkedHashMap<>();
    double square = 0;
    for (LinearLayer layer : pretraining.layers()) {
      double[] q = gradient.byLayer().get(layer.name());
      if (q == null || q.length != layer.elements()) {
        throw new InfluenceException(
            "The model that answered has no layer "
                + layer.name()
                + " of the shape that the factors have: it is not a fine-tune of "
                + pretraining.stage().modelName()
                + ".");
      }
      double[] u = throughFineTuning(layer, q, alpha);
      double[] rotated = pretraining.rotate(layer, u, matrices);
      double[] eigenvalues = pretraining.lambda(layer);
      double damping = lambda.of(pretraining, layer);
      double whitening = lambda0.of(pretraining, layer);
      float[] vector = new float[rotated.length];
      for (int i = 0; i < rotated.length; i++) {
        double inverse = rotated[i] / (eigenvalues[i] + damping);
        double element = inverse * Math.sqrt(eigenvalues[i] + whitening);
        vector[i] = (float) element;
        square += element * element;
        rotated[i] = inverse;
      }
      vectors.put(layer.name(), vector);
      direction.put(layer.name(), pretraining.rotateBack(layer, rotated, matrices));
    }
    if (!Double.isFinite(square)) {
      throw new InfluenceException(
          "lambda is so small that the inverse Hessian is not finite: choose a larger one.");
    }
    return new Whitened(direction, vectors, Math.sqrt(square));
  }

  /** U = alpha (H_ft + alpha)^-1 q. */
  private double[] throughFineTuning(LinearLayer layer, double[] q, Damping alpha) {
    if (fineTuning.isEmpty()) {
      return q;
    }
    EkfacFactors factors = fineTuning.get();
    double[] rotated = factors.rotate(layer, q, matrices);
    double[] eigenvalues = factors.lambda(layer);
    double damping = alpha.of(factors, layer);
    for (int i = 0; i < rotated.length; i++) {
      rotated[i] *= damping / (eigenvalues[i] + damping);
    }
    return factors.rotateBack(layer, rotated, matrices);
  }
}
