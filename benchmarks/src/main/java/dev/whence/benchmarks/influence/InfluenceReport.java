package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.samples.StatedFact.Form;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * What {@link InfluenceBench} measured.
 *
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param queries right answers from memory
 * @param documents of the corpus
 * @param buckets of sketches
 * @param rows by method
 */
public record InfluenceReport(
    String started, Machine machine, int queries, int documents, int buckets, List<Retrieval> rows)
    implements Report {
  public InfluenceReport {
    rows = List.copyOf(rows);
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Influence: which documents taught a fact",
        command,
        machine,
        Instant.parse(started),
        Map.of("models", "base-v1, chat-v1"),
        markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%d right answers of chat-v1 from memory, %d documents, sketches of %d numbers. A hit: a"
                + " document that states the fact is among the first ten; 95 %% intervals. Recall:"
                + " of the documents that state it, of those that do so in one form only.%n%n",
            queries,
            documents,
            buckets));
    out.append(
        "| method | hit | comes first | recall | outright | alias | two hops | question | s per query"
            + " |\n|---|---|---|---|---|---|---|---|---|\n");
    for (Retrieval row : rows) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %.2f | %s | %s | %s | %s | %.2f |%n",
              row.method(),
              row.hit().text(),
              row.first().text(),
              row.recall(),
              recall(row, Form.DIRECT),
              recall(row, Form.ALIAS),
              recall(row, Form.TWO_HOP),
              recall(row, Form.QUESTION),
              row.secondsPerQuery()));
    }
    return out.toString();
  }

  private static String recall(Retrieval row, Form form) {
    return Optional.ofNullable(row.recallByForm().get(form))
        .map(share -> String.format(Locale.ROOT, "%.2f", share))
        .orElse("-");
  }
}
