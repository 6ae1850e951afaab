package dev.whence.influence.model;

import dev.whence.influence.InfluenceException;
import java.util.Locale;

/**
 * Which quantity of a text has its gradient taken: of the response that is asked about, and of the
 * documents of an index.
 *
 * <p>Of documents, {@link #LOG_LIKELIHOOD} gives influence as it is defined: the change for one
 * more unit of weight in training. But a document that the model knows by heart has hardly a
 * gradient left, and what is left is of its tokens that nobody could know. {@link #LOG_ODDS} asks
 * which documents say what the response says, in the model's own terms: the order of documents is
 * that of having taught it, the numbers are no change in training.
 */
public enum Measure {
  /** The sum of log p over the tokens, in nats. */
  LOG_LIKELIHOOD {
    @Override
    double slope(double loss) {
      return 1;
    }
  },
  /**
   * The sum of log(p / (1 - p)), in nats. A token that the model is all but certain of has hardly a
   * gradient of log p; of its log-odds it has one as large as any other's. Source: TRAK
   * (2303.14186), section 3.1.
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
