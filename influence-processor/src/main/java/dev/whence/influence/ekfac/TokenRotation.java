package dev.whence.influence.ekfac;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * Turns what layers saw of tokens into the eigenbasis, in fp32, or of numbers in bf16 if the
 * eigenvectors are: D = d Q_S [T, O] and A = a Q_A [T, I], in fp32 either way. A sequence's
 * gradient there, Q_S' G Q_A, is D' A over its rows.
 */
public final class TokenRotation implements AutoCloseable {
  /** What is done with a layer; matrices are closed after it. */
  public interface Each {
    void layer(LinearLayer layer, Matrix gradients, Matrix inputs);
  }

  private final List<LinearLayer> layers;
  private final Map<Integer, Matrix> inputBases = new LinkedHashMap<>();
  private final Map<String, Matrix> gradientBases = new LinkedHashMap<>();

  /** With factors' eigenvectors, which may be closed afterwards. */
  public TokenRotation(EkfacFactors factors) {
    this(factors.layers(), factors::inputVectors, factors::gradientVectors);
  }

  TokenRotation(
      List<LinearLayer> layers,
      Function<LinearLayer, Matrix> inputVectors,
      Function<LinearLayer, Matrix> gradientVectors) {
    this.layers = layers;
    boolean complete = false;
    try {
      for (LinearLayer layer : layers) {
        inputBases.computeIfAbsent(
            layer.product(), product -> atMostSingle(inputVectors.apply(layer)));
        gradientBases.put(layer.name(), atMostSingle(gradientVectors.apply(layer)));
      }
      complete = true;
    } finally {
      if (!complete) {
        close();
      }
    }
  }

  private static Matrix atMostSingle(Matrix vectors) {
    return vectors.isRounded() ? vectors.inBf16() : vectors.inSingle();
  }

  /** Layer by layer; layers of one product share the turned inputs. */
  public void forEach(Taps taps, Each each) {
    Matrix inputs = null;
    int product = -1;
    try {
      for (LinearLayer layer : layers) {
        if (inputs == null || layer.product() != product) {
          if (inputs != null) {
            inputs.close();
          }
          product = layer.product();
          inputs = taps.input(layer).times(Objects.requireNonNull(inputBases.get(product)));
        }
        try (Matrix gradients =
            taps.gradient(layer).times(Objects.requireNonNull(gradientBases.get(layer.name())))) {
          each.layer(layer, gradients, inputs);
        }
      }
    } finally {
      if (inputs != null) {
        inputs.close();
      }
    }
  }

  @Override
  public void close() {
    inputBases.values().forEach(Matrix::close);
    gradientBases.values().forEach(Matrix::close);
  }
}
