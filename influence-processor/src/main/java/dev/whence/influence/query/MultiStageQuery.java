package dev.whence.influence.query;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.SampledFisher;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.IndexSettings;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
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
 * the sign and alpha are kept here. Cost: 4 O I (O + I) multiply-adds per layer and stage, and half
 * of that for the index's vector.
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

  /** Multiply-adds of {@link #precondition}, its cost as above. */
  public double multiplyAdds() {
    double stages = 1 + (fineTuning.isPresent() ? 1 : 0) + 0.5;
    double of = 0;
    for (LinearLayer layer : pretraining.layers()) {
      of += 4.0 * layer.outputs() * layer.inputs() * (layer.outputs() + layer.inputs());
    }
    return stages * of;
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
      BlockSketch projection) {
    return sketched(whitened(gradient, alpha, lambda, lambda0), projection);
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
    /**
     * q^, k numbers.
     *
     * @throws InfluenceException if one is not finite
     */
    public float[] sketch(BlockSketch projection) {
      float[] sketch = new float[projection.buckets()];
      long first = 0;
      for (float[] layer : vector.values()) {
        projection.add(layer, first, sketch);
        first += layer.length;
      }
      for (float bucket : sketch) {
        checkFinite(bucket);
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
    return whitened(inverse(throughFineTuning(gradient, alpha), lambda), lambda0);
  }

  /**
   * The same with (F + lambda)^-1 in place of (H_pt + lambda)^-1: F is the Fisher information of a
   * sample as it is, EK-FAC only preconditions conjugate gradients.
   *
   * @param lambda0 of the whitening of the vectors that it is for
   * @param fisher of the indexed model
   * @param iterations of conjugate gradients, at least 1
   */
  public Refined refined(
      ResponseGradient gradient,
      Damping alpha,
      Damping lambda,
      Damping lambda0,
      SampledFisher fisher,
      int iterations) {
    ConjugateGradients.Solved solved =
        ConjugateGradients.solve(
            x -> plus(fisher.times(x), x, lambda),
            x -> inverse(x, lambda),
            throughFineTuning(gradient, alpha),
            iterations);
    return new Refined(whitened(solved.solution(), lambda0), solved.residuals());
  }

  /**
   * A query whose inverse was refined.
   *
   * @param residuals |U - (F + lambda) V| / |U|, by EK-FAC alone and after each iteration
   */
  public record Refined(Whitened whitened, List<Double> residuals) {
    public Refined {
      residuals = List.copyOf(residuals);
    }
  }

  /** Sketches a query that was whitened. */
  public Preconditioned sketched(Whitened whitened, BlockSketch projection) {
    return new Preconditioned(
        whitened.direction(),
        whitened.sketch(projection),
        whitened.norm(),
        pretraining.stage().tokens());
  }

  /** (H_pt + lambda)^-1 x. */
  private Map<String, double[]> inverse(Map<String, double[]> x, Damping lambda) {
    Map<String, double[]> inverse = new LinkedHashMap<>();
    for (LinearLayer layer : pretraining.layers()) {
      double[] rotated = pretraining.rotate(layer, of(layer, x), matrices);
      double[] eigenvalues = pretraining.lambda(layer);
      double damping = lambda.of(pretraining, layer);
      for (int i = 0; i < rotated.length; i++) {
        rotated[i] /= eigenvalues[i] + damping;
      }
      inverse.put(layer.name(), pretraining.rotateBack(layer, rotated, matrices));
    }
    return inverse;
  }

  /** product + lambda x. */
  private Map<String, double[]> plus(
      Map<String, double[]> product, Map<String, double[]> x, Damping lambda) {
    for (LinearLayer layer : pretraining.layers()) {
      double damping = lambda.of(pretraining, layer);
      double[] sum = of(layer, product);
      double[] values = of(layer, x);
      for (int i = 0; i < sum.length; i++) {
        sum[i] += damping * values[i];
      }
    }
    return product;
  }

  private static double[] of(LinearLayer layer, Map<String, double[]> vector) {
    return Objects.requireNonNull(vector.get(layer.name()), layer.name());
  }

  /**
   * (Q_S' V Q_A) sqrt(Lambda + lambda0) of V.
   *
   * @throws InfluenceException if an element is not finite in fp32
   */
  private Whitened whitened(Map<String, double[]> direction, Damping lambda0) {
    Map<String, float[]> vectors = new LinkedHashMap<>();
    double square = 0;
    for (LinearLayer layer : pretraining.layers()) {
      double[] v = of(layer, direction);
      for (double element : v) { // documents are ranked with it in fp32
        checkFinite((float) element);
      }
      double[] rotated = pretraining.rotate(layer, v, matrices);
      double[] eigenvalues = pretraining.lambda(layer);
      double whitening = lambda0.of(pretraining, layer);
      float[] vector = new float[rotated.length];
      for (int i = 0; i < rotated.length; i++) {
        double element = rotated[i] * Math.sqrt(eigenvalues[i] + whitening);
        vector[i] = (float) element;
        checkFinite(vector[i]);
        square += element * element;
      }
      vectors.put(layer.name(), vector);
    }
    return new Whitened(direction, vectors, Math.sqrt(square));
  }

  /** What is more than fp32 holds would make every influence infinite or none. */
  private static void checkFinite(float element) {
    if (!Float.isFinite(element)) {
      throw new InfluenceException(
          "lambda is so small that the inverse Hessian is not finite: choose a larger one.");
    }
  }

  /** U = alpha (H_ft + alpha)^-1 q of all layers. */
  private Map<String, double[]> throughFineTuning(ResponseGradient gradient, Damping alpha) {
    Map<String, double[]> all = new LinkedHashMap<>();
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
      all.put(layer.name(), throughFineTuning(layer, q, alpha));
    }
    return all;
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
