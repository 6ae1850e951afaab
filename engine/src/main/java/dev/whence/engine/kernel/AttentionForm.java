package dev.whence.engine.kernel;

import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How a kernel computes a block of attention. Both give the same numbers up to rounding; which is
 * faster depends on the processor's matrix instructions.
 */
enum AttentionForm {
  /** Two matrix products with a softmax over all scores between them. */
  PRODUCTS(128),

  /**
   * The native library's fused attention (FlashAttention, Dao et al. 2022, section 3.1): scores
   * stand in fp32 a tile at a time. Keys of different rotations, and the causal square of own
   * tokens, are attended to apart and merged by their normalisers. Long blocks that need a mask,
   * and whoever wants the weights, have PRODUCTS.
   */
  FUSED(32);

  private static final int ROWS = 512;
  private static final int PREFIX = 1024;
  private static final int ROUNDS = 5;

  /**
   * Seconds after which no further round begins: a processor without instructions for the dtype.
   */
  private static final double ENOUGH = 1;

  private final int near;

  AttentionForm(int near) {
    this.near = near;
  }

  /**
   * Fewer keys between two ranges are computed and hidden, rather than have a product for each, or
   * all keys of both copied side by side.
   */
  int near() {
    return near;
  }

  /**
   * The form to use: PRODUCTS in fp32, where they are as fast as any; in bf16 whichever takes less
   * for {@value #ROWS} tokens that attend to a prefix of {@value #PREFIX} and to themselves, by the
   * least of some times in turn. With AMX that is FUSED.
   *
   * @return PRODUCTS on a GPU, where the fused operator of the CPU is not to be had
   */
  static AttentionForm fastest(Kernel kernel, ModelConfig config, Precision precision) {
    if (kernel.onGpu() || precision != Precision.BF16) {
      return PRODUCTS;
    }
    double products = Double.POSITIVE_INFINITY;
    double fused = Double.POSITIVE_INFINITY;
    try (Trial one = trial(kernel, config, precision, PRODUCTS);
        Trial other = trial(kernel, config, precision, FUSED)) {
      double first = one.seconds() + other.seconds(); // makes native code
      for (int i = 0; i < ROUNDS && (i + 1) * first < ENOUGH; i++) {
        products = Math.min(products, one.seconds());
        fused = Math.min(fused, other.seconds());
      }
    }
    return fused < products ? FUSED : PRODUCTS;
  }

  private static Trial trial(
      Kernel kernel, ModelConfig c, Precision precision, AttentionForm form) {
    return new Trial(
        kernel, c.heads(), c.keyValueHeads(), c.headDim(), precision, form, ROWS, PREFIX);
  }

  /**
   * One layer's attention of a branch: own tokens that see a prefix of the trunk and each other.
   */
  static final class Trial implements AutoCloseable {
    private final Kernel kernel;
    private final List<IValue> arguments = new ArrayList<>();

    Trial(
        Kernel kernel,
        int heads,
        int keyValueHeads,
        int headDim,
        Precision precision,
        AttentionForm form,
        int own,
        int prefix) {
      this.kernel = kernel;
      AttentionPlan.Builder builder =
          new AttentionPlan.Builder(form, AttentionPlan.BLOCK_ROWS, 0, heads / keyValueHeads);
      int[] positions = IntStream.range(prefix, prefix + own).toArray();
      builder.add(0, positions, 0, own, List.of(new View(0, prefix, 0)), new int[1]);
      AttentionPlan plan = builder.build();
      try {
        arguments.add(kernel.list(List.of(kernel.constant(precision, 0.5, own, heads, headDim))));
        for (int length : new int[] {own, own, prefix, prefix}) {
          arguments.add(kernel.constant(precision, 0.5, keyValueHeads, length, headDim));
        }
        arguments.add(IValue.listFrom(plan.code()));
        try (IValue like = kernel.allocate(precision, 1);
            IValue limits = IValue.listFrom(plan.limits());
            IValue sharing = IValue.from((long) heads / keyValueHeads)) {
          arguments.add(kernel.call("hide", like, arguments.get(5), limits, sharing));
        }
      } catch (RuntimeException e) {
        close();
        throw e;
      }
    }

    void run() {
      kernel.call("attention", arguments.toArray(IValue[]::new)).close();
    }

    double seconds() {
      long start = System.nanoTime();
      run();
      return (System.nanoTime() - start) * 1e-9;
    }

    @Override
    public void close() {
      arguments.forEach(IValue::close);
    }
  }
}
