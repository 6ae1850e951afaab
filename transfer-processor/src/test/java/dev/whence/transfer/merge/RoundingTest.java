package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.weights.ElementType;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class RoundingTest {
  @Test
  void aValueJustAboveATieIsRoundedUpWhereTheWayThroughFloatRoundsDown() {
    double justAbove = 1 + 0x1p-8 + 0x1p-40; // the tie between 1 and 1 + 2^-7, and a little more

    assertThat(Rounding.toBf16(justAbove)).isEqualTo(0x3f81);
    assertThat(Rounding.toBf16((float) justAbove)).isEqualTo(0x3f80);
  }

  @Test
  void tiesGoToTheEvenNeighbour() {
    assertThat(Rounding.toBf16(1 + 0x1p-8)).isEqualTo(0x3f80);
    assertThat(Rounding.toBf16(1 + 3 * 0x1p-8)).isEqualTo(0x3f82);
    assertThat(Rounding.toF16(1 + 0x1p-11)).isEqualTo(0x3c00);
    assertThat(Rounding.toF16(1 + 3 * 0x1p-11)).isEqualTo(0x3c02);
  }

  @Test
  void theLargestNumberIsKeptUntilHalfAUnitBeyondItAndInfiniteFromThere() {
    double unit = 0x1p120; // of bf16's largest binade
    double largest = 0x1p128 - unit;
    assertThat(Rounding.toBf16(Math.nextDown(largest + unit / 2))).isEqualTo(0x7f7f);
    assertThat(Rounding.toBf16(largest + unit / 2)).isEqualTo(0x7f80);
    assertThat(Rounding.toF16(Math.nextDown(65520.))).isEqualTo(0x7bff);
    assertThat(Rounding.toF16(65520)).isEqualTo(0x7c00);
  }

  @Test
  void zeroKeepsItsSignAndNanIsThePositiveQuietOne() {
    assertThat(Rounding.toBf16(-0.)).isEqualTo(0x8000);
    assertThat(Rounding.toF16(-0.)).isEqualTo(0x8000);
    double negativeWithPayload = Double.longBitsToDouble(0xfff8_0000_0000_0123L);
    assertThat(Rounding.toBf16(negativeWithPayload)).isEqualTo(0x7fc0);
    assertThat(Rounding.toF16(negativeWithPayload)).isEqualTo(0x7e00);
    assertThat(Rounding.toF32(negativeWithPayload)).isEqualTo(0x7fc0_0000);
  }

  @Property(tries = 3000)
  void isTheNearestNumberByExactDecimals(@ForAll("doubles") double value) {
    assertThat(Rounding.toBf16(value)).isEqualTo(NearestByDecimals.bits(ElementType.BF16, value));
    assertThat(Rounding.toF16(value)).isEqualTo(NearestByDecimals.bits(ElementType.F16, value));
    assertThat(Rounding.toF32(value)).isEqualTo(NearestByDecimals.bits(ElementType.F32, value));
  }

  /** All magnitudes, and those around which formats end, with and without a tie. */
  @Provide
  Arbitrary<Double> doubles() {
    Arbitrary<Integer> exponents =
        Arbitraries.oneOf(
            Arbitraries.integers().between(-1074, 1023),
            Arbitraries.integers().between(-152, -120),
            Arbitraries.integers().between(-27, -10),
            Arbitraries.integers().between(12, 17),
            Arbitraries.integers().between(124, 130));
    Arbitrary<Long> mantissas =
        Arbitraries.oneOf(
            Arbitraries.longs().between(0, (1L << 52) - 1),
            Arbitraries.integers().between(0, 255).map(k -> (long) k << 44),
            Arbitraries.integers().between(0, 255).map(k -> ((long) k << 44) + 1),
            Arbitraries.integers().between(0, 2047).map(k -> (long) k << 41),
            Arbitraries.integers().between(0, 2047).map(k -> Math.max(0, ((long) k << 41) - 1)));
    return net.jqwik.api.Combinators.combine(exponents, mantissas, Arbitraries.of(-1., 1.))
        .as((e, m, s) -> s * Math.scalb(1 + m * 0x1p-52, e));
  }
}
