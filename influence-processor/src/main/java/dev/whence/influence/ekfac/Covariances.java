package dev.whence.influence.ekfac;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.influence.InfluenceException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Sums over tokens of the Kronecker factors of each layer: a a' of its inputs [I, I] and d d' of
 * its output gradients [O, O], products in fp32, sums in fp64. With labels drawn from the model, A
 * = E[a a'] and S = E[d d'] are the factors of K-FAC's approximation of the Fisher information, A
 * (x) S (Martens and Grosse 2015, section 3). Layers that read the same inputs share A.
 *
 * <p>Only the eigenvectors of A and S are used afterwards, so how sums are scaled makes no
 * difference; sums of several workers are added. For the same reason inputs of all tokens count
 * alike, whatever their loss weights: what a token's input does is seen in the losses of all tokens
 * after it.
 */
final class Covariances implements AutoCloseable {
  private final List<LinearLayer> layers;
  private final Map<Integer, Matrix> inputs = new LinkedHashMap<>();
  private final Map<String, Matrix> gradients = new LinkedHashMap<>();

  Covariances(List<LinearLayer> layers, Matrices matrices) {
    this.layers = layers;
    for (LinearLayer layer : layers) {
      inputs.computeIfAbsent(
          layer.product(), product -> matrices.zeros(layer.inputs(), layer.inputs()));
      gradients.put(layer.name(), matrices.zeros(layer.outputs(), layer.outputs()));
    }
  }

  /** Counts the tokens of a pack in. */
  void add(Taps taps) {
    int product = -1;
    for (LinearLayer layer : layers) {
      if (layer.product() != product) {
        product = layer.product();
        inputs(layer).addGram(taps.input(layer));
      }
      gradients(layer).addGram(taps.gradient(layer));
    }
  }

  /** Sum of a a' [I, I]. */
  Matrix inputs(LinearLayer layer) {
    return Objects.requireNonNull(inputs.get(layer.product()));
  }

  /** Sum of d d' [O, O]. */
  Matrix gradients(LinearLayer layer) {
    return Objects.requireNonNull(gradients.get(layer.name()));
  }

  String save(Path path, ObjectNode header) {
    Map<String, ArrayFile.Content> arrays = new LinkedHashMap<>();
    inputs.forEach((product, sum) -> arrays.put("A" + product, content("A" + product, sum)));
    gradients.forEach((name, sum) -> arrays.put("S " + name, content("S " + name, sum)));
    return ArrayFile.write(path, header, arrays);
  }

  /**
   * What is written of a sum.
   *
   * @throws InfluenceException when it is written, if it is not finite: products may overflow whose
   *     factors do not
   */
  static ArrayFile.Content content(String name, Matrix sum) {
    return new ArrayFile.Content(
        sum.rows() * sum.columns(),
        () -> {
          double[] values = sum.doubles();
          for (double value : values) {
            if (!Double.isFinite(value)) {
              throw new InfluenceException(
                  "The sums "
                      + name
                      + " are not finite: a product overflowed on one of the lines since the last"
                      + " saved state, which stands. Take extreme documents out of the corpus.");
            }
          }
          return values;
        });
  }

  /** Adds the sums of a file. */
  void add(ArrayFile file, Matrices matrices) {
    inputs.forEach((product, sum) -> add(sum, file, "A" + product, matrices));
    gradients.forEach((name, sum) -> add(sum, file, "S " + name, matrices));
  }

  static void add(Matrix sum, ArrayFile file, String name, Matrices matrices) {
    double[] values = file.array(name, (long) sum.rows() * sum.columns());
    try (Matrix part = matrices.of(sum.rows(), sum.columns(), values)) {
      sum.add(part);
    }
  }

  @Override
  public void close() {
    inputs.values().forEach(Matrix::close);
    gradients.values().forEach(Matrix::close);
  }
}
