package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.fidelity.Interval;
import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * What {@link DatamodelBench} measured.
 *
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param documents of the corpus
 * @param queries responses
 * @param subsets trainings on halves of the documents
 * @param secondsPerTraining wall time of both stages on all documents
 * @param lds linear datamodeling score by method
 * @param removed documents that are left out for a response
 * @param removal nats that a response loses then, by method
 */
public record DatamodelReport(
    String started,
    Machine machine,
    int documents,
    int queries,
    int subsets,
    double secondsPerTraining,
    Map<String, Interval> lds,
    int removed,
    Map<String, Interval> removal)
    implements Report {
  public DatamodelReport {
    lds = Collections.unmodifiableMap(new LinkedHashMap<>(lds));
    removal = Collections.unmodifiableMap(new LinkedHashMap<>(removal));
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Influence: what retraining does",
        command,
        machine,
        Instant.parse(started),
        Map.of("recipes", "tiny, two stages"),
        markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%d documents, %d responses, %d trainings on halves. Both stages on all documents: %.1f s."
                + " Means over responses with 95 %% bootstrap intervals.%n%n"
                + "| method | linear datamodeling score |%n|---|---|%n",
            documents,
            queries,
            subsets,
            secondsPerTraining));
    lds.forEach((name, value) -> out.append("| " + name + " | " + value.text() + " |\n"));
    if (!removal.isEmpty()) {
      out.append(
          String.format(
              Locale.ROOT,
              "%n| the first %d documents left out, by | nats that the response loses |%n|---|---|%n",
              removed));
      removal.forEach((name, value) -> out.append("| " + name + " | " + value.text() + " |\n"));
    }
    return out.toString();
  }
}
