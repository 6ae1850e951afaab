package dev.whence.engine.weights;

import java.util.ArrayList;
import java.util.List;

/**
 * Inverse frequencies of rotary positions, computed as transformers 4.57 does
 * (modeling_rope_utils.py), in float32 step by step, so that they agree to the last digit or two.
 */
final class RotaryFrequencies {
  private RotaryFrequencies() {}

  /** 1 / base^(2 i / dimensions) for i in [0, dimensions / 2): RoFormer, section 3.2.2. */
  static float[] unscaled(double base, int dimensions) {
    float[] inverse = new float[(dimensions + 1) / 2];
    for (int i = 0; i < inverse.length; i++) {
      float exponent = (float) (2 * i) / dimensions;
      inverse[i] = 1f / (float) Math.pow(base, exponent);
    }
    return inverse;
  }

  /** Position interpolation (Chen et al. 2023). */
  static float[] linear(float[] inverse, double factor) {
    float[] scaled = inverse.clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] /= (float) factor;
    }
    return scaled;
  }

  /** Divides each frequency by its own factor (rope_freqs.weight of GGUF). */
  static float[] divided(float[] inverse, float[] factors) {
    float[] scaled = inverse.clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] /= factors[i];
    }
    return scaled;
  }

  /**
   * Llama 3.1: wavelengths above originalMax / lowFactor are stretched by the factor, those below
   * originalMax / highFactor are kept, in between interpolated.
   */
  static float[] llama3(
      float[] inverse, double factor, double lowFactor, double highFactor, int originalMax) {
    double lowWavelength = originalMax / lowFactor;
    double highWavelength = originalMax / highFactor;
    float[] scaled = inverse.clone();
    for (int i = 0; i < scaled.length; i++) {
      double wavelength = 2 * Math.PI / inverse[i];
      if (wavelength > lowWavelength) {
        scaled[i] = (float) (inverse[i] / factor);
      } else if (wavelength >= highWavelength) {
        double smooth = (originalMax / wavelength - lowFactor) / (highFactor - lowFactor);
        scaled[i] = (float) ((1 - smooth) * inverse[i] / factor + smooth * inverse[i]);
      }
    }
    return scaled;
  }

  /**
   * YaRN (Peng et al. 2023, section 3.2, "NTK-by-parts"): interpolated dimensions are blended into
   * unscaled ones by a ramp between the dimensions that turn betaSlow and betaFast times.
   *
   * @param truncate whether the ramp's ends are rounded outwards to whole dimensions
   */
  static float[] yarn(
      double base,
      int dimensions,
      double factor,
      int originalMax,
      double betaFast,
      double betaSlow,
      boolean truncate) {
    double low = turning(betaFast, dimensions, base, originalMax);
    double high = turning(betaSlow, dimensions, base, originalMax);
    if (truncate) {
      low = Math.floor(low);
      high = Math.ceil(high);
    }
    low = Math.max(low, 0);
    high = Math.min(high, dimensions - 1);
    if (low == high) {
      high += 0.001;
    }
    float[] inverse = unscaled(base, dimensions);
    for (int i = 0; i < inverse.length; i++) {
      float ramp = Math.min(1, Math.max(0, (float) ((i - low) / (high - low))));
      float keep = 1 - ramp;
      inverse[i] = inverse[i] / (float) factor * (1 - keep) + inverse[i] * keep;
    }
    return inverse;
  }

  /** The dimension whose frequency turns so many times within the original context. */
  private static double turning(double turns, int dimensions, double base, int originalMax) {
    return dimensions * Math.log(originalMax / (turns * 2 * Math.PI)) / (2 * Math.log(base));
  }

  /** YaRN's factor on cos and sin: 0.1 m ln(s) + 1 for a scale s above 1. */
  static double yarnAttention(double scale, double multiplier) {
    return scale <= 1 ? 1 : 0.1 * multiplier * Math.log(scale) + 1;
  }

  static List<Double> asList(float[] values) {
    List<Double> list = new ArrayList<>(values.length);
    for (float value : values) {
      list.add((double) value);
    }
    return list;
  }
}
