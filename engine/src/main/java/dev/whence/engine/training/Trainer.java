package dev.whence.engine.training;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.PackedDocuments;
import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.kernel.ParameterLayout.Parameter;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.kernel.TrainableDecoder.Vector;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.engine.weights.WeightSource;
import dev.whence.files.Sha256;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Trains a decoder in fp32: the gradient of the weighted mean of the losses of a batch of examples
 * (next-token cross entropy, nats), clipped by its norm, then one step of AdamW.
 *
 * <pre>
 *   L = sum_t w_t l_t / sum_t w_t,   g = dL/dtheta,   g' = g min(1, clip / |g|)
 *   m = b1 m + (1 - b1) g',  v = b2 v + (1 - b2) g'^2
 *   theta = theta (1 - rate decay) - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
 * </pre>
 *
 * <p>Where an example has a teacher, l_t is Huber's function (delta 1 nat) of the difference
 * between its loss and the teacher's: a student of another model's likelihoods. Of tokens that the
 * teacher has as one piece the first one has the function of their sum, and the others 0.
 *
 * <p>Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019), algorithm 2.
 *
 * <p>The same parameters, batches, options and number of threads give the same bits on one machine.
 * One thread uses it.
 */
public final class Trainer implements AutoCloseable {
  private static final int DIGESTED_AT_ONCE = 1 << 20;

  /** Tokens of a part below which matrix products get slow. */
  private static final int LEAST_PART = 512;

  /**
   * Parameters of a model below which a step is not shared by threads of the native library: they
   * wait for each other longer than they work.
   */
  private static final long LEAST_SHARED = 1 << 18;

  private final TrainableDecoder decoder;
  private final TrainingOptions options;
  private final RowPacker packer;
  private final Optional<Workers> workers;
  private long step;

  private Trainer(TrainableDecoder decoder, TrainingOptions options) {
    this.decoder = decoder;
    this.options = options;
    this.packer = new RowPacker(options.packTokens());
    this.workers =
        options.workers() == 1
            ? Optional.empty()
            : Optional.of(new Workers(options.workers(), threads(options.engine())));
  }

  /**
   * A model with new parameters.
   *
   * @throws EngineException of kind MODEL if its family is not known or no parameter is trained,
   *     ENVIRONMENT if native library, device or memory fails
   */
  public static Trainer initialise(
      ModelConfig config, Initialisation initialisation, TrainingOptions options) {
    Trainer trainer = open(config, options);
    boolean complete = false;
    try {
      for (Parameter parameter : trainer.parameters()) {
        trainer.setValues(parameter, initialisation.values(parameter, config));
      }
      complete = true;
      return trainer;
    } finally {
      if (!complete) {
        trainer.close();
      }
    }
  }

  /**
   * A model that goes on from weights; they stay the caller's to close.
   *
   * @throws EngineException as {@link #initialise}, and of kind MODEL if the weights can not be
   *     read or are not finite
   */
  public static Trainer from(ModelConfig config, WeightSource weights, TrainingOptions options) {
    Trainer trainer = open(config, options);
    boolean complete = false;
    try {
      trainer.decoder.load(weights);
      complete = true;
      return trainer;
    } finally {
      if (!complete) {
        trainer.close();
      }
    }
  }

  private static Trainer open(ModelConfig config, TrainingOptions options) {
    return new Trainer(TrainableDecoder.open(config, options.trained(), options.engine()), options);
  }

  public ModelConfig config() {
    return decoder.config();
  }

  /** All parameters, in the kernel's order. */
  public List<Parameter> parameters() {
    return decoder.layout().parameters();
  }

  /** SHA-256 of all parameters as they stand, in hex. */
  public String digest() {
    MessageDigest sha256 = Sha256.begin();
    long total = layout().total();
    for (long at = 0; at < total; at += DIGESTED_AT_ONCE) {
      float[] values = decoder.read(Vector.THETA, at, (int) Math.min(DIGESTED_AT_ONCE, total - at));
      ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES);
      bytes.asFloatBuffer().put(values);
      sha256.update(bytes);
    }
    return HexFormat.of().formatHex(sha256.digest());
  }

  /** Steps taken so far. */
  public long step() {
    return step;
  }

  /**
   * Learns from a batch: one update, whatever its size. A small model's step uses one native
   * thread: meanwhile that is also what a thread gets that calls the library for the first time.
   *
   * @throws EngineException of kind MODEL if loss or gradient is not finite (parameters and moments
   *     are as they were before the step), RECORD if a token is not in the vocabulary, an example
   *     is longer than the model's positions, nothing is scored, or memory does not suffice
   */
  public StepReport step(List<Example> batch) {
    if (layout().total() >= LEAST_SHARED) {
      return update(batch);
    }
    int threads = TorchRuntime.threads();
    TorchRuntime.workAlone();
    try {
      return update(batch);
    } finally {
      TorchRuntime.workTogether(threads);
    }
  }

  private StepReport update(List<Example> batch) {
    double loss = gradient(batch);
    double norm = decoder.gradientNorm();
    if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
      decoder.clearGradient();
      throw new EngineException(
          Kind.MODEL,
          String.format(
              Locale.ROOT,
              "Training diverged at step %d (loss %s, gradient norm %s, learning rate %s): begin anew,"
                  + " in another directory, with a lower learning rate; the last good checkpoint is"
                  + " kept.",
              step + 1,
              loss,
              norm,
              options.schedule().rate(step + 1)));
    }
    step++;
    double rate = options.schedule().rate(step);
    double scale = Math.min(1, options.clipNorm() / Math.max(norm, Double.MIN_NORMAL));
    decoder.update(
        scale,
        rate,
        options.beta1(),
        options.beta2(),
        options.weightDecay(),
        options.epsilon(),
        step);
    long tokens = batch.stream().mapToLong(Example::length).sum();
    long scored = batch.stream().mapToLong(Trainer::scored).sum();
    return new StepReport(step, loss, norm, rate, tokens, scored);
  }

  /**
   * The gradient of the weighted mean loss, left in the decoder's gradient vector.
   *
   * @return the weighted mean loss, nats per scored token
   */
  private double gradient(List<Example> batch) {
    check(batch);
    double total = 0;
    for (Example example : batch) {
      for (float weight : example.lossWeights()) {
        total += weight;
      }
    }
    if (!(total > 0)) {
      throw new EngineException(
          Kind.RECORD, "No token of the batch is scored: it teaches nothing.");
    }
    List<RowPacker.Packed> packs = packer.pack(batch, 1 / total, parts(batch));
    if (workers.isEmpty() || packs.size() == 1) {
      double loss = 0;
      boolean complete = false;
      try {
        for (RowPacker.Packed pack : packs) {
          loss += weighted(decoder.differentiate(pack.documents()), pack);
        }
        complete = true;
        return loss;
      } finally {
        if (!complete) {
          decoder.clearGradient();
        }
      }
    }
    return workers.get().differentiate(decoder, packs);
  }

  static int threads(EngineOptions options) {
    int wanted = options.threads();
    return wanted > 0 ? wanted : Runtime.getRuntime().availableProcessors();
  }

  /** Several parts for each worker even their work out, as long as they are not too small. */
  private int parts(List<Example> batch) {
    int workers = options.workers();
    long tokens = batch.stream().mapToLong(Example::length).sum();
    return (int) Math.max(workers, Math.min(4L * workers, tokens / LEAST_PART));
  }

  static double weighted(float[] losses, RowPacker.Packed pack) {
    float[] weights = pack.documents().weights();
    double sum = 0;
    for (int i = 0; i < losses.length; i++) {
      sum += (double) losses[i] * weights[i];
    }
    return sum;
  }

  /**
   * The gradient of the weighted mean loss with respect to the trained parameters, by name, each
   * row-major. Nothing is changed.
   *
   * @throws EngineException as {@link #step}
   */
  public Map<String, float[]> gradients(List<Example> batch) {
    gradient(batch);
    Map<String, float[]> gradients = new java.util.TreeMap<>();
    for (Parameter parameter : parameters()) {
      if (parameter.isTrained()) {
        gradients.put(
            parameter.name(),
            decoder.read(
                Vector.GRADIENT, parameter.offset(), Math.toIntExact(parameter.elements())));
      }
    }
    decoder.clearGradient();
    return gradients;
  }

  /**
   * For each example the weighted sum of its losses, in nats. Nothing is changed.
   *
   * @throws EngineException of kind RECORD as {@link #step}
   */
  public double[] losses(List<Example> examples) {
    check(examples);
    double[] sums = new double[examples.size()];
    for (RowPacker.Packed pack : packer.pack(examples, 1)) {
      PackedDocuments documents = pack.documents();
      float[] losses = decoder.measure(documents);
      for (int i = 0; i < losses.length; i++) {
        sums[pack.owners()[i]] += (double) losses[i] * documents.weights()[i];
      }
    }
    return sums;
  }

  /**
   * Losses of each token of each example, in nats; NaN where it is not scored. Nothing is changed.
   *
   * @return [examples][tokens]
   * @throws EngineException of kind RECORD as {@link #step}
   */
  public float[][] tokenLosses(List<Example> examples) {
    check(examples);
    return tokenLosses(decoder, packer, examples);
  }

  static float[][] tokenLosses(TrainableDecoder decoder, RowPacker packer, List<Example> examples) {
    float[][] losses = new float[examples.size()][];
    for (int i = 0; i < losses.length; i++) {
      losses[i] = new float[examples.get(i).length()];
      Arrays.fill(losses[i], Float.NaN);
    }
    for (RowPacker.Packed pack : packer.pack(examples, 1)) {
      PackedDocuments documents = pack.documents();
      float[] measured = decoder.measure(documents);
      for (int i = 0; i < measured.length; i++) {
        int read = (int) documents.positions()[(int) documents.scored()[i]];
        losses[pack.owners()[i]][read + 1] = measured[i];
      }
    }
    return losses;
  }

  /**
   * For each example whether every scored token is the most probable one after those before it:
   * then greedy generation would give the same. Nothing is changed.
   *
   * @throws EngineException of kind RECORD as {@link #step}
   */
  public boolean[] exact(List<Example> examples) {
    check(examples);
    boolean[] exact = new boolean[examples.size()];
    Arrays.fill(exact, true);
    for (RowPacker.Packed pack : packer.pack(examples, 1)) {
      float[] hits = decoder.hits(pack.documents());
      for (int i = 0; i < hits.length; i++) {
        exact[pack.owners()[i]] &= hits[i] == 1;
      }
    }
    return exact;
  }

  private void check(List<Example> examples) {
    int vocabulary = config().vocabularySize();
    for (int i = 0; i < examples.size(); i++) {
      Example example = examples.get(i);
      if (example.length() - 1 > config().maxPositions()) {
        throw new EngineException(
            Kind.RECORD,
            String.format(
                Locale.ROOT,
                "Example %d has %d tokens, the model reads at most %d.",
                i,
                example.length(),
                config().maxPositions() + 1));
      }
      for (int token : example.tokens()) {
        if (token < 0 || token >= vocabulary) {
          throw new EngineException(
              Kind.RECORD,
              String.format(
                  Locale.ROOT,
                  "Example %d has token id %d, the model's vocabulary has %d: the tokenizer is not"
                      + " this model's.",
                  i,
                  token,
                  vocabulary));
        }
      }
    }
  }

  private static long scored(Example example) {
    long scored = 0;
    for (float weight : example.lossWeights()) {
      if (weight != 0) {
        scored++;
      }
    }
    return scored;
  }

  /** A parameter's values, row-major. */
  public float[] values(Parameter parameter) {
    return decoder.read(Vector.THETA, parameter.offset(), Math.toIntExact(parameter.elements()));
  }

  /** Overwrites a parameter's values, row-major. */
  public void setValues(Parameter parameter, float[] values) {
    if (values.length != parameter.elements()) {
      throw new IllegalArgumentException(
          parameter.name() + " has " + parameter.elements() + " elements, not " + values.length);
    }
    decoder.fill(Vector.THETA, parameter.offset(), values);
  }

  /**
   * Writes the parameters as Hugging Face's library does, one file.
   *
   * @throws EngineException of kind ENVIRONMENT if the file can not be written
   */
  public void save(Path file, ElementType type) {
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    for (Parameter parameter : parameters()) {
      tensors.add(
          new SafetensorsWriter.Tensor(
              parameter.name(),
              parameter.shape(),
              (offset, n) -> decoder.read(Vector.THETA, parameter.offset() + offset, n)));
    }
    SafetensorsWriter.write(file, type, tensors, Map.of());
  }

  ParameterLayout layout() {
    return decoder.layout();
  }

  TrainableDecoder decoder() {
    return decoder;
  }

  /** Goes on as if so many steps had been taken. */
  void resumeAt(long steps) {
    this.step = steps;
  }

  @Override
  public void close() {
    workers.ifPresent(Workers::close);
    decoder.close();
  }
}
