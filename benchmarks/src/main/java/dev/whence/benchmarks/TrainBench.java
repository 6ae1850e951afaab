package dev.whence.benchmarks;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.GemmPeak;
import dev.whence.engine.kernel.PackedDocuments;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.kernel.TrainableDecoder.Vector;
import dev.whence.engine.weights.ModelConfig;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;

/**
 * What a training step costs: forward, backward and optimiser apart, against the GEMM peak of the
 * machine, measured in the same process right before each round. Parameters and tokens are random:
 * their values do not change what is computed.
 *
 * <p>One untimed round comes first.
 */
public final class TrainBench {
  private static final int TIMES_FORWARD = 3;

  private final ModelConfig config;
  private final String name;
  private final Options options;
  private final Consumer<String> progress;

  private TrainBench(ModelConfig config, String name, Options options, Consumer<String> progress) {
    this.config = config;
    this.name = name;
    this.options = options;
    this.progress = progress;
  }

  /**
   * How to measure.
   *
   * @param lengths of rows, one case each
   * @param batchTokens of a step
   * @param repeat timed rounds
   */
  public record Options(List<Integer> lengths, int batchTokens, int repeat) {
    public Options {
      lengths = List.copyOf(lengths);
      if (lengths.isEmpty() || repeat < 1) {
        throw new IllegalArgumentException("a length is missing, or repeat is below 1");
      }
      for (int length : lengths) {
        if (length < 2 || length > batchTokens) {
          throw new IllegalArgumentException(
              "length " + length + " must be 2 to batch tokens (" + batchTokens + ")");
        }
      }
    }
  }

  /**
   * Runs the benchmark.
   *
   * @param name of the model, for the report
   * @param progress is told what is going on, one sentence at a time
   */
  public static TrainReport run(
      ModelConfig config, String name, Options options, Consumer<String> progress) {
    return new TrainBench(config, name, options, progress).run();
  }

  private static final class Times {
    private final List<Double> forward = new ArrayList<>();
    private final List<Double> backward = new ArrayList<>();
    private final List<Double> optimiser = new ArrayList<>();
    private final List<Double> step = new ArrayList<>();
    private final List<Double> share = new ArrayList<>();
  }

  private TrainReport run() {
    final Instant started = Instant.now();
    final Machine machine = Machine.here();
    EngineOptions engine = EngineOptions.defaults();
    List<Double> peaks = new ArrayList<>();
    List<Times> times = options.lengths().stream().map(length -> new Times()).toList();
    List<PackedDocuments> batches = options.lengths().stream().map(this::batch).toList();
    try (TrainableDecoder decoder = TrainableDecoder.open(config, any -> true, engine)) {
      long parameters = decoder.layout().total();
      randomise(decoder, Math.toIntExact(parameters));
      for (int round = 0; round <= options.repeat(); round++) {
        progress.accept("round " + round + " of " + options.repeat());
        for (int i = 0; i < batches.size(); i++) {
          double peak = GemmPeak.fp32(engine);
          Times into = round == 0 ? new Times() : times.get(i);
          time(decoder, batches.get(i), peak, round * batches.size() + i + 1, into);
          if (round > 0) {
            peaks.add(peak);
          }
        }
      }
      List<TrainReport.Case> cases = new ArrayList<>();
      for (int i = 0; i < batches.size(); i++) {
        Times t = times.get(i);
        cases.add(
            new TrainReport.Case(
                batches.get(i).rows(),
                batches.get(i).length(),
                forwardFlops(batches.get(i)),
                Spread.of(t.forward),
                Spread.of(t.backward),
                Spread.of(t.optimiser),
                Spread.of(t.step),
                Spread.of(t.share)));
      }
      return new TrainReport(
          name,
          parameters,
          started.toString(),
          machine,
          Spread.of(peaks),
          cases,
          Machine.peakResidentBytes().orElse(-1));
    }
  }

  private void time(
      TrainableDecoder decoder, PackedDocuments batch, double peak, int step, Times into) {
    long start = System.nanoTime();
    decoder.measure(batch);
    final double forward = (System.nanoTime() - start) * 1e-9;
    start = System.nanoTime();
    decoder.differentiate(batch);
    final double both = (System.nanoTime() - start) * 1e-9;
    start = System.nanoTime();
    double norm = decoder.gradientNorm();
    decoder.update(Math.min(1, 1 / norm), 1e-5, 0.9, 0.95, 0.1, 1e-8, step);
    final double optimiser = (System.nanoTime() - start) * 1e-9;
    into.forward.add(forward);
    into.backward.add(both - forward);
    into.optimiser.add(optimiser);
    into.step.add(both + optimiser);
    into.share.add(TIMES_FORWARD * forwardFlops(batch) / (both + optimiser) / peak);
  }

  /** Rows of one document each, every token but the first of which is predicted. */
  private PackedDocuments batch(int length) {
    int rows = options.batchTokens() / length;
    int n = rows * length;
    Random random = new Random(length);
    long[] ids = random.longs(n, 0, config.vocabularySize()).toArray();
    long[] documents = new long[n];
    long[] positions = new long[n];
    long[] scored = new long[rows * (length - 1)];
    long[] targets = new long[scored.length];
    float[] weights = new float[scored.length];
    int at = 0;
    for (int i = 0; i < n; i++) {
      documents[i] = i / length;
      positions[i] = i % length;
      if (positions[i] < length - 1) {
        scored[at] = i;
        targets[at] = ids[i + 1];
        weights[at++] = 1f / scored.length;
      }
    }
    return new PackedDocuments(rows, length, ids, documents, positions, scored, targets, weights);
  }

  private double forwardFlops(PackedDocuments batch) {
    return batch.rows() * ForwardFlops.of(config, batch.length(), batch.length() - 1).total();
  }

  private static void randomise(TrainableDecoder decoder, int parameters) {
    Random random = new Random(1);
    float[] values = new float[parameters];
    for (int i = 0; i < parameters; i++) {
      values[i] = (float) (0.02 * random.nextGaussian());
    }
    decoder.fill(Vector.THETA, 0, values);
  }
}
