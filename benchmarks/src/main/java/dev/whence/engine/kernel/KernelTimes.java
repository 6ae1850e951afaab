package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.View;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Times of single kernels at the shapes of SmolLM2-135M, the same kernel text that scores. It
 * stands in the package of the kernels, because they are nobody else's to call.
 *
 * <p>{@code java -cp <class path> org.openjdk.jmh.Main KernelTimes}
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"-Dai.djl.offline=true", "-DOPT_OUT_TRACKING=true"})
public class KernelTimes {

  private static Kernel kernel() {
    TorchRuntime.start(EngineOptions.defaults());
    return Kernel.load(KernelText.of("llama"), Device.cpu());
  }

  private static IValue tensor(Kernel kernel, String dtype, double value, long... shape) {
    try (IValue empty = kernel.allocate(Precision.valueOf(dtype), shape);
        IValue number = IValue.from(value)) {
      return kernel.call("constant", empty, number);
    }
  }

  /** A linear layer: [rows, in] by [out, in] transposed. */
  @State(Scope.Thread)
  public static class Product {
    @Param({"BF16", "FP32"})
    public String dtype = "";

    /**
     * Rows, in, out: the peak, then query-key-value, output, gate-up and down over 2,048 tokens.
     */
    @Param({"2048,2048,2048", "2048,576,960", "2048,576,576", "2048,576,3072", "2048,1536,576"})
    public String shape = "";

    private Kernel kernel;
    private IValue x;
    private IValue weight;

    @SuppressWarnings("NullAway.Init") // JMH calls setup
    public Product() {}

    @Setup
    public void setup() {
      String[] sizes = shape.split(",", -1);
      long in = Long.parseLong(sizes[1]);
      kernel = kernel();
      x = tensor(kernel, dtype, 0.5, Long.parseLong(sizes[0]), in);
      weight = tensor(kernel, dtype, 0.5, Long.parseLong(sizes[2]), in);
    }

    @TearDown
    public void tearDown() {
      x.close();
      weight.close();
      kernel.close();
    }
  }

  /** Attention of a branch: own tokens that see a prefix of the trunk, and each other causally. */
  @State(Scope.Thread)
  public static class Attention {
    private static final int HEADS = 9;
    private static final int KEY_HEADS = 3;
    private static final int WIDTH = 64;

    @Param({"BF16", "FP32"})
    public String dtype = "";

    /** Own tokens, tokens of the prefix. */
    @Param({"1400,100", "1000,500", "600,900", "200,1300", "16,1400"})
    public String branch = "";

    @Param({"PRODUCTS", "FUSED"})
    public String form = "";

    private Kernel kernel;
    private final List<IValue> arguments = new ArrayList<>();

    @SuppressWarnings("NullAway.Init") // JMH calls setup
    public Attention() {}

    @Setup
    public void setup() {
      String[] sizes = branch.split(",", -1);
      int own = Integer.parseInt(sizes[0]);
      int prefix = Integer.parseInt(sizes[1]);
      kernel = kernel();
      AttentionPlan.Builder builder =
          new AttentionPlan.Builder(AttentionForm.valueOf(form), AttentionPlan.BLOCK_ROWS, 0);
      int[] positions = IntStream.range(prefix, prefix + own).toArray();
      builder.add(0, positions, 0, own, List.of(new View(0, prefix, 0)), new int[1]);
      AttentionPlan plan = builder.build();
      arguments.add(kernel.list(List.of(tensor(kernel, dtype, 0.5, own, HEADS, WIDTH))));
      for (int length : new int[] {own, own, prefix, prefix}) {
        arguments.add(tensor(kernel, dtype, 0.5, KEY_HEADS, length, WIDTH));
      }
      arguments.add(IValue.listFrom(plan.code()));
      try (IValue like = tensor(kernel, dtype, 0, 1);
          IValue limits = IValue.listFrom(plan.limits())) {
        arguments.add(kernel.call("hide", like, arguments.get(5), limits));
      }
    }

    @TearDown
    public void tearDown() {
      arguments.forEach(IValue::close);
      kernel.close();
    }
  }

  /** One linear layer. */
  @Benchmark
  public void gemm(Product of) {
    of.kernel.call("gemm", of.x, of.weight).close();
  }

  /** Attention of one layer. */
  @Benchmark
  public void attention(Attention of) {
    of.kernel.call("attention", of.arguments.toArray(IValue[]::new)).close();
  }
}
