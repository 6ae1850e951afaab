package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * A decoder whose parameters can be changed: loss, gradient and AdamW update in fp32 on one device.
 * The parameters are one vector theta in the order of {@link ParameterLayout}; gradient and moments
 * are vectors of the trained ones. One thread owns it, but for {@link
 * #differentiate(PackedDocuments, int)}, which several may call at once.
 *
 * <p>Memory: 4 bytes per parameter, 12 more per trained one (gradient, two moments), and for each
 * thread that differentiates another 8 and the activations.
 */
public final class TrainableDecoder implements AutoCloseable {
  private static final int CHUNK_ELEMENTS = 2 << 20;

  /**
   * Logits that {@link #tap} and {@link #measure} compute at once on a CPU: 24 MiB, and as much for
   * what comes of them. From 32 MiB on, memory is asked of the system each time.
   */
  private static final int LOGITS_NEAR = 6 << 20;

  /** The same on a GPU, which wants large products: 256 MiB. */
  private static final int LOGITS_FAR = 1 << 26;

  private final ModelConfig config;
  private final ParameterLayout layout;
  private final List<LinearLayer> taps;
  private final Precision precision;
  private final boolean rounded;
  private final Kernel kernel;
  private final PtNDManager manager;
  private final PtNDArray theta;
  private final PtNDArray gradient;
  private final List<PtNDArray> partial = new ArrayList<>();
  private final PtNDArray mean;
  private final PtNDArray square;
  private Optional<PtNDArray> halved = Optional.empty();
  private PtNDArray turns;
  private int turnPositions;

  private TrainableDecoder(
      ModelConfig config,
      ParameterLayout layout,
      List<LinearLayer> taps,
      Precision precision,
      boolean rounded,
      Kernel kernel) {
    this.config = config;
    this.precision = precision;
    this.rounded = rounded;
    this.layout = layout;
    this.taps = List.copyOf(taps);
    this.kernel = kernel;
    this.manager = kernel.manager();
    this.theta = zeros(layout.total());
    this.gradient = zeros(layout.trained());
    this.mean = zeros(layout.trained());
    this.square = zeros(layout.trained());
    this.turnPositions = 0;
    this.turns = zeros(0);
  }

  /**
   * All parameters zero; fill them with {@link #fill}.
   *
   * @param isTrained by Hugging Face name: which parameters are trained
   * @param options device, threads and where natives are unpacked; dtype and packing do not count
   * @throws dev.whence.engine.EngineException of kind MODEL if the family is not known or no
   *     parameter is trained, ENVIRONMENT if native library, device or memory fails
   */
  public static TrainableDecoder open(
      ModelConfig config, Predicate<String> isTrained, EngineOptions options) {
    return trained(config, isTrained, Precision.FP32, options);
  }

  /**
   * As {@link #open(ModelConfig, Predicate, EngineOptions)}, all in fp64: for finite differences.
   * See {@link #fill(Vector, long, double[])}, {@link #doubles} and {@link #losses}.
   */
  public static TrainableDecoder inDouble(
      ModelConfig config, Predicate<String> isTrained, EngineOptions options) {
    return trained(config, isTrained, Precision.FP64, options);
  }

  /**
   * As {@link #open(ModelConfig, Predicate, EngineOptions)}, of a model of which nothing is
   * trained, for {@link #tap}: theta is all that it holds.
   *
   * @param taps linear layers whose inputs and output gradients are wanted; see {@link
   *     LinearLayer#of}
   */
  public static TrainableDecoder frozen(
      ModelConfig config, List<LinearLayer> taps, EngineOptions options) {
    return frozen(config, taps, false, OptionalInt.empty(), options);
  }

  /**
   * As {@link #frozen(ModelConfig, List, EngineOptions)}, with linear products of numbers in bf16,
   * forward and back, whose results are rounded to bf16, too. Parameters, all else, and the head's
   * products stay in fp32. Memory: 2 bytes more for each parameter of a block.
   */
  public static TrainableDecoder frozenRounded(
      ModelConfig config, List<LinearLayer> taps, EngineOptions options) {
    return frozen(config, taps, true, OptionalInt.empty(), options);
  }

  /** As {@link #frozen(ModelConfig, List, EngineOptions)}, with few logits at once: for a test. */
  static TrainableDecoder frozen(
      ModelConfig config, List<LinearLayer> taps, int logitRoom, EngineOptions options) {
    return frozen(config, taps, false, OptionalInt.of(logitRoom), options);
  }

  /**
   * A decoder none of whose parameters is trained, for gradients of its input only: 4 bytes per
   * parameter.
   *
   * @throws dev.whence.engine.EngineException as {@link #open}
   */
  static TrainableDecoder frozen(ModelConfig config, EngineOptions options) {
    return frozen(config, List.of(), options);
  }

  private static TrainableDecoder trained(
      ModelConfig config, Predicate<String> isTrained, Precision precision, EngineOptions options) {
    ParameterLayout layout = ParameterLayout.of(config, isTrained);
    return open(config, layout, List.of(), precision, false, OptionalInt.empty(), options);
  }

  private static TrainableDecoder frozen(
      ModelConfig config,
      List<LinearLayer> taps,
      boolean rounded,
      OptionalInt logits,
      EngineOptions options) {
    ParameterLayout layout = ParameterLayout.frozen(config);
    return open(config, layout, taps, Precision.FP32, rounded, logits, options);
  }

  private static TrainableDecoder open(
      ModelConfig config,
      ParameterLayout layout,
      List<LinearLayer> taps,
      Precision precision,
      boolean rounded,
      OptionalInt logits,
      EngineOptions options) {
    Decoder.text(config); // refuses unknown families and activations
    Device device = TorchRuntime.device(TorchRuntime.start(options), options.device());
    int room = logits.orElse(device.isGpu() ? LOGITS_FAR : LOGITS_NEAR);
    Kernel kernel = Kernel.load(KernelText.training(config, layout, taps, rounded, room), device);
    try {
      return new TrainableDecoder(config, layout, taps, precision, rounded, kernel);
    } catch (RuntimeException e) {
      kernel.close();
      throw Kernel.translate(e);
    }
  }

  public ModelConfig config() {
    return config;
  }

  public ParameterLayout layout() {
    return layout;
  }

  /** The four vectors of a training state. */
  public enum Vector {
    /** All parameters. */
    THETA,
    /** Of the trained ones: what {@link #differentiate} adds to. */
    GRADIENT,
    /** AdamW's running mean of gradients. */
    MEAN,
    /** AdamW's running mean of squared gradients. */
    SQUARE
  }

  /**
   * Overwrites elements of a vector.
   *
   * @param offset first element
   */
  public void fill(Vector vector, long offset, float[] values) {
    changed(vector);
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.min(values.length, CHUNK_ELEMENTS) * Float.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    try (IValue target = IValue.from(of(vector))) {
      for (int at = 0; at < values.length; at += CHUNK_ELEMENTS) {
        int n = Math.min(CHUNK_ELEMENTS, values.length - at);
        bytes.clear();
        bytes.asFloatBuffer().put(values, at, n);
        bytes.limit(n * Float.BYTES);
        kernel.fill(target, offset + at, bytes, Precision.FP32.code());
      }
    }
  }

  /**
   * Fills theta with a model's weights, which stay the caller's to close.
   *
   * @throws EngineException of kind MODEL if a tensor is missing, misshapen or not finite
   */
  public void load(WeightSource weights) {
    for (ParameterLayout.Parameter parameter : layout.parameters()) {
      TensorInfo info = info(weights, parameter);
      for (long at = 0; at < parameter.elements(); at += CHUNK_ELEMENTS) {
        int n = (int) Math.min(CHUNK_ELEMENTS, parameter.elements() - at);
        fill(Vector.THETA, parameter.offset() + at, read(weights, info, at, n));
      }
    }
    if (rounded) {
      PtNDArray unused = halved(); // what it takes is the model's, not the first document's
    }
  }

  private static TensorInfo info(WeightSource weights, ParameterLayout.Parameter parameter) {
    TensorInfo info = weights.tensors().get(parameter.name());
    if (info == null || !info.shape().equals(parameter.shape())) {
      throw new EngineException(
          Kind.MODEL,
          "The weights have no tensor "
              + parameter.name()
              + " of shape "
              + parameter.shape()
              + ", which the configuration calls for.");
    }
    return info;
  }

  private static float[] read(WeightSource weights, TensorInfo info, long offset, int n) {
    float[] values = weights.floats(info.name(), offset, n);
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw new EngineException(
            Kind.MODEL,
            "Tensor " + info.name() + " has a NaN or an infinite value: the file is damaged.");
      }
    }
    return values;
  }

  /** Elements [offset, offset + n) of a vector. */
  public float[] read(Vector vector, long offset, int n) {
    try (IValue source = IValue.from(of(vector));
        IValue at = IValue.from(offset);
        IValue length = IValue.from((long) n)) {
      return kernel.floats(kernel.call("part", source, at, length));
    }
  }

  /** As {@link #fill(Vector, long, float[])}, of a model in fp64. */
  public void fill(Vector vector, long offset, double[] values) {
    changed(vector);
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.min(values.length, CHUNK_ELEMENTS) * Double.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    try (IValue target = IValue.from(of(vector))) {
      for (int at = 0; at < values.length; at += CHUNK_ELEMENTS) {
        int n = Math.min(CHUNK_ELEMENTS, values.length - at);
        bytes.clear();
        bytes.asDoubleBuffer().put(values, at, n);
        bytes.limit(n * Double.BYTES);
        kernel.fill(target, offset + at, bytes, Precision.FP64.code());
      }
    }
  }

  /** Elements [offset, offset + n) of a vector of a model in fp64. */
  public double[] doubles(Vector vector, long offset, int n) {
    try (IValue source = IValue.from(of(vector));
        IValue at = IValue.from(offset);
        IValue length = IValue.from((long) n)) {
      return kernel.doubles(kernel.call("part", source, at, length));
    }
  }

  /** As {@link #measure}, of a model in fp64. */
  public double[] losses(PackedDocuments documents) {
    return natively(
        scope ->
            kernel
                .trainForAll(scope, "measure", frozenArguments(scope, documents))
                .singletonOrThrow()
                .toDoubleArray());
  }

  /** Losses in nats of the scored tokens, without a gradient. */
  public float[] measure(PackedDocuments documents) {
    return natively(scope -> kernel.train(scope, "measure", frozenArguments(scope, documents)));
  }

  /** For each scored token 1 if it is the most probable one, else 0. */
  public float[] hits(PackedDocuments documents) {
    return natively(scope -> run(scope, "hits", documents, Optional.empty()));
  }

  /**
   * Adds the gradient of sum(weights x objectives) to the gradient vector. The objective of a token
   * is its loss, or, where there is a teacher, Huber's function (delta 1 nat) of how far its loss
   * is from the teacher's.
   *
   * @return objectives in nats of the scored tokens, unweighted
   */
  public float[] differentiate(PackedDocuments documents) {
    return natively(scope -> run(scope, "differentiate", documents, Optional.of(gradient)));
  }

  /**
   * How much groups of input embeddings matter to parts of the log-likelihood of the scored tokens.
   *
   * <pre>
   *   g_jt = d L_j / d e_t,  L_j = sum over the scored tokens i of part j of log p(i)
   *   result[j][k] = sum over the tokens t of group k of  g_jt . (sum over all parts j' of g_j't)
   * </pre>
   *
   * So the sum over j is the squared norm of the gradient with respect to group k.
   *
   * @param documents one row; their weights do not count
   * @param partOf part of each scored token, in [0, parts)
   * @param groupOf group of each place of the row, in [0, groups], groups being counted nowhere
   */
  float[][] embeddingGradients(
      PackedDocuments documents, int[] partOf, int parts, long[] groupOf, int groups) {
    float[] shares = new float[parts * partOf.length];
    for (int i = 0; i < partOf.length; i++) {
      shares[partOf[i] * partOf.length + i] = 1;
    }
    float[] flat =
        natively(
            scope -> {
              NDList arguments = arguments(scope, documents, Optional.empty());
              arguments.add(scope.create(shares, new Shape(parts, partOf.length)));
              arguments.add(scope.create(groupOf));
              arguments.add(scope.create(new Shape(groups)));
              return kernel.train(scope, "embeddingGradients", arguments);
            });
    float[][] products = new float[parts][groups];
    for (int j = 0; j < parts; j++) {
      System.arraycopy(flat, j * groups, products[j], 0, groups);
    }
    return products;
  }

  /**
   * Runs documents forward and back to the outputs of the tapped layers; nothing is changed. The
   * loss is sum(weights x losses): there is no teacher.
   *
   * @param on gives the matrices their operations; of the same device
   * @param labels whether the loss is that of the documents' own tokens, or of tokens drawn from
   *     the model (for the true Fisher)
   * @return the caller closes it
   */
  public Taps tap(Matrices on, PackedDocuments documents, Labels labels) {
    if (documents.teachers().length > 0) {
      throw new IllegalArgumentException("gradients are tapped of losses, not of a teacher's");
    }
    if (documents.scored().length == 0) {
      throw new IllegalArgumentException("no token is scored: there is no loss to differentiate");
    }
    if (taps.isEmpty()) {
      throw new IllegalStateException("no layer is tapped");
    }
    PtNDManager scope = (PtNDManager) manager.newSubManager();
    boolean complete = false;
    try {
      NDList arguments = frozenArguments(scope, documents);
      arguments.add(scope.create(documents.weights()));
      arguments.add(scope.create(labels.uniforms(documents.scored().length)));
      Taps result =
          new Taps(
              scope,
              on,
              taps,
              4 * (config.layers() - 1),
              documents,
              kernel.trainForAll(scope, "tap", arguments));
      complete = true;
      return result;
    } catch (RuntimeException e) {
      throw e instanceof EngineException ? e : Kernel.translate(e);
    } finally {
      if (!complete) {
        scope.close();
      }
    }
  }

  /** The matrices of the blocks in bf16. */
  private PtNDArray halved() {
    if (halved.isEmpty()) {
      halved =
          Optional.of(
              natively(
                  scope -> {
                    NDList all = new NDList(theta);
                    NDArray copy = kernel.trainForAll(scope, "halved", all).singletonOrThrow();
                    copy.attach(manager);
                    return (PtNDArray) copy;
                  }));
    }
    return halved.get();
  }

  /** What was rounded of theta is so no longer. Where it is, nothing is trained. */
  private void changed(Vector vector) {
    if (vector == Vector.THETA) {
      halved.ifPresent(PtNDArray::close);
      halved = Optional.empty();
    }
  }

  /** Whether linear layers multiply numbers in bf16, see {@link #frozenRounded}. */
  public boolean isRounded() {
    return rounded;
  }

  /** The linear layers that are tapped. */
  public List<LinearLayer> taps() {
    return taps;
  }

  /**
   * Makes room for several threads that differentiate at once, rows of up to a length.
   *
   * @param threads 0 .. threads - 1 may then be given to {@link #differentiate(PackedDocuments,
   *     int)}
   */
  public void prepare(int threads, int length) {
    natively(
        scope -> {
          turns(length);
          while (partial.size() < threads) {
            partial.add(zeros(layout.trained()));
          }
          return partial;
        });
  }

  /**
   * As {@link #differentiate(PackedDocuments)}, but into a vector of the calling thread's own;
   * {@link #gather} adds those to the gradient. See {@link #prepare}.
   */
  public float[] differentiate(PackedDocuments documents, int thread) {
    PtNDArray own = partial.get(thread);
    return natively(scope -> run(scope, "differentiate", documents, Optional.of(own)));
  }

  /** Adds what threads have differentiated to the gradient, in their order. */
  public void gather() {
    for (PtNDArray part : partial) {
      try (IValue into = IValue.from(gradient);
          IValue source = IValue.from(part)) {
        kernel.call("move", into, source).close();
      }
    }
  }

  /** The Euclidean norm of the gradient, accumulated in fp64. */
  public double gradientNorm() {
    try (IValue vector = IValue.from(gradient);
        IValue norm = kernel.call("norm2", vector)) {
      return norm.toDouble();
    }
  }

  /** Forgets the gradient. */
  public void clearGradient() {
    try (IValue vector = IValue.from(gradient)) {
      kernel.call("clear", vector).close();
    }
  }

  /**
   * One step of AdamW (Loshchilov and Hutter 2019, algorithm 2) with the gradient, which is zeroed.
   *
   * @param scale the gradient is multiplied by it first (clipping)
   * @param rate learning rate
   * @param step from 1
   */
  public void update(
      double scale,
      double rate,
      double beta1,
      double beta2,
      double decay,
      double epsilon,
      long step) {
    try (IValue parameters = IValue.from(theta);
        IValue slope = IValue.from(gradient);
        IValue first = IValue.from(mean);
        IValue second = IValue.from(square);
        IValue shrinking = IValue.from(layout.decayed());
        IValue by = IValue.from(scale);
        IValue lr = IValue.from(rate);
        IValue b1 = IValue.from(beta1);
        IValue b2 = IValue.from(beta2);
        IValue wd = IValue.from(decay);
        IValue eps = IValue.from(epsilon);
        IValue count = IValue.from((double) step)) {
      kernel
          .call(
              "update", parameters, slope, first, second, shrinking, by, lr, b1, b2, wd, eps, count)
          .close();
    }
  }

  /** Does something with tensors that are gone when it is done. */
  private <T> T natively(Function<PtNDManager, T> work) {
    try (PtNDManager scope = (PtNDManager) manager.newSubManager()) {
      return work.apply(scope);
    } catch (RuntimeException e) {
      throw e instanceof EngineException ? e : Kernel.translate(e);
    }
  }

  private float[] run(
      PtNDManager scope, String method, PackedDocuments documents, Optional<PtNDArray> slope) {
    NDList arguments = arguments(scope, documents, slope);
    if (slope.isPresent()) {
      arguments.add(scope.create(documents.weights()));
      arguments.add(scope.create(documents.teachers()));
    }
    return kernel.train(scope, method, arguments);
  }

  /** For methods that train nothing: the matrices of blocks are in bf16 where they are rounded. */
  private NDList frozenArguments(PtNDManager scope, PackedDocuments documents) {
    NDList arguments = arguments(scope, documents, Optional.empty());
    arguments.add(1, rounded ? halved() : scope.create(new Shape(0)));
    return arguments;
  }

  private NDList arguments(
      PtNDManager scope, PackedDocuments documents, Optional<PtNDArray> slope) {
    Shape grid = new Shape(documents.rows(), documents.length());
    NDList arguments = new NDList();
    arguments.add(theta);
    slope.ifPresent(arguments::add);
    arguments.add(turns(documents.length()));
    arguments.add(scope.create(documents.ids(), grid));
    arguments.add(scope.create(documents.documents(), grid));
    arguments.add(scope.create(documents.positions(), grid));
    arguments.add(scope.create(documents.scored()));
    arguments.add(scope.create(documents.targets()));
    return arguments;
  }

  /** Cosine and sine of each position [positions, F, 2], of values computed in fp64. */
  private PtNDArray turns(int length) {
    if (length > turnPositions) {
      int positions = Math.max(256, Integer.highestOneBit(length - 1) * 2);
      ModelConfig.Rotary rotary = config.rotary();
      int half = rotary.dimensions() / 2;
      double[] values = new double[positions * half * 2];
      for (int p = 0; p < positions; p++) {
        for (int i = 0; i < half; i++) {
          double angle = p * rotary.inverseFrequencies().get(i);
          values[(p * half + i) * 2] = Math.cos(angle) * rotary.attentionFactor();
          values[(p * half + i) * 2 + 1] = Math.sin(angle) * rotary.attentionFactor();
        }
      }
      Shape shape = new Shape(positions, half, 2);
      NDArray table =
          precision == Precision.FP64
              ? manager.create(values, shape)
              : manager.create(inSingle(values), shape);
      turns.close();
      turns = (PtNDArray) table;
      turnPositions = positions;
    }
    return turns;
  }

  private static float[] inSingle(double[] values) {
    float[] single = new float[values.length];
    for (int i = 0; i < single.length; i++) {
      single[i] = (float) values[i];
    }
    return single;
  }

  private PtNDArray of(Vector vector) {
    return switch (vector) {
      case THETA -> theta;
      case GRADIENT -> gradient;
      case MEAN -> mean;
      case SQUARE -> square;
    };
  }

  private PtNDArray zeros(long elements) {
    NDArray zeros = manager.zeros(new Shape(elements), type());
    return (PtNDArray) zeros;
  }

  private DataType type() {
    return precision == Precision.FP64 ? DataType.FLOAT64 : DataType.FLOAT32;
  }

  @Override
  public void close() {
    kernel.close(); // and with it every array
  }
}
