package dev.whence.attribution;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.Statement;
import dev.whence.attribution.toy.Conversations;
import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class CitationCheckTest {
  private static final String RESPONSE = "One. Two. Three. Four.";
  private static final List<Statement> STATEMENTS =
      List.of(
          new Statement(new Span(0, 5), -1),
          new Statement(new Span(5, 10), -1),
          new Statement(new Span(10, 17), -1),
          new Statement(new Span(17, 22), -1));

  private static SourceScore source(String segment) {
    return new SourceScore(
        segment, new Span(0, 1), "x", 0, true, "exact-loo", "m", SourceScore.FULL);
  }

  private static Conversation citing(List<Citation> citations) {
    return Conversations.of(
        "acme/toy", RESPONSE, "stop", citations, Conversations.document("d", "x"));
  }

  private static Set<AttributionNote> check(
      List<Citation> citations, List<SourceScore> sources, List<List<Double>> matrix) {
    return CitationCheck.of(citing(citations), sources, STATEMENTS, matrix, 0.5);
  }

  @Test
  void aCitationStandsOnTheSourcesOfItsSegmentAndTheStatementsThatItsSpanTouches() {
    List<SourceScore> sources = List.of(source("d"), source("e"), source("d"));
    List<List<Double>> matrix =
        List.of(
            List.of(0.0, 0.3, 0.3, 0.0), List.of(9.0, 9.0, 9.0, 9.0), List.of(0.0, 0.3, 0., 0.));
    for (Span supported :
        List.of(new Span(5, 10), new Span(6, 6), new Span(9, 11), new Span(0, 22))) {
      assertThat(check(List.of(new Citation("d", supported)), sources, matrix)).isEmpty();
    }
    for (Span not : List.of(new Span(0, 5), new Span(10, 22), new Span(12, 12), new Span(22, 22))) {
      assertThat(check(List.of(new Citation("d", not)), sources, matrix))
          .containsExactly(AttributionNote.CITATION_NOT_SUPPORTED);
    }
  }

  @Test
  void halfAMillionCitationsOfManySourcesAreCheckedInOneReading() {
    int sources = 20_000;
    List<Citation> citations =
        new ArrayList<>(Collections.nCopies(500_000, new Citation("d", new Span(6, 8))));
    citations.add(new Citation("e", new Span(6, 8)));
    Set<AttributionNote> notes =
        assertTimeoutPreemptively(
            Duration.ofSeconds(60),
            () ->
                check(
                    citations,
                    Collections.nCopies(sources, source("d")),
                    Collections.nCopies(sources, List.of(0.0, 1.0, 0.0, 0.0))));
    assertThat(notes).containsExactly(AttributionNote.CITATION_WITHOUT_SOURCE);
  }
}
