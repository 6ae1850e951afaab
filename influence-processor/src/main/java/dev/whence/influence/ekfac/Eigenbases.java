package dev.whence.influence.ekfac;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.SideBySide;
import dev.whence.influence.InfluenceException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntFunction;

/**
 * Eigenvectors of A and S of each layer, one per column, computed in fp64: Q_A [I, I] and Q_S [O,
 * O]. In this basis K-FAC's Fisher information is diagonal (George et al. 2018, section 3). Layers
 * that read the same inputs share Q_A.
 */
final class Eigenbases implements AutoCloseable {
  private final Map<Integer, Matrix> inputs = new LinkedHashMap<>();
  private final Map<String, Matrix> gradients = new LinkedHashMap<>();

  private Eigenbases() {}

  /** Decomposes the sums; cost I^3 + O^3 for each layer. */
  static Eigenbases of(List<LinearLayer> layers, Covariances covariances, Runnable afterEach) {
    Eigenbases bases = new Eigenbases();
    boolean complete = false;
    try {
      for (LinearLayer layer : layers) {
        bases.inputs.computeIfAbsent(
            layer.product(), product -> vectors(layer, covariances.inputs(layer)));
        bases.gradients.put(layer.name(), vectors(layer, covariances.gradients(layer)));
        afterEach.run();
      }
      complete = true;
      return bases;
    } finally {
      if (!complete) {
        bases.close();
      }
    }
  }

  private static Matrix vectors(LinearLayer layer, Matrix sum) {
    Matrix.Eigen eigen = sum.eigen();
    for (double value : eigen.values()) {
      if (!Double.isFinite(value)) {
        eigen.vectors().close();
        throw new InfluenceException(
            "The covariance of layer "
                + layer.name()
                + " is not finite: the model's activations or gradients overflow on this corpus.");
      }
    }
    return eigen.vectors();
  }

  /**
   * Reads what {@link #save} wrote.
   *
   * @param room makes the matrix [n, n] that takes eigenvectors, in the precision that they are
   *     wanted in
   * @param threads that share the work; without them it is the calling thread's
   */
  static Eigenbases read(
      List<LinearLayer> layers,
      ArrayFile file,
      IntFunction<Matrix> room,
      Optional<SideBySide> threads) {
    Eigenbases bases = new Eigenbases();
    boolean complete = false;
    try {
      List<Runnable> tasks = new ArrayList<>();
      for (LinearLayer layer : layers) {
        int product = layer.product();
        if (!bases.inputs.containsKey(product)) {
          Matrix q = room(file, "Q_A" + product, layer.inputs(), room);
          bases.inputs.put(product, q); // is closed with the others if the file can not be read
          tasks.add(filling(q, file, "Q_A" + product));
        }
        Matrix q = room(file, "Q_S " + layer.name(), layer.outputs(), room);
        bases.gradients.put(layer.name(), q);
        tasks.add(filling(q, file, "Q_S " + layer.name()));
      }
      SideBySide.runEach(threads, tasks);
      complete = true;
      return bases;
    } finally {
      if (!complete) {
        bases.close();
      }
    }
  }

  private static Matrix room(ArrayFile file, String name, int n, IntFunction<Matrix> room) {
    file.check(name, (long) n * n); // before room is made for what the file does not hold
    return room.apply(n);
  }

  private static Runnable filling(Matrix q, ArrayFile file, String name) {
    return () -> file.forEach(name, (long) q.rows() * q.columns(), q::fill);
  }

  String save(Path path, ObjectNode header) {
    Map<String, ArrayFile.Content> arrays = new LinkedHashMap<>();
    inputs.forEach(
        (product, q) ->
            arrays.put("Q_A" + product, new ArrayFile.Content(q.rows() * q.columns(), q::doubles)));
    gradients.forEach(
        (name, q) ->
            arrays.put("Q_S " + name, new ArrayFile.Content(q.rows() * q.columns(), q::doubles)));
    return ArrayFile.write(path, header, arrays);
  }

  /** Q_A [I, I]. */
  Matrix inputs(LinearLayer layer) {
    return Objects.requireNonNull(inputs.get(layer.product()));
  }

  /** Q_S [O, O]. */
  Matrix gradients(LinearLayer layer) {
    return Objects.requireNonNull(gradients.get(layer.name()));
  }

  @Override
  public void close() {
    inputs.values().forEach(Matrix::close);
    gradients.values().forEach(Matrix::close);
  }
}
