package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import ai.djl.Device;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelConfig.Rotary;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DecoderErrorsTest {
  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");

  @Test
  void aSequencePastTheModelsPositionsIsUnsupportedWithTheSizes() {
    try (Decoder decoder = decoder(model(false), FP32)) {
      assertFails(Kind.UNSUPPORTED, () -> Sequence.run(decoder, new int[65], 1), "65", "64");
    }
  }

  @Test
  void aBranchPastTheModelsPositionsIsUnsupported() {
    try (Decoder decoder = decoder(model(false), FP32);
        Sequence trunk = Sequence.run(decoder, new int[10], 10)) {
      Branch far = new Branch(List.of(), new int[] {1, 2}, new int[] {3, 64}, 1);
      assertFails(Kind.UNSUPPORTED, () -> trunk.score(decoder, List.of(far)), "65", "64");
    }
  }

  @Test
  void positionsThatDependOnTheLengthRefuseShifts() {
    try (Decoder decoder = decoder(model(true), FP32);
        Sequence trunk = Sequence.run(decoder, new int[10], 10)) {
      Branch still = new Branch(List.of(new View(2, 9, 0)), new int[2], new int[] {9, 10}, 1);
      assertThat(trunk.score(decoder, List.of(still))).hasSize(1);
      Branch moved = new Branch(List.of(new View(2, 9, 1)), new int[2], new int[] {9, 10}, 1);
      assertFails(Kind.UNSUPPORTED, () -> trunk.score(decoder, List.of(moved)), "shifted");
    }
  }

  /**
   * Only token 1 has something in dimension 0, and only the first unit of the first MLP reads that
   * dimension: with it, and never without, 3e38 times what the unit gives overflows.
   */
  @Test
  void aResultThatIsNotFiniteIsTheRecordsFault() {
    RandomModel model = model(false);
    String layer = "model.layers.0.";
    for (int token = 0; token < 20; token++) {
      model.get("model.embed_tokens.weight")[token * 8] = 0;
    }
    for (int i = 0; i < 8; i++) {
      model.get("model.embed_tokens.weight")[8 + i] = i == 0 ? 1 : 0;
      model.get(layer + "self_attn.o_proj.weight")[i] = 0;
      model.get(layer + "mlp.gate_proj.weight")[i] = i == 0 ? 10 : 0;
      model.get(layer + "mlp.up_proj.weight")[i] = i == 0 ? 10 : 0;
    }
    model.get(layer + "post_attention_layernorm.weight")[0] = 1;
    model.get(layer + "mlp.down_proj.weight")[0] = 3e38f;
    try (Decoder decoder = decoder(model, FP32)) {
      int[] harmless = {2, 3, 4, 5, 6};
      Sequence.run(decoder, harmless, 1).close();
      int[] harmful = {1, 3, 4, 5, 6};
      assertFails(Kind.RECORD, () -> Sequence.run(decoder, harmful, 1), "finite");
      assertThat(decoder.memory().trunkBytes()).isZero();
      assertFails(
          Kind.RECORD,
          () -> GreedyDecoding.generate(decoder, new int[] {3, 4, 1}, 2, Set.of()),
          "finite");
      Sequence.run(decoder, harmless, 1).close();
    }
  }

  @Test
  void aWeightThatIsNotFiniteIsTheModelsFaultAndItsTensorIsNamed() {
    for (String name :
        List.of(
            "model.embed_tokens.weight",
            "model.norm.weight",
            "model.layers.1.self_attn.k_proj.weight",
            "model.layers.0.mlp.down_proj.weight")) {
      for (float value : new float[] {Float.NaN, Float.POSITIVE_INFINITY, -1 / 0f}) {
        for (boolean first : new boolean[] {true, false}) {
          RandomModel model = model(false);
          float[] tensor = model.get(name);
          tensor[first ? 0 : tensor.length - 1] = value;
          assertFails(Kind.MODEL, () -> decoder(model, FP32), name, "NaN");
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void everyPatternThatIsNotFiniteIsFoundAndNoOther(ElementType type) {
    int exponent = type == ElementType.F16 ? 0x7c00 : 0x7f80;
    Random random = new Random(5);
    for (int pattern = 0; pattern < 1 << 16; pattern++) {
      boolean finite = (pattern & exponent) != exponent;
      ByteBuffer buffer = ByteBuffer.allocate(28).order(ByteOrder.LITTLE_ENDIAN);
      int at = random.nextInt(28 / type.bytes());
      // its neighbours, all bits but one of the exponent, are finite
      for (int i = 0; i < 28 / type.bytes(); i++) {
        int bits = i == at ? pattern : 0xffff ^ 0x0400;
        if (type == ElementType.F32) {
          buffer.putInt(i == at ? bits << 16 : 0xff7fffff);
        } else {
          buffer.putShort((short) (type == ElementType.F16 || i == at ? bits : 0xff7f));
        }
      }
      assertThat(DecoderWeights.isFinite(buffer.flip(), type)).as("%x", pattern).isEqualTo(finite);
    }
  }

  @Test
  void memoryThatTheSystemDoesNotHaveIsTheFaultOfTheInputThatNeedsIt() {
    TorchRuntime.start(FP32);
    try (Kernel kernel = Kernel.load(KernelText.of("llama"), Device.cpu())) {
      // 2^52 bytes: the allocator says no at once
      assertFails(Kind.RECORD, () -> kernel.allocate(Precision.FP32, 1L << 50).close(), "memory");
    }
  }

  @Test
  void aTrunkPastTheMemoryBudgetIsUnsupportedAndWeightsPastItTheEnvironmentsFault() {
    // 64 tokens of 2 layers, keys and values of one head of 4 in fp32: 4,096 bytes
    long weights;
    try (Decoder decoder = decoder(model(false), FP32)) {
      weights = decoder.memory().weightBytes();
    }
    try (Decoder decoder = decoder(model(false), FP32.withMemoryBytes(weights + 4096))) {
      Sequence trunk = Sequence.run(decoder, new int[64], 1);
      assertThat(trunk.bytes()).isEqualTo(4096);
      assertFails(Kind.UNSUPPORTED, () -> Sequence.run(decoder, new int[1], 1), "memory budget");
      trunk.close();
      Sequence.run(decoder, new int[1], 1).close();
    }
    assertFails(Kind.ENVIRONMENT, () -> decoder(model(false), FP32.withMemoryBytes(1000)), "1000");
  }

  @Test
  void aTensorThatIsMissingOrMisshapenIsTheModelsFault() {
    RandomModel lacks = model(false);
    lacks.tensors().remove("model.layers.0.self_attn.o_proj.weight");
    assertFails(Kind.MODEL, () -> decoder(lacks, FP32), "o_proj");
  }

  @Test
  void aDeviceThatIsNotThereIsTheEnvironmentsFault() {
    assertFails(
        Kind.ENVIRONMENT, () -> decoder(model(false), FP32.withDevice("cuda:99")), "cuda:99");
  }

  @Test
  void tokensOutsideTheVocabularyAndViewsOutsideTheTrunkAreRefused() {
    try (Decoder decoder = decoder(model(false), FP32);
        Sequence trunk = Sequence.run(decoder, new int[10], 10)) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> Sequence.run(decoder, new int[] {1, 99}, 1));
      Branch wide = new Branch(List.of(new View(0, 11, 0)), new int[2], new int[] {11, 12}, 1);
      assertThatIllegalArgumentException().isThrownBy(() -> trunk.score(decoder, List.of(wide)));
    }
  }

  @Test
  void everyFailureOfAnAllocatorReadsAsMemory() {
    for (String message :
        List.of(
            "CUDA out of memory. Tried to allocate 2.00 GiB",
            "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate"
                + " memory: you tried to allocate 9 bytes",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "std::bad_alloc")) {
      EngineException e = Kernel.translate(new IllegalStateException(message));
      assertThat(e.kind()).isEqualTo(Kind.RECORD);
      assertThat(e).hasMessageContaining("memory");
      assertThat(Kernel.ranOutOfMemory(e)).isTrue();
      assertThat(e.isOutOfMemory()).isTrue();
    }
  }

  @Test
  void aLostCudaContextIsTheEnvironmentsFaultAndAsksForANewProcess() {
    for (String message :
        List.of(
            "CUDA error: an illegal memory access was encountered",
            "CUDA error: device-side assert triggered",
            "CUDA error: unspecified launch failure",
            "CUDA error: uncorrectable ECC error encountered",
            "CUDA error: misaligned address\nCUDA kernel errors might be asynchronously reported at"
                + " some other API call, so the stacktrace below might be incorrect.",
            "CUDA error: an illegal instruction was encountered",
            "CUDA error: the launch timed out and was terminated",
            "CUDA error: operation not supported on global/shared address space",
            "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa,"
                + " opb, m, n, k)`")) {
      EngineException e = Kernel.translate(new IllegalStateException(message));
      assertThat(e.kind()).isEqualTo(Kind.ENVIRONMENT);
      assertThat(e.isDeviceLost()).isTrue();
      assertThat(e).hasMessageContaining("restart the process");
      assertThat(Kernel.ranOutOfMemory(e)).isFalse();
    }
    EngineException other = Kernel.translate(new IllegalStateException("size mismatch"));
    assertThat(other.kind()).isEqualTo(Kind.ENVIRONMENT);
    assertThat(other.getMessage()).doesNotContain("restart");
    assertThat(other.isDeviceLost()).isFalse();
  }

  @Test
  void theEstimateIsTheFormulaOfTheWork() {
    RandomModel model = model(false);
    try (Decoder decoder = decoder(model, FP32)) {
      // T = 10, 3 scored: d = 8, q = 8, kv = 4, inner = 12, V = 20, 2 layers
      double projections = 8 * (8 + 2 * 4);
      double rest = 8 * 8 + 3 * 8 * 12;
      double linear = 2 * (10 * (projections + rest) + 10 * projections + 3 * rest);
      double attention = 4 * 8 * (10 * 11 / 2 + (7 + 8 + 9));
      double logits = 2 * 8 * 20 * 3;
      Work work = decoder.work(10, 3, List.of());
      assertThat(work.flops()).isEqualTo(linear + attention + logits);
      assertThat(work.tokens()).isEqualTo(10);
      assertThat(decoder.seconds(work)).isPositive();
      Sequence.run(decoder, new int[10], 7).close();
      assertThat(decoder.done()).isEqualTo(work);
    }
  }

  private static Decoder decoder(RandomModel model, EngineOptions options) {
    return Decoder.open(model.config(), model, options);
  }

  private static RandomModel model(boolean lengthDependent) {
    return RandomModel.llama(
        RandomModel.plainLlama(
            20, 8, 2, 2, 1, 4, 12, new Rotary(4, List.of(1.0, 0.1), 1, lengthDependent), 64, true),
        7);
  }

  private static void assertFails(Kind kind, ThrowingCallable call, String... parts) {
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(call)
        .satisfies(e -> assertThat(e.kind()).isEqualTo(kind))
        .withMessageContainingAll(parts);
  }
}
