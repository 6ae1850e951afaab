package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import dev.whence.engine.weights.ElementType;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MergeKernelTest {
  private static final double[] LAMBDAS = {1, .7, 0, -.5, 1.3};

  @Property(tries = 12)
  void everyOutputBitIsTheOracles(
      @ForAll ElementType t, @ForAll ElementType b, @ForAll ElementType f, @ForAll long seed)
      throws Exception {
    Random random = new Random(seed);
    int n = 2048 + random.nextInt(99); // more than a block, and not a multiple of it
    int[] target = weights(t, n, random);
    int[] base = weights(b, n, random);
    int[] fineTuned = weights(f, n, random);
    for (int i = 0; i < n; i += 3) {
      if (t == b) {
        base[i] = target[i]; // where the identity holds
      }
    }

    ByteBuffer[] outputs =
        merge(LAMBDAS, Policies.NonFinite.PROPAGATE, t, target, b, base, f, fineTuned);

    for (int k = 0; k < LAMBDAS.length; k++) {
      for (int i = 0; i < n; i++) {
        double tv = NearestByDecimals.value(t, target[i]);
        double bv = NearestByDecimals.value(b, base[i]);
        double fv = NearestByDecimals.value(f, fineTuned[i]);
        boolean same = Double.doubleToRawLongBits(tv) == Double.doubleToRawLongBits(bv);
        double exact =
            LAMBDAS[k] == 0 ? tv : LAMBDAS[k] == 1 && same ? fv : tv + LAMBDAS[k] * (fv - bv);
        if (bits(t, outputs[k], i) != NearestByDecimals.bits(t, exact)) {
          fail(
              "lambda %s, element %d: %s + lambda (%s - %s) became %x",
              LAMBDAS[k], i, tv, fv, bv, bits(t, outputs[k], i));
        }
      }
    }
  }

  /** The fast way: one lambda of 1, all three bf16. */
  @Property(tries = 40)
  void bf16WithALambdaOfOneIsTheOraclesInEveryBit(@ForAll long seed) throws Exception {
    ElementType bf16 = ElementType.BF16;
    Random random = new Random(seed);
    int n = 2 * Bf16Kernel.BLOCK + random.nextInt(99);
    int[] target = weights(bf16, n, random);
    int[] base = weights(bf16, n, random);
    int[] fineTuned = weights(bf16, n, random);
    for (int i = 0; i < n; i += 3) {
      base[i] = target[i];
    }
    for (int i = 1; i < n; i += 3) {
      // Magnitudes from 2^-40 to 2^8 beside each other: some sums are exact in float, some not.
      base[i] =
          NearestByDecimals.bits(bf16, Math.scalb(random.nextGaussian(), -random.nextInt(40)));
      fineTuned[i] =
          NearestByDecimals.bits(bf16, Math.scalb(random.nextGaussian(), 8 - random.nextInt(40)));
    }

    ByteBuffer merged =
        merge(
            new double[] {1},
            Policies.NonFinite.PROPAGATE,
            bf16,
            target,
            bf16,
            base,
            bf16,
            fineTuned)[0];

    for (int i = 0; i < n; i++) {
      double tv = NearestByDecimals.value(bf16, target[i]);
      double bv = NearestByDecimals.value(bf16, base[i]);
      double fv = NearestByDecimals.value(bf16, fineTuned[i]);
      double exact = target[i] == base[i] ? fv : tv + (fv - bv);
      if (bits(bf16, merged, i) != NearestByDecimals.bits(bf16, exact)) {
        fail("element %d: %s + (%s - %s) became %x", i, tv, fv, bv, bits(bf16, merged, i));
      }
    }
  }

  /** What is not finite is refused by the fast way as by the other, at its place. */
  @Test
  void bf16WithALambdaOfOneRefusesWhatIsNotFinite() {
    ElementType bf16 = ElementType.BF16;
    int n = Bf16Kernel.BLOCK + 3;
    for (int at : new int[] {0, 1, Bf16Kernel.BLOCK - 1, Bf16Kernel.BLOCK, n - 1}) {
      for (int role = 0; role < 3; role++) {
        int[][] values = new int[3][n];
        values[1][at] = 1; // another base than the target, so that there is something to add
        values[role][at] = NearestByDecimals.infinity(bf16);
        assertThatThrownBy(
                () ->
                    merge(
                        new double[] {1},
                        Policies.NonFinite.FAIL,
                        bf16,
                        values[0],
                        bf16,
                        values[1],
                        bf16,
                        values[2]))
            .as("element %d of role %d", at, role)
            .isInstanceOfSatisfying(
                MergeKernel.NonFiniteException.class, e -> assertThat(e.element()).isEqualTo(at));
      }
    }
  }

  @Test
  void bf16WithALambdaOfOneRefusesASumThatOnlyRoundingMakesInfinite() {
    ElementType bf16 = ElementType.BF16;
    int largest = NearestByDecimals.infinity(bf16) - 1; // its last digit is 2^120
    for (int at : new int[] {0, 1, Bf16Kernel.BLOCK - 2, Bf16Kernel.BLOCK - 1}) {
      int[] target = new int[Bf16Kernel.BLOCK];
      int[] fineTuned = new int[Bf16Kernel.BLOCK];
      target[at] = largest;
      fineTuned[at] = NearestByDecimals.bits(bf16, 0x1p119);
      assertThatThrownBy(
              () ->
                  merge(
                      new double[] {1},
                      Policies.NonFinite.FAIL,
                      bf16,
                      target,
                      bf16,
                      new int[Bf16Kernel.BLOCK],
                      bf16,
                      fineTuned))
          .hasMessageContaining("beyond the range of BF16")
          .isInstanceOfSatisfying(
              MergeKernel.NonFiniteException.class, e -> assertThat(e.element()).isEqualTo(at));
    }
  }

  /** Numbers as weights have them, and the far ends of the format now and then. */
  private static int[] weights(ElementType type, int n, Random random) {
    int[] bits = new int[n];
    for (int i = 0; i < n; i++) {
      switch (random.nextInt(10)) {
        case 0 -> bits[i] = random.nextBoolean() ? 0 : NearestByDecimals.sign(type); // zeros
        case 1 -> { // any finite number
          int magnitude = random.nextInt(NearestByDecimals.infinity(type));
          bits[i] = random.nextBoolean() ? magnitude : magnitude | NearestByDecimals.sign(type);
        }
        default -> bits[i] = NearestByDecimals.bits(type, random.nextGaussian() * .02);
      }
    }
    return bits;
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void whereTargetAndBaseAreTheSameTheResultIsTheFineTunedModelBitForBit(ElementType type)
      throws Exception {
    int infinity = NearestByDecimals.infinity(type);
    int sign = NearestByDecimals.sign(type);
    int signalling = infinity | 1;
    int[] fineTuned = {
      sign, 0, 1, sign | 1, infinity - 1, infinity, infinity | sign, signalling, infinity | 5 | sign
    };
    int[] both = {1, sign, infinity - 1, infinity - 1, 1, 0, 3, infinity, signalling};

    ByteBuffer merged =
        merge(
            new double[] {1},
            Policies.NonFinite.PROPAGATE,
            type,
            both,
            type,
            both,
            type,
            fineTuned)[0];

    for (int i = 0; i < fineTuned.length; i++) {
      assertThat(bits(type, merged, i)).as("element %d", i).isEqualTo(fineTuned[i]);
    }
  }

  @Test
  void farMagnitudesDoNotSwallowTheFineTunedValue() throws Exception {
    // In double, 2^100 + (1 - 2^100) is 0.
    int big = NearestByDecimals.bits(ElementType.F32, 0x1p100);
    int one = NearestByDecimals.bits(ElementType.F32, 1);
    ElementType f32 = ElementType.F32;
    ByteBuffer merged =
        merge(
            new double[] {1},
            Policies.NonFinite.FAIL,
            f32,
            new int[] {big},
            f32,
            new int[] {big},
            f32,
            new int[] {one})[0];
    assertThat(bits(f32, merged, 0)).isEqualTo(one);
  }

  @Test
  void aNanThatArithmeticMakesIsThePositiveQuietOne() throws Exception {
    ElementType type = ElementType.BF16;
    int[] infinite = {0x7f80};
    ByteBuffer merged =
        merge(
            new double[] {.5},
            Policies.NonFinite.PROPAGATE,
            type,
            new int[] {0x3f80},
            type,
            infinite,
            type,
            infinite)[0];
    assertThat(bits(type, merged, 0)).isEqualTo(0x7fc0);
  }

  @Test
  void whatIsNotFiniteIsRefusedWithTheElementAndTheModel() {
    ElementType type = ElementType.BF16;
    int[] fine = new int[3000];
    int[] bad = new int[3000];
    bad[2500] = 0x7fc0;
    for (double lambda : new double[] {1, .5, 0}) {
      double[] one = {lambda};
      for (List<int[]> models :
          List.of(List.of(bad, fine, fine), List.of(fine, bad, fine), List.of(fine, fine, bad))) {
        assertThatThrownBy(
                () ->
                    merge(
                        one,
                        Policies.NonFinite.FAIL,
                        type,
                        models.get(0),
                        type,
                        models.get(1),
                        type,
                        models.get(2)))
            .isInstanceOfSatisfying(
                MergeKernel.NonFiniteException.class, e -> assertThat(e.element()).isEqualTo(2500))
            .hasMessageContaining("NaN");
      }
    }
  }

  @Test
  void aResultBeyondTheTargetsRangeIsRefused() {
    int large = NearestByDecimals.bits(ElementType.F32, 70000);
    assertThatThrownBy(
            () ->
                merge(
                    new double[] {1},
                    Policies.NonFinite.FAIL,
                    ElementType.F16,
                    new int[] {0x3c00},
                    ElementType.F32,
                    new int[] {0},
                    ElementType.F32,
                    new int[] {large}))
        .hasMessageContaining("beyond the range of F16");
  }

  private static ByteBuffer[] merge(
      double[] lambdas,
      Policies.NonFinite nonFinite,
      ElementType t,
      int[] target,
      ElementType b,
      int[] base,
      ElementType f,
      int[] fineTuned)
      throws MergeKernel.NonFiniteException {
    ByteBuffer[] outputs = new ByteBuffer[lambdas.length];
    for (int k = 0; k < outputs.length; k++) {
      outputs[k] =
          ByteBuffer.allocateDirect(target.length * t.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    }
    new MergeKernel(lambdas, nonFinite)
        .merge(
            new MergeKernel.Input(t, buffer(t, target)),
            new MergeKernel.Input(b, buffer(b, base)),
            new MergeKernel.Input(f, buffer(f, fineTuned)),
            target.length,
            outputs);
    return outputs;
  }

  private static ByteBuffer buffer(ElementType type, int[] bits) {
    ByteBuffer buffer =
        ByteBuffer.allocateDirect(bits.length * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (int value : bits) {
      if (type == ElementType.F32) {
        buffer.putInt(value);
      } else {
        buffer.putShort((short) value);
      }
    }
    return buffer.flip();
  }

  private static int bits(ElementType type, ByteBuffer buffer, int element) {
    return type == ElementType.F32
        ? buffer.getInt(element * Integer.BYTES)
        : buffer.getShort(element * Short.BYTES) & 0xffff;
  }
}
