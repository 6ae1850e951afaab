package dev.whence.attribution;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.Statement;
import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Compares what a response cites with what drove it. A citation stands on the sources of its
 * segment and the statements that its span touches: their tau should add up to more than noise.
 * Citing is a claim of the answer, tau is a measurement; a supported answer may still cite the
 * wrong document, and one of two documents that say the same has no tau of its own.
 */
final class CitationCheck {
  private CitationCheck() {}

  static Set<AttributionNote> of(
      Conversation conversation,
      List<SourceScore> sources,
      List<Statement> statements,
      List<List<Double>> matrix,
      double noiseFloor) {
    Set<AttributionNote> notes = EnumSet.noneOf(AttributionNote.class);
    for (Citation citation : conversation.citations()) {
      boolean found = false;
      double support = 0;
      for (int i = 0; i < sources.size(); i++) {
        if (sources.get(i).segment().equals(citation.segment())) {
          found = true;
          support += support(matrix.get(i), statements, citation.span());
        }
      }
      if (!found) {
        notes.add(AttributionNote.CITATION_WITHOUT_SOURCE);
      } else if (support <= noiseFloor) {
        notes.add(AttributionNote.CITATION_NOT_SUPPORTED);
      }
    }
    return notes;
  }

  private static double support(List<Double> row, List<Statement> statements, Span cited) {
    double support = 0;
    for (int j = 0; j < statements.size(); j++) {
      Span statement = statements.get(j).span();
      if (statement.overlaps(cited) || statement.contains(cited.start())) {
        support += row.get(j);
      }
    }
    return support;
  }
}
