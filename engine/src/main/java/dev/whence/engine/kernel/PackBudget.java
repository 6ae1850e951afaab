package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.util.cuda.CudaUtils;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.weights.ModelConfig;
import java.lang.management.MemoryUsage;

/**
 * How many tokens one forward takes, where no number is given: on a CPU {@link
 * EngineOptions#DEFAULT_PACK_TOKENS}; on CUDA as many as fit the memory that is free when the
 * weights are loaded.
 *
 * <p>With p bytes per element, hidden size d, query width q = heads x head width, key width k,
 * inner width f, L layers and R rotations, the memory that is free is divided into
 *
 * <pre>
 *   trunk     2 L k p                          per token of a trunk of {@link #TRUNK_TOKENS} at most, and the trunk cache
 *   fixed     3 p 2^25 + 3 * 4 * 2^23          scores of one block of attention, logits of one block of the vocabulary
 *   per token 8 d + 2 p d                      residual stream and norm in fp32, norm and output of a layer in p
 *           + (q + 2 k) p + 3 k p + 2 q p      projections, rotated keys and contiguous values, attention
 *           + R (q p + 4 h) + 8 q              queries by rotation, their angles (head width h), a rotation in fp32
 *           + 2 f p + 12 d                     MLP; hidden state and head row of a scored token, their product
 *           + p T                              what it does not see of the trunk's T tokens (masks)
 * </pre>
 *
 * <p>Everything is counted as if it were held at the same time, and a tenth of the memory stays
 * free: for the allocator's fragments, CUDA's libraries and {@link TrunkStates}. What still does
 * not fit is halved by {@link Decoder}.
 */
final class PackBudget {
  /** Fewest tokens of a pack: one block of attention rows. */
  static final int LEAST = AttentionPlan.BLOCK_ROWS;

  /** Most tokens of a pack: matrix products of more rows are no faster. */
  static final int MOST = 16_384;

  /** A trunk that is to fit, where the model takes so many tokens. */
  static final int TRUNK_TOKENS = 8192;

  /** Rotations of the queries that a pack has room for: one per shift of a view. */
  static final int ROTATIONS = 4;

  private PackBudget() {}

  /**
   * Tokens of a pack on a device with so much free memory, in [{@link #LEAST}, {@link #MOST}].
   *
   * @param freeBytes beside the weights
   * @param trunkCacheBytes of them that the keys and values of closed trunks may take
   */
  static int tokens(ModelConfig c, Precision precision, long freeBytes, long trunkCacheBytes) {
    long trunkTokens = Math.min(TRUNK_TOKENS, c.maxPositions());
    long trunk = 2L * c.layers() * c.keyValueHeads() * c.headDim() * precision.bytes();
    long fixed = 3 * Decoder.SCORE_BLOCK * precision.bytes() + 3 * 4 * Decoder.LOGIT_BLOCK;
    long usable = freeBytes / 10 * 9 - trunkTokens * trunk - trunkCacheBytes - fixed;
    long tokens = usable / bytesPerToken(c, precision, trunkTokens);
    return (int) Math.max(LEAST, Math.min(MOST, tokens));
  }

  /** Bytes of a pack's own token, beside what is kept of it. */
  static long bytesPerToken(ModelConfig c, Precision precision, long trunkTokens) {
    long p = precision.bytes();
    long d = c.hiddenSize();
    long q = (long) c.heads() * c.headDim();
    long k = (long) c.keyValueHeads() * c.headDim();
    long stream = 8 * d + 2 * p * d;
    long attention = (q + 2 * k) * p + 3 * k * p + 2 * q * p;
    long queries = ROTATIONS * (q * p + 4L * c.headDim()) + 8 * q;
    long mlp = 2 * p * c.intermediateSize();
    long scored = 12 * d;
    return stream + attention + queries + mlp + scored + p * trunkTokens;
  }

  /**
   * The budget of a decoder whose weights are loaded.
   *
   * @throws EngineException of kind ENVIRONMENT if a CUDA device does not say how much is free
   */
  static int of(
      ModelConfig config,
      Precision precision,
      Device device,
      EngineOptions options,
      NativeMemory memory) {
    if (options.packTokens() > 0) {
      return options.packTokens();
    }
    if (!device.isGpu()) {
      return EngineOptions.DEFAULT_PACK_TOKENS;
    }
    long free = freeBytes(device);
    if (options.memoryBytes() > 0) {
      free = Math.min(free, options.memoryBytes() - memory.weightBytes());
    }
    return tokens(config, precision, free, options.trunkCacheBytes());
  }

  private static long freeBytes(Device device) {
    try {
      MemoryUsage usage = CudaUtils.getGpuMemory(device);
      return usage.getMax() - usage.getCommitted();
    } catch (RuntimeException | LinkageError e) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          "CUDA does not say how much memory of "
              + device
              + " is free, which the size of packs depends on: set the token budget of a pack"
              + " (engine.pack-tokens), or check the CUDA runtime library.",
          e);
    }
  }
}
