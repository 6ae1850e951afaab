package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.Proportion;
import dev.whence.attribution.confidence.Calibration;
import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * What {@link ConfidenceBench} measured.
 *
 * @param fast model of the fast path
 * @param fastMethod its method
 * @param target model that counts
 * @param targetMethod its method
 * @param dtype of both
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param learnt responses that the calibration was learnt from
 * @param heldBack responses that it was tried on
 * @param skipped responses that one of the two could not score
 * @param agreement of the two on what was held back, nothing escalated
 * @param cost time of the fast path as a share of the target's
 * @param calibrationError mean distance of confidence and agreement on what was held back
 * @param rows by agreement wanted
 */
public record ConfidenceReport(
    String fast,
    String fastMethod,
    String target,
    String targetMethod,
    String dtype,
    String started,
    Machine machine,
    int learnt,
    int heldBack,
    int skipped,
    Proportion agreement,
    double cost,
    double calibrationError,
    List<Row> rows)
    implements Report {
  public ConfidenceReport {
    rows = List.copyOf(rows);
  }

  /**
   * What a wanted agreement leads to.
   *
   * @param wanted by the user
   * @param kept agreement on those responses held back that were not escalated
   * @param promised the same as the calibration said it before: what is wanted was held against its
   *     low end, see {@link Calibration#keptAgreement}
   * @param escalated of those held back
   */
  public record Row(double wanted, Proportion kept, Proportion promised, Proportion escalated) {}

  @Override
  public EvidenceFile evidence(String command) {
    Map<String, String> versions = new TreeMap<>();
    versions.put("fast", fast + ", " + fastMethod);
    versions.put("target", target + ", " + targetMethod);
    return new EvidenceFile(
        "Confidence of the fast path",
        command,
        machine,
        Instant.parse(started),
        versions,
        markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "Fast: %s, %s. Target: %s, %s. %s. Learnt from %d responses, tried on %d others"
                + " (%d left out). In brackets: 95 %% interval and counts.%n%n",
            fast,
            fastMethod,
            target,
            targetMethod,
            dtype,
            learnt,
            heldBack,
            skipped));
    out.append(
        String.format(
            Locale.ROOT,
            "Agreement of all: %s. Time of the fast path: %.0f %% of the target's. Expected"
                + " calibration error: %.1f points.%n%n",
            agreement.text(),
            100 * cost,
            100 * calibrationError));
    out.append("| agreement wanted | of what is kept | promised | escalated |\n");
    out.append("|---|---|---|---|\n");
    for (Row row : rows) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %.0f %% | %s | %s | %s |%n",
              100 * row.wanted(),
              row.kept().text(),
              row.promised().text(),
              row.escalated().text()));
    }
    return out.toString();
  }
}
