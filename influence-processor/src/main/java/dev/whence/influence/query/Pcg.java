package dev.whence.influence.query;

import dev.whence.influence.InfluenceException;

/**
 * How the inverse of pretraining's curvature is refined.
 *
 * @param iterations of conjugate gradients; 0: EK-FAC as it is
 * @param documents of the indexed corpus whose Fisher information is multiplied with, at most
 */
public record Pcg(int iterations, int documents) {
  public static final Pcg NONE = new Pcg(0, 1);

  private static final int MOST = 100;

  public Pcg {
    if (iterations < 0 || iterations > MOST || documents < 1) {
      throw new InfluenceException(
          iterations
              + " iterations on "
              + documents
              + " documents: 0 to "
              + MOST
              + " iterations on at least one document are possible.");
    }
  }

  public boolean isNone() {
    return iterations == 0;
  }

  /** Added to a method's name: empty, or {@code ", pcg:1"}. */
  public String suffix() {
    return isNone() ? "" : ", pcg:" + iterations;
  }
}
