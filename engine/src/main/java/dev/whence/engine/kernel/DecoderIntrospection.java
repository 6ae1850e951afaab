package dev.whence.engine.kernel;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.Introspection;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.weights.WeightSource;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Reads inside a {@link Decoder}: attention and hidden states by its own kernel, gradients by the
 * training kernel, whose parameters are loaded when they are first asked for.
 */
public final class DecoderIntrospection implements Introspection, AutoCloseable {
  private final Decoder decoder;
  private final WeightSource weights;
  private final EngineOptions options;
  private @Nullable TrainableDecoder differentiable;

  /**
   * @param decoder stays the caller's to close
   * @param weights of the same model; stay the caller's to close
   */
  public DecoderIntrospection(Decoder decoder, WeightSource weights, EngineOptions options) {
    this.decoder = decoder;
    this.weights = weights;
    this.options = options;
    decoder.limits().onShortage(this::close); // the weights in fp32 can be loaded again
  }

  @Override
  public double[][] attention(Trunk trunk, int[] groupOf, int groups) {
    if (!(trunk instanceof Sequence sequence)) {
      throw new IllegalArgumentException("the trunk was made by another scorer");
    }
    check(groupOf, groups, trunk.length());
    return sequence.attention(decoder, groupOf, groups);
  }

  @Override
  public double[][] meanStates(int[] tokens, int[] groupOf, int groups) {
    Sequence.check(decoder, tokens, tokens.length);
    check(groupOf, groups, tokens.length);
    double[][] means;
    try (KeyValues room = decoder.room(tokens.length)) {
      means = decoder.stateSums(room, tokens, groupOf, groups);
    }
    long[] sizes = new long[groups + 1];
    Arrays.stream(groupOf).forEach(group -> sizes[group]++);
    for (int k = 0; k < groups; k++) {
      for (int i = 0; i < means[k].length; i++) {
        means[k][i] /= Math.max(1, sizes[k]);
      }
    }
    return means;
  }

  @Override
  public double[][] embeddingGradients(
      int[] tokens, int scoredFrom, int[] partOf, int parts, int[] groupOf, int groups) {
    Sequence.check(decoder, tokens, tokens.length);
    check(groupOf, groups, tokens.length);
    int scored = tokens.length - scoredFrom;
    if (scoredFrom < 1 || scored < 1 || partOf.length != scored) {
      throw new IllegalArgumentException(
          partOf.length + " parts for " + scored + " tokens scored from " + scoredFrom);
    }
    int length = tokens.length;
    PackedDocuments documents =
        new PackedDocuments(
            1,
            length,
            Arrays.stream(tokens).asLongStream().toArray(),
            new long[length],
            IntStream.range(0, length).asLongStream().toArray(),
            IntStream.range(scoredFrom - 1, length - 1).asLongStream().toArray(),
            IntStream.range(scoredFrom, length).mapToLong(i -> tokens[i]).toArray(),
            new float[scored]);
    long[] groupsOf = Arrays.stream(groupOf).asLongStream().toArray();
    float[][] products;
    try {
      products = differentiable().embeddingGradients(documents, partOf, parts, groupsOf, groups);
    } catch (EngineException e) {
      decoder.limits().freeTrunksAfter(e);
      products = differentiable().embeddingGradients(documents, partOf, parts, groupsOf, groups);
    }
    double[][] result = new double[parts][groups];
    for (int j = 0; j < parts; j++) {
      for (int k = 0; k < groups; k++) {
        if (!Float.isFinite(products[j][k])) {
          throw new EngineException(
              Kind.RECORD, "The gradients of this input's embeddings are not finite numbers.");
        }
        result[j][k] = products[j][k];
      }
    }
    return result;
  }

  /** The last layer is computed for all tokens, and no logits. */
  @Override
  public WorkEstimate estimateStates(int tokens) {
    Work all = decoder.work(tokens, tokens, List.of());
    return estimate(new Work(tokens, all.linear(), all.attention(), 0));
  }

  /**
   * Backward through a linear layer is one product with its weights, as forward is; through
   * attention four products where forward takes two. There is one for each part, and one for their
   * sum where there are several.
   */
  @Override
  public WorkEstimate estimateGradients(int tokens, int scored, int parts) {
    Work forward = decoder.work(tokens, scored, List.of());
    Work work = forward;
    int backwards = parts > 1 ? parts + 1 : parts;
    for (int j = 0; j < backwards; j++) {
      work =
          work.plus(new Work(tokens, forward.linear(), 2 * forward.attention(), forward.logits()));
    }
    return estimate(work);
  }

  private WorkEstimate estimate(Work work) {
    return new WorkEstimate(work.tokens(), work.flops(), decoder.seconds(work));
  }

  private static void check(int[] groupOf, int groups, int length) {
    if (groupOf.length != length
        || Arrays.stream(groupOf).anyMatch(group -> group < 0 || group > groups)) {
      throw new IllegalArgumentException(
          "there must be a group from 0 to " + groups + " for each of " + length + " tokens");
    }
  }

  private TrainableDecoder differentiable() {
    TrainableDecoder loaded = differentiable;
    if (loaded == null) {
      loaded = load();
      differentiable = loaded;
    }
    return loaded;
  }

  private TrainableDecoder load() {
    long bytes = bytes();
    decoder.limits().makeRoom(bytes);
    if (!decoder.limits().fits(bytes)) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          String.format(
              Locale.ROOT,
              "Gradients need the weights again in fp32, %d bytes beside %d in use; the memory"
                  + " budget is %d bytes.",
              bytes,
              decoder.memory().weightBytes() + decoder.memory().trunkBytes(),
              options.memoryBytes()));
    }
    TrainableDecoder loaded = TrainableDecoder.frozen(decoder.config(), options);
    boolean complete = false;
    try {
      loaded.load(weights);
      complete = true;
    } finally {
      if (!complete) {
        loaded.close();
      }
    }
    decoder.memory().addWeights(bytes);
    return loaded;
  }

  private long bytes() {
    return ParameterLayout.frozen(decoder.config()).total() * Precision.FP32.bytes();
  }

  @Override
  public void close() {
    TrainableDecoder loaded = differentiable;
    if (loaded != null) {
      loaded.close();
      decoder.memory().addWeights(-bytes());
      differentiable = null;
    }
  }
}
