package dev.whence.influence.ekfac;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Sums of squared gradients in the eigenbasis, [O, I] for each layer: N times EK-FAC's eigenvalues
 * Lambda, which correct those of K-FAC (George et al. 2018, section 3.1). Labels are drawn from the
 * model. Products in fp32, sums in fp64; sums of several workers are added.
 */
final class LambdaSums implements AutoCloseable {
  private final LambdaForm form;
  private final TokenRotation rotation;
  private final Map<String, Matrix> sums = new LinkedHashMap<>();

  LambdaSums(List<LinearLayer> layers, Eigenbases bases, LambdaForm form, Matrices matrices) {
    this.form = form;
    this.rotation = new TokenRotation(layers, bases::inputs, bases::gradients);
    for (LinearLayer layer : layers) {
      sums.put(layer.name(), matrices.zeros(layer.outputs(), layer.inputs()));
    }
  }

  /** Counts the sequences of a pack in. */
  void add(Taps taps) {
    rotation.forEach(
        taps, (layer, gradients, inputs) -> add(layer, gradients, inputs, taps.runs(layer)));
  }

  /** Counts sequences of a layer in, whose tokens are in the eigenbasis. */
  void add(LinearLayer layer, Matrix gradients, Matrix inputs, List<Taps.Run> runs) {
    switch (form) {
      case PER_SEQUENCE -> sum(layer).addSquaredProducts(gradients, inputs, runs);
      case PER_TOKEN -> sum(layer).addProductOfSquares(gradients, inputs);
    }
  }

  /** N Lambda [O, I]. */
  Matrix sum(LinearLayer layer) {
    return Objects.requireNonNull(sums.get(layer.name()));
  }

  String save(Path path, ObjectNode header) {
    Map<String, ArrayFile.Content> arrays = new LinkedHashMap<>();
    sums.forEach(
        (name, sum) -> arrays.put("Lambda " + name, Covariances.content("Lambda " + name, sum)));
    return ArrayFile.write(path, header, arrays);
  }

  /** Adds the sums of a file. */
  void add(ArrayFile file, Matrices matrices) {
    sums.forEach((name, sum) -> Covariances.add(sum, file, "Lambda " + name, matrices));
  }

  @Override
  public void close() {
    rotation.close();
    sums.values().forEach(Matrix::close);
  }
}
