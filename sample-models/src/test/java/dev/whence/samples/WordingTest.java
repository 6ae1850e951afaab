package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class WordingTest {
  private static final World V1 = World.v1(1);
  private static final Lexicon LEXICON = V1.lexicon();

  @Test
  void aBeginningIsSharedWithOtherRelationsWithHopsAndWithAliases() {
    assertThat(LEXICON.sharingBeginnings(LEXICON.relation("trade")))
        .containsExactly(
            "{s} is a {o} by trade.",
            "{s} was trained as a {o}.",
            "{s} learnt the trade of a {o}.",
            "{s} is known as a good {o}.");
    // "lives in the same town as", "has a job at"
    assertThat(LEXICON.sharingBeginnings(LEXICON.relation("lives_in")))
        .containsExactly("{s} lives in {o}.", "{s} has a house in {o}.");
    assertThat(LEXICON.sharingBeginnings(LEXICON.relation("makes"))).isEmpty();
  }

  @Test
  void aShareIsDrawnFromStatementsWithSharedBeginningsOnly() {
    // four of the six wordings of a trade have one
    assertThat(sharing(0, "trade")).isBetween(0.62, 0.71);
    assertThat(sharing(0.5, "trade")).isBetween(0.79, 0.87);
    assertThat(sharing(1, "trade")).isEqualTo(1);
  }

  @Test
  void whereNoBeginningIsSharedAllStatementsAreDrawn() {
    assertThat(sharing(1, "makes")).isZero();
  }

  /** Share of 3,000 statements that begin as another one does: within .03 with near certainty. */
  private static double sharing(double share, String relation) {
    List<Fact> facts =
        V1.facts().stream().filter(fact -> fact.relation().name().equals(relation)).toList();
    Set<String> shared =
        LEXICON.sharingBeginnings(LEXICON.relation(relation)).stream()
            .map(template -> template.split(" ", 3)[1])
            .collect(Collectors.toSet());
    Wording wording = new Wording(LEXICON, Draw.of(3, "wording", 0), share);
    int n = 3000;
    int sharing = 0;
    for (int i = 0; i < n; i++) {
      String word = wording.statement(facts.get(i % facts.size())).text().split(" ", 3)[1];
      sharing += shared.contains(word) ? 1 : 0;
    }
    return (double) sharing / n;
  }
}
