package dev.whence.influence.ekfac;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import java.util.Locale;

/**
 * What is added to Lambda before it is inverted: alpha and lambda of a query, lambda0 of an index.
 *
 * @param value above 0
 * @param relative whether it multiplies each layer's mean Lambda, or is the same for all layers (in
 *     units of Lambda)
 */
public record Damping(double value, boolean relative) {
  /** A tenth of each layer's mean Lambda (Grosse et al. 2023). */
  public static final Damping DEFAULT = new Damping(0.1, true);

  public Damping {
    if (!(value > 0) || Double.isInfinite(value)) {
      throw new InfluenceException(
          "A damping of " + value + " is none: alpha and lambda must be above 0, and finite.");
    }
  }

  /** The same for all layers. */
  public static Damping absolute(double value) {
    return new Damping(value, false);
  }

  /** Times each layer's mean Lambda. */
  public static Damping relative(double value) {
    return new Damping(value, true);
  }

  /**
   * Reads {@code 1e-7} (the same for all layers) or {@code 0.1x} (times each layer's mean Lambda).
   */
  public static Damping parse(String text) {
    boolean relative = text.endsWith("x");
    try {
      return new Damping(
          Double.parseDouble(relative ? text.substring(0, text.length() - 1) : text), relative);
    } catch (NumberFormatException e) {
      throw new InfluenceException(
          "\""
              + text
              + "\" is no damping: write a number, or a number and x to multiply each layer's mean"
              + " Lambda.",
          e);
    }
  }

  /** For a layer of factors. */
  public double of(EkfacFactors factors, LinearLayer layer) {
    double damping = relative ? value * factors.meanLambda(layer) : value;
    if (!(damping > 0)) {
      throw new InfluenceException(
          "Lambda of layer "
              + layer.name()
              + " is 0 throughout, so a relative damping is 0: give an absolute one.");
    }
    return damping;
  }

  /** As {@link #parse} reads it. */
  public String text() {
    return String.format(Locale.ROOT, relative ? "%sx" : "%s", value);
  }
}
