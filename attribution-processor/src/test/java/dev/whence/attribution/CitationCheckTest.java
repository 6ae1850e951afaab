package dev.whence.attribution;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.Statement;
import dev.whence.attribution.source.Partitioner;
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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CitationCheckTest {
  private static final String RESPONSE = "One. Two. Three. Four.";
  private static final List<Statement> STATEMENTS =
      List.of(
          new Statement(new Span(0, 5), -1),
          new Statement(new Span(5, 10), -1),
          new Statement(new Span(10, 17), -1),
          new Statement(new Span(17, 22), -1));

  private static final int[] TOKENS = {4, 4, 2, 1};

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
    return check(citations, sources, Set.of(), matrix);
  }

  private static Set<AttributionNote> check(
      List<Citation> citations,
      List<SourceScore> sources,
      Set<String> cut,
      List<List<Double>> matrix) {
    return CitationCheck.of(
        citing(citations), sources, cut, STATEMENTS, TOKENS, matrix, new NoiseFloor(0.25));
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
    for (Span not : List.of(new Span(0, 5), new Span(10, 22), new Span(12, 12))) {
      assertThat(check(List.of(new Citation("d", not)), sources, matrix))
          .containsExactly(AttributionNote.CITATION_NOT_SUPPORTED);
    }
  }

  @Test
  void aCitationThatTouchesNoStatementSpeaksOfTheOneBeforeIt() {
    String response = " One.\n\n\nTwo. Three.";
    List<Statement> statements =
        new Partitioner()
            .sentences(response).stream().map(span -> new Statement(span, -1)).toList();
    assertThat(statements)
        .extracting(statement -> statement.span().in(response))
        .containsExactly("One.", "Two. ", "Three.");
    int end = response.length();
    Span before = new Span(0, 0);
    Span gap = new Span(6, 6);
    Span wideGap = new Span(5, 8);
    Span atTheEnd = new Span(end, end);
    int[] supports = {0, 0, 0, 2};
    List<Span> cited = List.of(before, gap, wideGap, atTheEnd);
    for (int i = 0; i < supports.length; i++) {
      for (int driven = 0; driven < statements.size(); driven++) {
        Double[] row = {0.0, 0.0, 0.0};
        row[driven] = 4.0;
        Set<AttributionNote> notes =
            CitationCheck.of(
                Conversations.of(
                    "acme/toy",
                    response,
                    "stop",
                    List.of(new Citation("d", cited.get(i))),
                    Conversations.document("d", "x")),
                List.of(source("d")),
                Set.of(),
                statements,
                new int[] {4, 4, 2},
                List.of(List.of(row)),
                new NoiseFloor(0.25));
        assertThat(notes.isEmpty())
            .as("%s on %d", cited.get(i), driven)
            .isEqualTo(driven == supports[i]);
      }
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

  @Test
  void aStatementIsHeldAgainstItsOwnNoiseNotThatOfTheWholeResponse() {
    // .25 nats per root token: .5 for the four tokens of the first, .35 for the two of the third.
    List<List<Double>> matrix = List.of(List.of(0.4, 0.0, 0.4, 0.0));
    List<SourceScore> sources = List.of(source("d"));
    assertThat(check(List.of(new Citation("d", new Span(12, 13))), sources, matrix)).isEmpty();
    assertThat(check(List.of(new Citation("d", new Span(1, 2))), sources, matrix))
        .containsExactly(AttributionNote.CITATION_NOT_SUPPORTED);
  }

  @Test
  void ofASegmentThatWasNotReadInFullNothingIsSaid() {
    List<List<Double>> matrix = List.of(List.of(0.0, 0.0, 0.0, 0.0));
    List<Citation> citations =
        List.of(new Citation("d", new Span(0, 4)), new Citation("gone", new Span(0, 4)));
    assertThat(check(citations, List.of(source("d")), Set.of("d", "gone"), matrix)).isEmpty();
    assertThat(check(citations, List.of(source("d")), matrix))
        .containsExactlyInAnyOrder(
            AttributionNote.CITATION_NOT_SUPPORTED, AttributionNote.CITATION_WITHOUT_SOURCE);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Leland was born in Ohio. [1] He died in Texas. [2] He was 90.",
        "- Leland was born in Ohio. [1]\n- He died in Texas. [2]\nThat is all.",
        "[1] Leland was born in Ohio. [2] He died in Texas.",
        "Leland was born in Ohio [1]. He died in Texas.[2] He was 90.",
      })
  void marksAreHeldAgainstTheStatementThatTheySpeakOf(String response) {
    Conversation conversation =
        Conversations.of(
            response, "stop", Conversations.document("x", "a"), Conversations.document("y", "b"));
    List<Span> statements = new Partitioner().sentences(response);
    for (boolean right : new boolean[] {true, false}) {
      List<List<Double>> matrix =
          List.of(
              row(statements, response, right ? "Ohio" : "Texas"),
              row(statements, response, right ? "Texas" : "Ohio"));
      Set<AttributionNote> notes =
          CitationCheck.of(
              conversation,
              List.of(source("x"), source("y")),
              Set.of(),
              statements.stream().map(span -> new Statement(span, -1)).toList(),
              statements.stream().mapToInt(span -> 5).toArray(),
              matrix,
              new NoiseFloor(0.1));
      assertThat(notes.contains(AttributionNote.CITATION_NOT_SUPPORTED)).isEqualTo(!right);
    }
  }

  /** Four nats for the statement with a word in it. */
  private static List<Double> row(List<Span> statements, String response, String word) {
    return statements.stream()
        .map(statement -> statement.in(response).contains(word) ? 4.0 : 0.0)
        .toList();
  }
}
