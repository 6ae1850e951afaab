package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.pytorch.jni.IValue;
import dev.whence.engine.EngineOptions;
import java.util.concurrent.TimeUnit;
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
      x = kernel.constant(Precision.valueOf(dtype), 0.5, Long.parseLong(sizes[0]), in);
      weight = kernel.constant(Precision.valueOf(dtype), 0.5, Long.parseLong(sizes[2]), in);
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
    private AttentionForm.Trial trial;

    @SuppressWarnings("NullAway.Init") // JMH calls setup
    public Attention() {}

    @Setup
    public void setup() {
      String[] sizes = branch.split(",", -1);
      kernel = kernel();
      trial =
          new AttentionForm.Trial(
              kernel,
              HEADS,
              KEY_HEADS,
              WIDTH,
              Precision.valueOf(dtype),
              AttentionForm.valueOf(form),
              Integer.parseInt(sizes[0]),
              Integer.parseInt(sizes[1]));
    }

    @TearDown
    public void tearDown() {
      trial.close();
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
    of.trial.run();
  }
}
