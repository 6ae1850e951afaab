package dev.whence.attribution;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.Statement;
import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Compares what a response cites with what drove it. A citation stands on the sources of its
 * segment and the statements that its span touches, or on the one before where it touches none:
 * their tau should add up to more than the noise of these statements. Of a segment that was not
 * read in full, since the prompt is past the model's window, nothing can be said. Citing is a claim
 * of the answer, tau is a measurement; a supported answer may still cite the wrong document, and
 * one of two documents that say the same has no tau of its own.
 *
 * <p>Where the record declares no citation, those of {@link CitationMarks} are checked, and the
 * result says so.
 */
final class CitationCheck {
  private CitationCheck() {}

  /**
   * @param cut segments of which sources were left out
   * @param tokens of each statement
   * @param matrix tau[source][statement], nats
   */
  static Set<AttributionNote> of(
      Conversation conversation,
      List<SourceScore> sources,
      Set<String> cut,
      List<Statement> statements,
      int[] tokens,
      List<List<Double>> matrix,
      NoiseFloor noise) {
    Set<AttributionNote> notes = EnumSet.noneOf(AttributionNote.class);
    List<Citation> citations = conversation.citations();
    if (citations.isEmpty()) {
      citations = CitationMarks.in(conversation);
      if (citations.isEmpty()) {
        return notes;
      }
      notes.add(AttributionNote.CITATIONS_DERIVED);
    }
    Map<String, double[]> upTo = upTo(sources, statements.size(), matrix);
    int[] tokensUpTo = new int[statements.size() + 1];
    for (int j = 0; j < statements.size(); j++) {
      tokensUpTo[j + 1] = tokensUpTo[j] + tokens[j];
    }
    for (Citation citation : citations) {
      if (cut.contains(citation.segment())) {
        continue;
      }
      double[] ofSegment = upTo.get(citation.segment());
      if (ofSegment == null) {
        notes.add(AttributionNote.CITATION_WITHOUT_SOURCE);
        continue;
      }
      Span cited = citation.span();
      int from = first(statements, statement -> statement.end() > cited.start());
      int beyond = Math.max(cited.end(), cited.start() + 1);
      int to = first(statements, statement -> statement.start() >= beyond);
      if (from == to) { // between statements, or behind the last one: it speaks of the one before
        from = Math.max(0, to - 1);
        to = Math.min(from + 1, statements.size());
      }
      if (ofSegment[to] - ofSegment[from] <= noise.nats(tokensUpTo[to] - tokensUpTo[from])) {
        notes.add(AttributionNote.CITATION_NOT_SUPPORTED);
      }
    }
    return notes;
  }

  /**
   * For each segment the tau of all its sources on all statements before the j-th, so that a
   * citation costs two look-ups: a record may hold as many citations as sources.
   */
  private static Map<String, double[]> upTo(
      List<SourceScore> sources, int statements, List<List<Double>> matrix) {
    Map<String, double[]> upTo = new HashMap<>();
    for (int i = 0; i < sources.size(); i++) {
      double[] sums =
          upTo.computeIfAbsent(sources.get(i).segment(), segment -> new double[statements + 1]);
      List<Double> row = matrix.get(i);
      double before = 0;
      for (int j = 0; j < statements; j++) {
        before += row.get(j);
        sums[j + 1] += before;
      }
    }
    return upTo;
  }

  /** The first statement that something is true of, which is true of all after it, too. */
  private static int first(List<Statement> statements, Predicate<Span> fromHere) {
    int low = 0;
    int high = statements.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (fromHere.test(statements.get(middle).span())) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }
}
