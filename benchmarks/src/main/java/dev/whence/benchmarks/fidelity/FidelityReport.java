package dev.whence.benchmarks.fidelity;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.Spread;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * What {@link FidelityBench} measured.
 *
 * @param model name
 * @param digest of its files
 * @param dtype of the methods
 * @param started ISO 8601
 * @param machine where
 * @param loadAverage at the end
 * @param prompts measured
 * @param skipped prompts that could not be scored
 * @param meanTokens T, prompt and response
 * @param meanSources n
 * @param generationSeconds of the model's own greedy answers
 * @param gemmPeak operations per second of the best matrix product, measured before each prompt
 * @param rows by falling mAP@3
 */
public record FidelityReport(
    String model,
    String digest,
    String dtype,
    String started,
    Machine machine,
    double loadAverage,
    int prompts,
    int skipped,
    double meanTokens,
    double meanSources,
    Optional<Spread> generationSeconds,
    Spread gemmPeak,
    List<Row> rows)
    implements Report {
  public FidelityReport {
    rows = List.copyOf(rows);
  }

  /**
   * One method.
   *
   * @param precision1 mAP@1, and so on
   * @param pearson with exact tau, mean over prompts
   * @param leastPearson of any prompt
   * @param error |tau - exact tau| over all sources, nats; empty where scores are not in nats of
   *     log-likelihood
   * @param gold area under the ROC curve for the sentences that annotators marked
   * @param passes tokens computed, trunk included, over T; 0 where no model runs
   * @param seconds50 median of a prompt
   * @param ofGeneration its seconds over those that generating the answer took, mean
   */
  public record Row(
      String method,
      Interval precision1,
      Interval precision3,
      Interval precision5,
      Interval pearson,
      double leastPearson,
      Interval spearman,
      Interval kendall,
      Optional<Spread> error,
      Interval gold,
      double passes,
      double tokens,
      double flops,
      double seconds50,
      double seconds95,
      double ofGeneration) {}

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%s in %s, %d prompts (%d left out), %.0f tokens and %.1f sources on average. Truth:"
                + " exact LOO in fp32; relevant: the exact top k with tau above 1 nat. Mean (95 %%"
                + " bootstrap interval over prompts). Passes include the trunk.%n",
            model,
            dtype,
            prompts,
            skipped,
            meanTokens,
            meanSources));
    generationSeconds.ifPresent(
        seconds ->
            out.append(
                String.format(
                    Locale.ROOT, "Generating an answer: %.2f s (median).%n", seconds.median())));
    out.append(
        String.format(
            Locale.ROOT,
            "GEMM peak of the run: %.0f GFLOP/s (%.0f to %.0f). Load at the end: %.1f.%n%n",
            gemmPeak.median() / 1e9,
            gemmPeak.min() / 1e9,
            gemmPeak.max() / 1e9,
            loadAverage));
    out.append("| method | mAP@1 | mAP@3 | mAP@5 | Pearson (least) | median error, nats |");
    out.append(" ROC AUC of gold sentences |\n|---|---|---|---|---|---|---|\n");
    for (Row row : rows) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %s | %s (%.2f) | %s | %s |%n",
              row.method(),
              row.precision1().text(),
              row.precision3().text(),
              row.precision5().text(),
              row.pearson().text(),
              row.leastPearson(),
              row.error().map(e -> String.format(Locale.ROOT, "%.3f", e.median())).orElse("-"),
              row.gold().text()));
    }
    out.append("\n| method | Spearman | Kendall | passes | TFLOP | seconds p50 | p95 |");
    out.append(" share of generation time |\n|---|---|---|---|---|---|---|---|\n");
    for (Row row : rows) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %.2f | %.3f | %.2f | %.2f | %s |%n",
              row.method(),
              row.spearman().text(),
              row.kendall().text(),
              row.passes(),
              row.flops() / 1e12,
              row.seconds50(),
              row.seconds95(),
              row.ofGeneration() == 0
                  ? "-"
                  : String.format(Locale.ROOT, "%.2f", row.ofGeneration())));
    }
    return out.toString();
  }

  /** One line per method, numbers only. */
  public String csv() {
    List<String> lines = new ArrayList<>();
    lines.add(
        "method,map1,map1_low,map1_high,map3,map3_low,map3_high,map5,map5_low,map5_high,pearson,"
            + "pearson_low,pearson_high,pearson_least,spearman,kendall,median_error_nats,gold_auc,"
            + "passes,tokens,flops,seconds_p50,seconds_p95,share_of_generation");
    for (Row row : rows) {
      lines.add(
          String.format(
              Locale.ROOT,
              "\"%s\",%s,%s,%s,%s,%.6f,%.6f,%.6f,%s,%.6f,%.4f,%.1f,%.4e,%.4f,%.4f,%.4f",
              row.method().replace("\"", "\"\""),
              interval(row.precision1()),
              interval(row.precision3()),
              interval(row.precision5()),
              interval(row.pearson()),
              row.leastPearson(),
              row.spearman().mean(),
              row.kendall().mean(),
              row.error().map(e -> String.format(Locale.ROOT, "%.6f", e.median())).orElse(""),
              row.gold().mean(),
              row.passes(),
              row.tokens(),
              row.flops(),
              row.seconds50(),
              row.seconds95(),
              row.ofGeneration()));
    }
    return String.join("\n", lines) + "\n";
  }

  private static String interval(Interval interval) {
    return String.format(
        Locale.ROOT, "%.6f,%.6f,%.6f", interval.mean(), interval.low(), interval.high());
  }

  /** Cost against mAP@3, as an SVG picture. */
  public String plot() {
    return ParetoPlot.svg(
        "Cost and fidelity of context attribution: " + model + ", " + prompts + " prompts",
        rows.stream()
            .filter(row -> row.passes() > 0)
            .map(
                row ->
                    new ParetoPlot.Point(
                        row.method(),
                        row.passes(),
                        row.precision3().mean(),
                        row.precision3().low(),
                        row.precision3().high()))
            .toList());
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Cost and fidelity of attribution methods",
        command,
        machine,
        Instant.parse(started),
        Map.of("model", model + " " + digest),
        markdown());
  }
}
