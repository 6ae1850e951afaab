package dev.whence.influence.ekfac;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.Presence;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The EK-FAC approximation of the Fisher information H of a training stage's loss J = (1/N) sum of
 * token losses, one block for each linear layer:
 *
 * <pre>
 *   H = (Q_A (x) Q_S) diag(Lambda) (Q_A (x) Q_S)',
 *   (H + lambda)^-1 G = Q_S [ (Q_S' G Q_A) / (Lambda + lambda) ] Q_A'
 * </pre>
 *
 * G [O, I] is a gradient by the layer's weight (its bias the last column); Q_A [I, I] and Q_S [O,
 * O] are eigenvectors of A = E[a a'] and S = E[d d'] of inputs a and output gradients d, labels
 * drawn from the model (true Fisher); Lambda [O, I] are the second moments of gradients in that
 * basis, in nats^2 per squared unit of the weight and training token.
 *
 * <p>Source: George et al. 2018 (1806.03884); for language models Grosse et al. 2023 (2308.03296),
 * section 2.1. Cost of a product with the inverse: 2 O I (O + I) multiply-adds per layer.
 */
public final class EkfacFactors implements AutoCloseable {
  /** The file of a factors directory that is complete. */
  static final String LAMBDA_FILE = "lambda.factors";

  static final String EIGEN_FILE = "eigenvectors.factors";

  private final List<LinearLayer> layers;
  private final Eigenbases bases;
  private final Map<String, double[]> lambda;
  private final String digest;
  private final Stage stage;

  /**
   * What the factors are of.
   *
   * @param modelName as its files are called
   * @param modelDigest see {@link dev.whence.engine.weights.ModelFiles#digest()}
   * @param layerSelection see {@link dev.whence.influence.model.LayerSelection}
   * @param form of Lambda
   * @param corpusDigest SHA-256 of the corpus file
   * @param tokens N, tokens whose loss counts, each by its weight
   */
  public record Stage(
      String modelName,
      String modelDigest,
      String layerSelection,
      LambdaForm form,
      String corpusDigest,
      double tokens) {}

  /** Takes over the eigenvectors. */
  EkfacFactors(Eigenvalues values, Eigenbases bases) {
    this.layers = values.layers();
    this.bases = bases;
    this.lambda = values.lambda();
    this.digest = values.checksum();
    this.stage = values.stage();
  }

  /**
   * {@link FactorFiles#inDouble} of a directory.
   *
   * @throws InfluenceException as there
   */
  public static EkfacFactors read(Path directory, Matrices matrices) {
    try (FactorFiles files = FactorFiles.open(directory)) {
      return files.inDouble(matrices);
    }
  }

  /** {@link FactorFiles#inSingle} of a directory. */
  public static EkfacFactors readInSingle(Path directory, Matrices matrices) {
    try (FactorFiles files = FactorFiles.open(directory)) {
      return files.inSingle(matrices);
    }
  }

  /** Whether the eigenvectors are in bf16. */
  public boolean areRounded() {
    return inputVectors(layers.get(0)).isRounded();
  }

  /**
   * What the factors of a directory are of; all of Lambda is checked, the eigenvectors are not.
   *
   * @throws InfluenceException as {@link #read}
   */
  public static Stage stage(Path directory) {
    return identity(directory).stage();
  }

  /**
   * Which factors those of a directory are.
   *
   * @param stage what they are of
   * @param digest see {@link EkfacFactors#digest()}
   */
  public record Identity(Stage stage, String digest) {}

  /**
   * Which factors those of a directory are; all of Lambda is checked, the eigenvectors are not.
   *
   * @throws InfluenceException as {@link #read}
   */
  public static Identity identity(Path directory) {
    try (ArrayFile file = ArrayFile.open(complete(directory))) {
      return new Identity(FactorHeader.stage(file.header()), file.checksum());
    }
  }

  /** Whether a directory holds complete factors. */
  public static boolean isIn(Path directory) {
    return Presence.isThere(directory.resolve(LAMBDA_FILE));
  }

  static Path complete(Path directory) {
    Path path = directory.resolve(LAMBDA_FILE);
    if (!Presence.isThere(path)) {
      throw new InfluenceException(
          directory
              + " holds no "
              + LAMBDA_FILE
              + ": no factors, or their job has not ended; run 'whence influence factors' again.");
    }
    return path;
  }

  /** SHA-256 of Lambda and what it names, in hex: the factors' name. */
  public String digest() {
    return digest;
  }

  public Stage stage() {
    return stage;
  }

  /** The layers that have factors, in the order of the computation. */
  public List<LinearLayer> layers() {
    return layers;
  }

  /** Lambda [O, I], row by row; not to be changed. */
  public double[] lambda(LinearLayer layer) {
    return Objects.requireNonNull(lambda.get(layer.name()), layer.name());
  }

  /** Mean of Lambda: what damping is measured by. */
  public double meanLambda(LinearLayer layer) {
    double sum = 0;
    double[] values = lambda(layer);
    for (double value : values) {
      sum += value;
    }
    return sum / values.length;
  }

  /** Q_A [I, I], in the precision that was read; belongs to the factors. */
  public Matrix inputVectors(LinearLayer layer) {
    return bases.inputs(layer);
  }

  /** Q_S [O, O], in the precision that was read; belongs to the factors. */
  public Matrix gradientVectors(LinearLayer layer) {
    return bases.gradients(layer);
  }

  /**
   * Into the eigenbasis: Q_S' G Q_A.
   *
   * @throws IllegalStateException if the eigenvectors were not read in fp64
   */
  public double[] rotate(LinearLayer layer, double[] gradient, Matrices matrices) {
    try (Matrix g = matrices.of(layer.outputs(), layer.inputs(), gradient);
        Matrix left = inDouble(gradientVectors(layer)).transposedTimes(g);
        Matrix both = left.times(inDouble(inputVectors(layer)))) {
      return both.doubles();
    }
  }

  /**
   * Back from the eigenbasis: Q_S G Q_A'.
   *
   * @throws IllegalStateException as {@link #rotate}
   */
  public double[] rotateBack(LinearLayer layer, double[] rotated, Matrices matrices) {
    try (Matrix g = matrices.of(layer.outputs(), layer.inputs(), rotated);
        Matrix left = inDouble(gradientVectors(layer)).times(g);
        Matrix both = left.timesTransposed(inDouble(inputVectors(layer)))) {
      return both.doubles();
    }
  }

  private static Matrix inDouble(Matrix vectors) {
    if (!vectors.isDouble()) {
      throw new IllegalStateException("the eigenvectors were not read in fp64");
    }
    return vectors;
  }

  /**
   * That the factors are a model's.
   *
   * @throws InfluenceException if they are not
   */
  public void checkModel(String name, String modelDigest) {
    if (!stage.modelDigest().equals(modelDigest)) {
      throw new InfluenceException(
          "The factors are of model "
              + stage.modelName()
              + " with digest "
              + abbreviated(stage.modelDigest())
              + ", not of "
              + name
              + " with digest "
              + abbreviated(modelDigest)
              + ": compute the factors of this model.");
    }
  }

  private static String abbreviated(String digest) {
    return digest.substring(0, Math.min(12, digest.length()));
  }

  /** Names and shapes, in order: what two stages must have in common. */
  public List<String> shapes() {
    List<String> shapes = new ArrayList<>();
    for (LinearLayer layer : layers) {
      shapes.add(layer.name() + " " + layer.outputs() + "x" + layer.inputs());
    }
    return shapes;
  }

  @Override
  public void close() {
    bases.close();
  }
}
