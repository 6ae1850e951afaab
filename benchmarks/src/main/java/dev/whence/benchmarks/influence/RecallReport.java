package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.fidelity.Interval;
import dev.whence.influence.model.Measure;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What {@link RecallBench} measured.
 *
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param queries answers from memory
 * @param documents that were compared
 * @param elements of a whole gradient
 * @param reranks candidates of each sign
 * @param rows by measure and size
 */
public record RecallReport(
    String started,
    Machine machine,
    int queries,
    int documents,
    long elements,
    List<Integer> reranks,
    List<Row> rows)
    implements Report {
  public RecallReport {
    reranks = List.copyOf(reranks);
    rows = List.copyOf(rows);
  }

  /**
   * A size.
   *
   * @param ofDocuments measure of documents
   * @param share one over the sketch's part of a whole gradient
   * @param buckets numbers of the sketch
   * @param spearman of sketched and exact influences
   * @param unranked recall of the first ten of each sign by sketches alone
   * @param reranked recall after ranking again, by {@link #reranks}
   */
  public record Row(
      Measure ofDocuments,
      int share,
      int buckets,
      Interval spearman,
      Interval unranked,
      List<Interval> reranked) {
    public Row {
      reranked = List.copyOf(reranked);
    }
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Influence: recall of sketches",
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
            "%d right answers of chat-v1 from memory, %d documents, gradients of %d elements."
                + " Recall of the exhaustive first ten of each sign, mean over answers (95 %%"
                + " bootstrap interval).%n%n",
            queries,
            documents,
            elements));
    out.append("| documents by | size | numbers | Spearman | not ranked again |");
    reranks.forEach(rerank -> out.append(" ").append(rerank).append(" of each sign |"));
    out.append("\n|---|---|---|---|---|").append("---|".repeat(reranks.size())).append("\n");
    for (Row row : rows) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | 1/%d | %d | %s | %s |",
              row.ofDocuments().label(),
              row.share(),
              row.buckets(),
              row.spearman().text(),
              row.unranked().text()));
      row.reranked().forEach(recall -> out.append(" ").append(recall.text()).append(" |"));
      out.append("\n");
    }
    return out.toString();
  }
}
