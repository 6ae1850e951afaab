package dev.whence.influence.index;

import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.SideBySide;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.TokenRotation;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Gradients of documents in the eigenbasis, divided by the root of the damped eigenvalues:
 *
 * <pre>
 *   g = (Q_S' G Q_A) / sqrt(Lambda + lambda0)
 * </pre>
 *
 * with G [O, I] the gradient of the document's training loss (a sum over its tokens, nats) by each
 * layer's weight. Scalar products of such vectors are those that the inverse of H + lambda0 gives.
 * Cost: one forward and backward of the documents. Memory: what whitens, and 4 MiB for each thread
 * (on a GPU 16 MiB for each of eight at most, and what cuBLAS takes). As many threads as share the
 * native work of the thread that makes this deal a pack's documents out among them, where that is
 * faster.
 */
public final class WhitenedGradients implements AutoCloseable {
  /** What is done with documents' vectors, layer by layer. */
  public interface Sink {
    /**
     * Takes some of a document's elements in a layer, each once, in their order. Several threads
     * call this at once, each for documents of its own.
     *
     * @param document its place in the list
     * @param first number of the first one, row by row of [O, I]
     * @param values as many as there are, fp32; valid until this returns
     */
    void take(LinearLayer layer, int document, int first, Matrix values);
  }

  /** Elements that a thread computes at once: 4 MiB, a whole layer of a small model. */
  private static final int NEAR = 1 << 20;

  /** The same on a GPU, where each time costs a launch: 16 MiB. */
  private static final int FAR = 1 << 22;

  /** Numbers of what whitens that are set at once: 1 MiB. */
  private static final int PIECE = 1 << 17;

  /** Threads that share a GPU at most: each takes memory there, for its room and for cuBLAS. */
  private static final int FEW = 8;

  private final TappedModel model;
  private final Measure measure;
  private final TokenRotation rotation;
  private final int atOnce;
  private final List<Matrix> rooms = new ArrayList<>();
  private Optional<SideBySide> threads = Optional.empty();
  private final Map<String, Matrix> whitening = new LinkedHashMap<>();

  /**
   * @param model stays the caller's to close; its layers are those of the factors
   * @param factors of the model; may be closed afterwards
   * @param lambda0 damping
   * @throws InfluenceException if lambda0 is so small that fp32 can not hold what whitens
   * @throws EngineException of kind ENVIRONMENT if threads can not be made
   */
  public WhitenedGradients(
      TappedModel model, EkfacFactors factors, Damping lambda0, Measure measure) {
    this(model, factors, lambda0, measure, model.matrices().onGpu() ? FAR : NEAR);
  }

  /**
   * @param atOnce elements that a thread computes at once; a row if that has more
   */
  WhitenedGradients(
      TappedModel model, EkfacFactors factors, Damping lambda0, Measure measure, int atOnce) {
    this.model = model;
    this.measure = measure;
    this.atOnce = atOnce;
    int row = factors.layers().stream().mapToInt(LinearLayer::inputs).max().orElse(0);
    int together = TorchRuntime.threads();
    together = model.matrices().onGpu() ? Math.min(together, FEW) : together;
    boolean complete = false;
    try {
      for (int i = 0; i < together; i++) {
        rooms.add(model.matrices().room(1, Math.max(atOnce, row)));
      }
      if (together > 1) {
        threads = Optional.of(new SideBySide(together, together));
      }
      whiten(factors, lambda0);
      this.rotation = new TokenRotation(factors);
      complete = true;
    } finally {
      if (!complete) {
        free();
      }
    }
  }

  private void whiten(EkfacFactors factors, Damping lambda0) {
    List<Runnable> tasks = new ArrayList<>();
    for (LinearLayer layer : factors.layers()) {
      Matrix scale = model.matrices().room(layer.outputs(), layer.inputs());
      whitening.put(layer.name(), scale);
      tasks.add(() -> whiten(scale, factors, layer, lambda0));
    }
    SideBySide.runEach(threads, tasks);
  }

  /** Sets a layer's 1 / sqrt(Lambda + lambda0), [O, I]. */
  private static void whiten(
      Matrix scale, EkfacFactors factors, LinearLayer layer, Damping lambda0) {
    double[] lambda = factors.lambda(layer);
    double damping = lambda0.of(factors, layer);
    ByteBuffer piece =
        ByteBuffer.allocateDirect(Math.min(PIECE, lambda.length) * Double.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    for (int first = 0; first < lambda.length; first += PIECE) {
      int n = Math.min(PIECE, lambda.length - first);
      DoubleBuffer values = piece.clear().asDoubleBuffer();
      for (int i = 0; i < n; i++) {
        double value = 1 / Math.sqrt(lambda[first + i] + damping);
        if (!Float.isFinite((float) value)) {
          throw new InfluenceException(
              "lambda0 is so small that layer "
                  + layer.name()
                  + " can not be whitened: choose a larger one.");
        }
        values.put(i, value);
      }
      scale.fill(first, piece.limit(n * Double.BYTES));
    }
  }

  /**
   * Vectors of documents; what is longer than the model reads is the sum of its pieces. Such a
   * document is done alone, after the others: its sum is a whole gradient where the model is, and
   * there is one at a time.
   */
  public void forEach(List<CorpusDocument> documents, int packTokens, Sink sink) {
    List<Example> examples = new ArrayList<>();
    List<Integer> owners = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      List<Example> own = documents.get(i).examples();
      if (own.size() == 1) {
        examples.add(own.get(0));
        owners.add(i);
      }
    }
    for (RowPacker.Packed pack : packs(examples, packTokens)) {
      each(
          pack,
          (layer, gradients, inputs, runs) ->
              inTurn(
                  layer,
                  gradients,
                  inputs,
                  runs,
                  (one, example, first, values) ->
                      sink.take(one, owners.get(example), first, values)));
    }
    for (int i = 0; i < documents.size(); i++) {
      List<Example> pieces = documents.get(i).examples();
      if (pieces.size() > 1) {
        forPieces(i, packs(pieces, packTokens), sink);
      }
    }
  }

  /** All rows of a pack are the one document's: its part is one product of them. */
  private void forPieces(int document, List<RowPacker.Packed> packs, Sink sink) {
    Map<LinearLayer, Matrix> sums = new LinkedHashMap<>();
    try {
      for (RowPacker.Packed pack : packs) {
        each(
            pack,
            (layer, gradients, inputs, runs) -> {
              Matrix sum = sums.get(layer);
              if (sum == null) {
                sums.put(layer, gradients.transposedTimes(inputs));
              } else {
                try (Matrix part = gradients.transposedTimes(inputs)) {
                  sum.add(part);
                }
              }
            });
      }
      sums.forEach(
          (layer, sum) -> {
            sum.scale(whitening(layer));
            sink.take(layer, document, 0, sum);
          });
    } finally {
      sums.values().forEach(Matrix::close);
    }
  }

  private List<RowPacker.Packed> packs(List<Example> examples, int packTokens) {
    return model.pack(model.sloped(examples, measure, packTokens), packTokens);
  }

  /** What tokens of a pack have in a layer: gradients [T, O], inputs [T, I], turned. */
  private interface Turned {
    void layer(LinearLayer layer, Matrix gradients, Matrix inputs, List<Taps.Run> runs);
  }

  private void each(RowPacker.Packed pack, Turned turned) {
    try (Taps taps = model.tap(pack, new Labels.Given())) {
      rotation.forEach(
          taps,
          (layer, gradients, inputs) -> turned.layer(layer, gradients, inputs, taps.runs(layer)));
    }
  }

  /** Documents of a pack, shared by the threads; the sink gets the numbers that runs have. */
  private void inTurn(
      LinearLayer layer, Matrix gradients, Matrix inputs, List<Taps.Run> runs, Sink sink) {
    Shares shares = Shares.of(runs, rooms.size());
    if (threads.isEmpty() || !shares.areWorthwhile(rooms.size())) {
      products(layer, gradients, inputs, runs, rooms.get(0), sink);
      return;
    }
    AtomicReference<@Nullable EngineException> failed = new AtomicReference<>();
    List<SideBySide.Task<List<Taps.Run>>> tasks = new ArrayList<>();
    for (List<Taps.Run> share : shares.all()) {
      Matrix room = rooms.get(tasks.size());
      tasks.add(
          new SideBySide.Task<>(
              1,
              () -> {
                try {
                  products(layer, gradients, inputs, share, room, sink);
                  return share;
                } catch (EngineException e) {
                  failed.compareAndSet(null, e);
                  throw e;
                }
              }));
    }
    if (threads.get().run(tasks).stream().anyMatch(Optional::isEmpty)) {
      throw Objects.requireNonNull(failed.get()); // for want of memory: else run() has thrown it
    }
  }

  /**
   * Documents of a pack dealt out to threads.
   *
   * @param all each thread's
   * @param costs of each, in tokens
   */
  record Shares(List<List<Taps.Run>> all, List<Integer> costs) {
    /** What a document costs beside its tokens: whitening and sketching, however short it is. */
    private static final int PASS = 64;

    /** The costliest first, each to whom has least. */
    static Shares of(List<Taps.Run> runs, int most) {
      List<List<Taps.Run>> all = new ArrayList<>();
      int[] costs = new int[Math.min(most, runs.size())];
      for (int i = 0; i < costs.length; i++) {
        all.add(new ArrayList<>());
      }
      for (Taps.Run run :
          runs.stream().sorted(Comparator.comparingInt(Taps.Run::length).reversed()).toList()) {
        int least = 0;
        for (int i = 1; i < costs.length; i++) {
          least = costs[i] < costs[least] ? i : least;
        }
        all.get(least).add(run);
        costs[least] += run.length() + PASS;
      }
      return new Shares(all, Arrays.stream(costs).boxed().toList());
    }

    /**
     * Whether that is faster than products that threads share, one document after the other: what
     * else there is to do for a document, one thread does then.
     */
    boolean areWorthwhile(int threads) {
      int longest = costs.stream().mapToInt(Integer::intValue).max().orElse(0);
      int runs = all.stream().mapToInt(List::size).sum();
      long tokens = costs.stream().mapToLong(Integer::longValue).sum() - (long) PASS * runs;
      return runs > 1 && longest <= tokens / threads + (long) PASS * runs;
    }
  }

  /** Rows after rows of the products, which need the same rows of what whitens. */
  private void products(
      LinearLayer layer,
      Matrix gradients,
      Matrix inputs,
      List<Taps.Run> runs,
      Matrix room,
      Sink sink) {
    Matrix scale = whitening(layer);
    int rows = Math.max(1, atOnce / layer.inputs());
    for (int first = 0; first < layer.outputs(); first += rows) {
      int n = Math.min(rows, layer.outputs() - first);
      for (Taps.Run run : runs) {
        try (Matrix values = gradients.scaledProducts(inputs, run, scale, first, n, room)) {
          sink.take(layer, run.document(), first * layer.inputs(), values);
        }
      }
    }
  }

  private Matrix whitening(LinearLayer layer) {
    return Objects.requireNonNull(whitening.get(layer.name()));
  }

  private void free() {
    threads.ifPresent(SideBySide::close);
    rooms.forEach(Matrix::close);
    whitening.values().forEach(Matrix::close);
  }

  @Override
  public void close() {
    rotation.close();
    free();
  }
}
