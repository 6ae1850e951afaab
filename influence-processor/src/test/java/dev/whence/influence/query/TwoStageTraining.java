package dev.whence.influence.query;

import dev.whence.engine.kernel.ParameterLayout.Parameter;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.kernel.TrainableDecoder.Vector;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.ekfac.Solve;
import java.util.Arrays;
import java.util.List;

/**
 * Training to the optimum in fp64, for finite differences:
 *
 * <pre>
 *   argmin over theta of (1/N) sum_i w_i l_i(theta) + (damping/2) |theta - centre|^2
 * </pre>
 *
 * by Newton's method; the Hessian by central differences of gradients.
 */
final class TwoStageTraining {
  private static final double WIDTH = 1e-4;

  private final TrainableDecoder decoder;
  private final int size;

  TwoStageTraining(TrainableDecoder decoder) {
    this.decoder = decoder;
    this.size = Math.toIntExact(decoder.layout().trained());
  }

  /** One stage: what is learnt, how much of it, and what theta is kept near. */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  record Stage(List<Example> examples, double[] weights, double damping, double[] centre) {
    double tokens() {
      double n = 0;
      for (Example example : examples) {
        for (float weight : example.lossWeights()) {
          n += weight;
        }
      }
      return n;
    }

    Stage withWeight(int example, double weight) {
      double[] other = weights.clone();
      other[example] = weight;
      return new Stage(examples, other, damping, centre);
    }

    Stage withCentre(double[] other) {
      return new Stage(examples, weights, damping, other);
    }
  }

  double[] theta() {
    return decoder.doubles(Vector.THETA, 0, size);
  }

  /** Gradient of the sum of an example's losses. */
  double[] gradient(double[] theta, Example example) {
    return lossGradient(theta, List.of(example), new double[] {1});
  }

  /** Sum of an example's losses, nats. */
  double loss(double[] theta, Example example) {
    return loss(theta, List.of(example), new double[] {1});
  }

  private double loss(double[] theta, List<Example> examples, double[] weights) {
    decoder.fill(Vector.THETA, 0, theta);
    double sum = 0;
    for (RowPacker.Packed pack : new RowPacker(4096).pack(examples, 1)) {
      double[] losses = decoder.losses(pack.documents());
      for (int i = 0; i < losses.length; i++) {
        sum += losses[i] * pack.documents().weights()[i] * weights[pack.owners()[i]];
      }
    }
    return sum;
  }

  private double[] lossGradient(double[] theta, List<Example> examples, double[] weights) {
    decoder.fill(Vector.THETA, 0, theta);
    Example[] weighted = new Example[examples.size()];
    for (int i = 0; i < weighted.length; i++) {
      float[] scaled = examples.get(i).lossWeights().clone();
      for (int t = 0; t < scaled.length; t++) {
        scaled[t] *= (float) weights[i];
      }
      weighted[i] = new Example(examples.get(i).tokens(), scaled);
    }
    for (RowPacker.Packed pack : new RowPacker(4096).pack(Arrays.asList(weighted), 1)) {
      decoder.differentiate(pack.documents());
    }
    double[] gradient = decoder.doubles(Vector.GRADIENT, 0, size);
    decoder.clearGradient();
    return gradient;
  }

  /** Gradient of the stage's objective. */
  double[] gradient(double[] theta, Stage stage) {
    double[] gradient = lossGradient(theta, stage.examples(), stage.weights());
    for (int i = 0; i < size; i++) {
      gradient[i] = gradient[i] / stage.tokens() + stage.damping() * (theta[i] - stage.centre()[i]);
    }
    return gradient;
  }

  private double objective(double[] theta, Stage stage) {
    double sum = loss(theta, stage.examples(), stage.weights());
    double distance = 0;
    for (int i = 0; i < size; i++) {
      distance += Math.pow(theta[i] - stage.centre()[i], 2);
    }
    return sum / stage.tokens() + stage.damping() / 2 * distance;
  }

  /** Of the stage's mean loss, without the damping. */
  double[][] hessian(double[] theta, Stage stage) {
    return hessian(theta, stage, true);
  }

  /** By central differences, or by forward ones, which is good enough on the way to the optimum. */
  private double[][] hessian(double[] theta, Stage stage, boolean central) {
    double[][] h = new double[size][];
    double[] moved = theta.clone();
    double[] here = lossGradient(theta, stage.examples(), stage.weights());
    double width = central ? 2 * WIDTH : WIDTH;
    for (int i = 0; i < size; i++) {
      moved[i] = theta[i] + WIDTH;
      double[] up = lossGradient(moved, stage.examples(), stage.weights());
      moved[i] = theta[i] - WIDTH;
      double[] down = central ? lossGradient(moved, stage.examples(), stage.weights()) : here;
      moved[i] = theta[i];
      for (int j = 0; j < size; j++) {
        up[j] = (up[j] - down[j]) / (width * stage.tokens());
      }
      h[i] = up;
    }
    for (int i = 0; i < size; i++) {
      for (int j = 0; j < i; j++) {
        h[i][j] = h[j][i] = (h[i][j] + h[j][i]) / 2;
      }
    }
    return h;
  }

  static double[][] damped(double[][] hessian, double damping) {
    double[][] h = new double[hessian.length][];
    for (int i = 0; i < h.length; i++) {
      h[i] = hessian[i].clone();
      h[i][i] += damping;
    }
    return h;
  }

  /**
   * Newton's method with the damping that it takes (Levenberg and Marquardt), the Hessian computed
   * anew at each step.
   */
  double[] descend(double[] start, Stage stage, double norm) {
    double[] theta = start.clone();
    double value = objective(theta, stage);
    double extra = 0;
    for (int step = 0; step < 40; step++) {
      double[] gradient = gradient(theta, stage);
      if (Math.sqrt(dot(gradient, gradient)) < norm) {
        return theta;
      }
      double[][] hessian = hessian(theta, stage, false);
      while (true) {
        double[] next = theta.clone();
        boolean lower = false;
        try {
          double[][] factor = Solve.cholesky(damped(hessian, stage.damping() + extra));
          add(next, -1, Solve.solve(factor, gradient));
          double there = objective(next, stage);
          lower = there < value + 1e-12;
          value = lower ? there : value;
        } catch (ArithmeticException e) {
          lower = false; // not convex here: more damping
        }
        if (lower) {
          theta = next;
          extra = extra < 1e-3 ? 0 : extra / 8;
          break;
        }
        extra = Math.max(extra, 1e-3) * 4;
        if (extra > 1e6) {
          throw new AssertionError("training does not converge");
        }
      }
    }
    throw new AssertionError("training does not converge");
  }

  /** Newton's steps with one factor of the damped Hessian, until the gradient is below 1e-9. */
  double[] polish(double[] start, Stage stage, double[][] factor) {
    double[] theta = start.clone();
    for (int step = 0; step < 200; step++) {
      double[] gradient = gradient(theta, stage);
      if (Math.sqrt(dot(gradient, gradient)) < 1e-9) {
        return theta;
      }
      add(theta, -1, Solve.solve(factor, gradient));
    }
    throw new AssertionError("Newton's steps do not end");
  }

  static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static void add(double[] to, double factor, double[] x) {
    for (int i = 0; i < to.length; i++) {
      to[i] += factor * x[i];
    }
  }

  /** Parameters of the model, to write it. */
  List<Parameter> parameters() {
    return decoder.layout().parameters();
  }

  float[] values(Parameter parameter) {
    double[] values =
        decoder.doubles(Vector.THETA, parameter.offset(), Math.toIntExact(parameter.elements()));
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }

  void fill(double[] theta) {
    decoder.fill(Vector.THETA, 0, theta);
  }
}
