package dev.whence.influence.compression;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.compression.FisherWeightedSvd.Factored;
import dev.whence.influence.compression.FisherWeightedSvd.Projection;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Two projections, of 7 and 5 outputs, that read the same 9 inputs. */
class FisherWeightedSvdTest {
  private static final int INPUTS = 9;
  private static final int[] OUTPUTS = {7, 5};

  private static Matrices matrices;
  private static final double[][] WEIGHTS = {random(7, INPUTS, 1), random(5, INPUTS, 2)};
  private static final double[] FISHER = positive(INPUTS, 3);
  private static final double[][] GRADIENTS = {positive(7, 4), positive(5, 5)};

  @BeforeAll
  static void open() {
    matrices = Matrices.open(TinyFactors.CPU);
  }

  @AfterAll
  static void close() {
    matrices.close();
  }

  private static double[] random(int rows, int columns, long seed) {
    Random random = new Random(seed);
    double[] values = new double[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextGaussian();
    }
    return values;
  }

  /** X diag(10^-3 ... 1) X' of a random X: its axes differ a thousandfold. */
  private static double[] positive(int n, long seed) {
    double[] x = random(n, n, seed);
    double[] product = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        for (int k = 0; k < n; k++) {
          product[i * n + j] += x[i * n + k] * Math.pow(10, -3.0 * k / (n - 1)) * x[j * n + k];
        }
      }
    }
    return product;
  }

  private static double[] identity(int n) {
    double[] identity = new double[n * n];
    for (int i = 0; i < n; i++) {
      identity[i * n + i] = 1;
    }
    return identity;
  }

  private static Factored factor(double[] fisher, double[][] gradients, int rank) {
    return new FisherWeightedSvd(matrices)
        .factor(
            List.of(
                new Projection(OUTPUTS[0], WEIGHTS[0], gradients[0]),
                new Projection(OUTPUTS[1], WEIGHTS[1], gradients[1])),
            INPUTS,
            fisher,
            rank);
  }

  private static Factored plain(int rank) {
    return factor(identity(INPUTS), new double[][] {identity(7), identity(5)}, rank);
  }

  /** W - B A of a projection. */
  private static double[] lost(Factored factored, int which, int rank) {
    double[] lost = WEIGHTS[which].clone();
    for (int o = 0; o < OUTPUTS[which]; o++) {
      for (int i = 0; i < INPUTS; i++) {
        for (int k = 0; k < rank; k++) {
          lost[o * INPUTS + i] -=
              factored.seconds().get(which)[o * rank + k] * factored.first()[k * INPUTS + i];
        }
      }
    }
    return lost;
  }

  /** tr(S D F D'), as it is defined. */
  private static double error(Factored factored, int rank) {
    double sum = 0;
    for (int which = 0; which < 2; which++) {
      double[] d = lost(factored, which, rank);
      int n = OUTPUTS[which];
      for (int p = 0; p < n; p++) {
        for (int o = 0; o < n; o++) {
          for (int i = 0; i < INPUTS; i++) {
            for (int j = 0; j < INPUTS; j++) {
              sum +=
                  GRADIENTS[which][p * n + o]
                      * d[o * INPUTS + i]
                      * FISHER[i * INPUTS + j]
                      * d[p * INPUTS + j];
            }
          }
        }
      }
    }
    return sum;
  }

  /**
   * Eckart and Young: what a truncated SVD loses are the squares of the singular values left out.
   */
  @Test
  void withoutCurvatureItIsTheTruncatedSvd() {
    double[] gram = new double[INPUTS * INPUTS];
    for (double[] w : WEIGHTS) {
      for (int i = 0; i < INPUTS; i++) {
        for (int j = 0; j < INPUTS; j++) {
          for (int o = 0; o < w.length / INPUTS; o++) {
            gram[i * INPUTS + j] += w[o * INPUTS + i] * w[o * INPUTS + j];
          }
        }
      }
    }
    double[] squares;
    try (Matrix matrix = matrices.of(INPUTS, INPUTS, gram)) {
      Matrix.Eigen eigen = matrix.eigen();
      eigen.vectors().close();
      squares = eigen.values();
    }
    double left = 0;
    for (int rank = INPUTS; rank >= 1; rank--) {
      Factored factored = plain(rank);
      double lost = 0;
      for (int which = 0; which < 2; which++) {
        for (double value : lost(factored, which, rank)) {
          lost += value * value;
        }
      }
      assertThat(lost).as("rank %d", rank).isCloseTo(left, within(1e-9));
      assertThat(factored.error()).isCloseTo(left, within(1e-9));
      left += squares[INPUTS - rank];
    }
  }

  @Test
  void whatItSaysIsLostIsLost() {
    for (int rank = 1; rank <= INPUTS; rank++) {
      Factored factored = factor(FISHER, GRADIENTS, rank);
      assertThat(factored.error()).isCloseTo(error(factored, rank), within(1e-8 * factored.size()));
    }
  }

  @Test
  void theWeightedErrorIsBelowThatOfThePlainSvdAtEachRank() {
    for (int rank = 1; rank < INPUTS; rank++) {
      double weighted = error(factor(FISHER, GRADIENTS, rank), rank);
      assertThat(weighted).as("rank %d", rank).isLessThan(0.99 * error(plain(rank), rank));
    }
  }

  /** No change of B and A, however small, lowers the error: 200 directions at random. */
  @Test
  void noFactorsNearbyAreBetter() {
    int rank = 4;
    Factored best = factor(FISHER, GRADIENTS, rank);
    double error = error(best, rank);
    Random random = new Random(6);
    for (int trial = 0; trial < 200; trial++) {
      double[] first = best.first().clone();
      double[] second = best.seconds().get(0).clone();
      double step = Math.pow(10, -1 - 3 * random.nextDouble());
      for (int i = 0; i < first.length; i++) {
        first[i] *= 1 + step * random.nextGaussian();
      }
      for (int i = 0; i < second.length; i++) {
        second[i] *= 1 + step * random.nextGaussian();
      }
      Factored moved = new Factored(first, List.of(second, best.seconds().get(1)), 0, 0);
      assertThat(error(moved, rank)).isGreaterThanOrEqualTo(error * (1 - 1e-9));
    }
  }

  @Test
  void fullRankLosesNothing() {
    Factored factored = factor(FISHER, GRADIENTS, INPUTS);
    for (int which = 0; which < 2; which++) {
      for (double value : lost(factored, which, INPUTS)) {
        assertThat(value).isCloseTo(0, within(1e-6));
      }
    }
    assertThatThrownBy(() -> factor(FISHER, GRADIENTS, INPUTS + 1))
        .hasMessageContaining("rank 10 is not from 1 to 9");
  }

  /** A Kronecker product is fitted by itself. */
  @Test
  void theFitOfAnOuterProductIsTheProduct() {
    double[] lambda = new double[12];
    double[] s = {1, 2, 0.5};
    double[] f = {4, 1, 3, 0};
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 4; j++) {
        lambda[i * 4 + j] = s[i] * f[j];
      }
    }
    double[] left = new double[3];
    double[] right = new double[4];
    KroneckerFisher.fit(lambda, left, right);
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 4; j++) {
        assertThat(left[i] * right[j]).isCloseTo(lambda[i * 4 + j], within(1e-12));
      }
    }
  }
}
