package dev.whence.attribution.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;

class LassoTest {
  private static boolean[][] masks(int rows, int columns, long seed) {
    Random random = new Random(seed);
    boolean[][] x = new boolean[rows][columns];
    for (boolean[] row : x) {
      for (int j = 0; j < columns; j++) {
        row[j] = random.nextBoolean();
      }
    }
    return x;
  }

  private static double[] responses(boolean[][] x, double[] w, double intercept) {
    double[] y = new double[x.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = intercept;
      for (int j = 0; j < w.length; j++) {
        y[i] += x[i][j] ? w[j] : 0;
      }
    }
    return y;
  }

  @Test
  void withoutPenaltyItIsLeastSquares() {
    double[] w = {3, 0, -2, 0.5, 0, 1};
    boolean[][] x = masks(64, w.length, 1);
    assertThat(Lasso.fit(x, responses(x, w, 7), 0)).containsExactly(w, within(1e-6));
  }

  /**
   * The optimum: |correlation with the residual| is alpha where w is not 0, and below elsewhere.
   */
  @Test
  void withPenaltyTheOptimalityConditionsHold() {
    double alpha = 0.05;
    int n = 30;
    boolean[][] x = masks(20, n, 2);
    double[] y = responses(x, new double[n], 0);
    Random random = new Random(3);
    for (int i = 0; i < y.length; i++) {
      y[i] = 2 * (x[i][4] ? 1 : 0) - (x[i][9] ? 1 : 0) + 0.1 * random.nextGaussian();
    }
    double[] w = Lasso.fit(x, y, alpha);
    double[] fitted = responses(x, w, 0);
    double offset = 0;
    for (int i = 0; i < y.length; i++) {
      offset += (y[i] - fitted[i]) / y.length;
    }
    int zeros = 0;
    for (int j = 0; j < n; j++) {
      double mean = 0;
      for (boolean[] row : x) {
        mean += row[j] ? 1.0 / x.length : 0;
      }
      double scale = Math.sqrt(mean * (1 - mean));
      double gradient = 0;
      for (int i = 0; i < y.length; i++) {
        gradient += ((x[i][j] ? 1 : 0) - mean) / scale * (y[i] - fitted[i] - offset) / y.length;
      }
      if (w[j] == 0) {
        zeros++;
        assertThat(Math.abs(gradient)).isLessThanOrEqualTo(alpha + 1e-6);
      } else {
        assertThat(gradient).isCloseTo(Math.signum(w[j]) * alpha, within(1e-6));
      }
    }
    assertThat(zeros).isBetween(n / 2, n - 2);
    assertThat(w[4]).isGreaterThan(1.5);
    assertThat(w[9]).isLessThan(-0.5);
  }

  @Test
  void aColumnThatNeverChangesGetsNothing() {
    boolean[][] x = masks(16, 2, 4);
    for (boolean[] row : x) {
      row[1] = true;
    }
    double[] w = Lasso.fit(x, responses(x, new double[] {1, 0}, 2), 0);
    assertThat(w[0]).isCloseTo(1, within(1e-9));
    assertThat(w[1]).isZero();
    assertThat(Lasso.fit(new boolean[3][0], new double[3], 0.1)).isEmpty();
  }
}
