package dev.whence.attribution.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class ContextCiteLogitTest {
  /** Of a statement that is certain under all masks, rounding decides on which side of 1 p is. */
  @Test
  void whatIsCertainDiffersByNoMoreThanRounding() {
    for (int tokens : new int[] {0, 1, 40}) {
      double certain = ContextCite.logit(0, tokens);
      assertThat(ContextCite.logit(1e-6, tokens)).isEqualTo(certain);
      assertThat(ContextCite.logit(-1e-6, tokens)).isEqualTo(certain);
      assertThat(certain).isBetween(5.0, 12.0);
    }
    double p = Math.exp(-1e-3);
    assertThat(ContextCite.logit(-1e-3, 1)).isCloseTo(Math.log(p / (1 - p)), within(1e-9));
  }
}
