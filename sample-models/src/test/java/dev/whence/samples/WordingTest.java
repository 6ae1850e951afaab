package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
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
  void statementsHaveSharedBeginningsInTheirShare() {
    assertThat(firstWords(0, "trade")).contains("earns", "follows", "learnt", "is", "was");
    assertThat(firstWords(0.5, "trade")).contains("earns", "follows", "learnt", "is", "was");
    assertThat(firstWords(1, "trade")).containsOnly("learnt", "is", "was");
    assertThat(firstWords(1, "makes")).contains("makes", "produces", "sells");
  }

  private static Set<String> firstWords(double share, String relation) {
    List<Fact> facts =
        V1.facts().stream().filter(fact -> fact.relation().name().equals(relation)).toList();
    Wording wording = new Wording(LEXICON, Draw.of(3, "wording", 0), share);
    Set<String> words = new HashSet<>();
    for (int i = 0; i < 300; i++) {
      words.add(wording.statement(facts.get(i % facts.size())).text().split(" ", 3)[1]);
    }
    return words;
  }
}
