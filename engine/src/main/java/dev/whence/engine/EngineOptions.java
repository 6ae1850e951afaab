package dev.whence.engine;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * How an engine runs.
 *
 * @param dtype of weights, keys, values and activations; the residual stream is fp32 in any case,
 *     and so are logits, those of branches less what they differ from the trunk's by
 * @param device "auto" (the first CUDA device that the native library finds, else the CPU), "cpu"
 *     or "cuda:N"
 * @param packTokens most tokens that are computed at a time, in one forward or in several side by
 *     side: branches are packed up to it (a longer one goes alone); 0 = {@link
 *     #DEFAULT_PACK_TOKENS} for each core of a CPU, 8192 for all, on CUDA by the memory that is
 *     free when the model is loaded
 * @param memoryBytes bound for native memory, weights included; 0 = no bound
 * @param threads of one operation, and forwards side by side; 0 = the native library's choice (one
 *     per core)
 * @param trunkCacheBytes keys and values of closed trunks that are kept, for trunks that begin like
 *     them; 0 = none: then the same input gives the same bits, as long as the model stays loaded
 *     and memory does not run short
 * @param aliases production model names that the scorer is, rather than a surrogate for
 * @param nativeDirectory where the native library is unpacked at the first start; empty: {@code
 *     whence.native.dir}, else DJL's own choice (DJL_CACHE_DIR, else the home directory). The first
 *     engine of a process decides
 */
public record EngineOptions(
    Dtype dtype,
    String device,
    int packTokens,
    long memoryBytes,
    int threads,
    long trunkCacheBytes,
    List<String> aliases,
    Optional<Path> nativeDirectory) {

  /** Element type of the computation. */
  public enum Dtype {
    /** bf16 where one bf16 matrix product, timed at the start, is faster than one in fp32. */
    AUTO,
    BF16,
    FP32;

    /**
     * The type of a name, as it stands on the command line.
     *
     * @throws IllegalArgumentException if it is none of auto, bf16, fp32
     */
    public static Dtype of(String name) {
      return switch (name) {
        case "auto" -> AUTO;
        case "bf16" -> BF16;
        case "fp32" -> FP32;
        default ->
            throw new IllegalArgumentException(
                "dtype \"" + name + "\" is none of auto, bf16, fp32");
      };
    }
  }

  /** Token budget on a CPU where none is given: large enough for matrix products at full speed. */
  public static final int DEFAULT_PACK_TOKENS = 2048;

  public EngineOptions {
    aliases = List.copyOf(aliases);
    if (!device.matches("auto|cpu|cuda:[0-9]{1,3}")) {
      throw new IllegalArgumentException("device \"" + device + "\" is none of auto, cpu, cuda:N");
    }
    if (packTokens < 0) {
      throw new IllegalArgumentException("packTokens " + packTokens + " is negative");
    }
    if (memoryBytes < 0 || threads < 0 || trunkCacheBytes < 0) {
      throw new IllegalArgumentException(
          "memoryBytes "
              + memoryBytes
              + ", threads "
              + threads
              + " or trunkCacheBytes "
              + trunkCacheBytes
              + " is negative");
    }
  }

  /** Chosen by the machine. */
  public static EngineOptions defaults() {
    return new EngineOptions(Dtype.AUTO, "auto", 0, 0, 0, 0, List.of(), Optional.empty());
  }

  public EngineOptions withDtype(Dtype wanted) {
    return new EngineOptions(
        wanted,
        device,
        packTokens,
        memoryBytes,
        threads,
        trunkCacheBytes,
        aliases,
        nativeDirectory);
  }

  public EngineOptions withDevice(String wanted) {
    return new EngineOptions(
        dtype, wanted, packTokens, memoryBytes, threads, trunkCacheBytes, aliases, nativeDirectory);
  }

  public EngineOptions withPackTokens(int wanted) {
    return new EngineOptions(
        dtype, device, wanted, memoryBytes, threads, trunkCacheBytes, aliases, nativeDirectory);
  }

  public EngineOptions withMemoryBytes(long wanted) {
    return new EngineOptions(
        dtype, device, packTokens, wanted, threads, trunkCacheBytes, aliases, nativeDirectory);
  }

  public EngineOptions withTrunkCacheBytes(long wanted) {
    return new EngineOptions(
        dtype, device, packTokens, memoryBytes, threads, wanted, aliases, nativeDirectory);
  }

  public EngineOptions withAliases(List<String> wanted) {
    return new EngineOptions(
        dtype, device, packTokens, memoryBytes, threads, trunkCacheBytes, wanted, nativeDirectory);
  }
}
