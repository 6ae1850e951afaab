package dev.whence.attribution.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

class Bm25Test {
  /** Okapi BM25 as it is defined: k1 = 1.2, b = 0.75, idf = log(1 + (N - n + .5) / (n + .5)). */
  @Test
  void scoresAreThoseOfTheDefinition() {
    List<String> sources = List.of("The cat, the CAT sat.", "A dog ran", "The bird");
    double[] scores = Bm25.scores(sources, "Where is the cat? The cat");
    double mean = (5 + 3 + 2) / 3.0;
    double the = Math.log(1 + (3 - 2 + .5) / (2 + .5));
    double cat = Math.log(1 + (3 - 1 + .5) / (1 + .5));
    double first = 1.2 * (.25 + .75 * 5 / mean);
    double third = 1.2 * (.25 + .75 * 2 / mean);
    assertThat(scores[0]).isCloseTo((the + cat) * 2 * 2.2 / (2 + first), within(1e-12));
    assertThat(scores[1]).isZero();
    assertThat(scores[2]).isCloseTo(the * 2.2 / (1 + third), within(1e-12));
  }

  @Test
  void withoutWordsNothingIsAskedAndNothingFound() {
    assertThat(Bm25.scores(List.of("...", "東京。"), "?!")).containsExactly(0, 0);
    assertThat(Bm25.scores(List.of(), "cat")).isEmpty();
  }
}
