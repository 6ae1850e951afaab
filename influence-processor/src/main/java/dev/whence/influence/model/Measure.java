package dev.whence.influence.model;

import dev.whence.influence.InfluenceException;
import java.util.Locale;

/** Which quantity of a response the influence is about. */
public enum Measure {
  /** L = sum of -log p over the response's tokens: influence is the change of -L, in nats. */
  LOG_LIKELIHOOD {
    @Override
    double slope(double loss) {
      return 1;
    }
  },
  /**
   * The sum of log(p / (1 - p)): influence is its change, in nats. A token that the model is all
   * but certain of has hardly a gradient of log p, so that the few tokens that it is not certain of
   * say which documents come first; of its log-odds it has one as large as any other's. Source:
   * TRAK (2303.14186), section 3.1.
   */
  LOG_ODDS {
    @Override
    double slope(double loss) {
      return 1 / Math.max(LEAST_DOUBT, -Math.expm1(-loss));
    }
  };

  /** Below it, 1 - p is a matter of rounding in fp32. */
  private static final double LEAST_DOUBT = 1e-4;

  /** Of minus the measure by the token's loss -log p. */
  abstract double slope(double loss);

  /** As it is written on the command line. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * Reads a label.
   *
   * @throws InfluenceException if there is none such
   */
  public static Measure of(String label) {
    for (Measure one : values()) {
      if (one.label().equals(label)) {
        return one;
      }
    }
    throw new InfluenceException(
        "'" + label + "' is no measure: write log-likelihood or log-odds.");
  }
}
