package dev.whence.attribution.confidence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TopSourcesTest {
  @ParameterizedTest(name = "fast {0}, target {1}: {2}")
  @CsvSource({
    "5 .1 0 0, 7 .3 0 0, true", // k = 1
    "5 .1 0 0, .3 7 0 0, false",
    ".9 .1 0 0, 7 .3 0 0, true", // the fast path's own threshold does not count where k > 0
    "5 4 0 0, 7 .3 0 0, true", // what else it holds for important does not, either
    "4 5 0 0, 7 3 0 0, true", // a set has no order
    "5 4 3 2, 7 6 0 5, false", // k = 3
    "5 4 2 3, 9 8 1.1 7, true", // of four relevant ones the first three
    ".9 .8 0 0, .3 .2 0 0, true", // k = 0
    "1.1 .8 0 0, .3 .2 0 0, false",
    "-9 .8 0 0, -3 .2 0 0, true", // what spoke against the answer did not drive it
  })
  void theTopSourcesOfBothAreComparedAsSets(String fast, String target, boolean agree) {
    assertThat(TopSources.agree(taus(fast), taus(target))).isEqualTo(agree);
  }

  @Test
  void scoresOfOtherSourcesCanNotBeCompared() {
    assertThatThrownBy(() -> TopSources.agree(taus("1 2"), taus("1 2 3")))
        .hasMessage("2 sources of the fast path, 3 of the target");
  }

  private static double[] taus(String text) {
    return java.util.Arrays.stream(text.split(" ")).mapToDouble(Double::parseDouble).toArray();
  }
}
