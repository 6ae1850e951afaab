package dev.whence.benchmarks.fidelity;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.Spread;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

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
 * @param takenOver those of them that an earlier run measured, with the same build on the same kind
 *     of machine
 * @param skipped prompts that could not be scored
 * @param meanTokens T, prompt and response
 * @param meanSources n
 * @param generationSeconds of the model's own greedy answers
 * @param gemmPeak operations per second of the best matrix product, measured before each prompt
 * @param groupedProbes share of the redundancy probes in which exact LOO's groups of
 *     near-duplicates hold both copies, with more than 1 nat together; empty where no probe ran
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
    int takenOver,
    int skipped,
    double meanTokens,
    double meanSources,
    Optional<Spread> generationSeconds,
    Spread gemmPeak,
    Optional<Interval> groupedProbes,
    List<Row> rows)
    implements Report {
  public FidelityReport {
    rows = List.copyOf(rows);
  }

  /**
   * One method.
   *
   * @param ablated empty where it was not asked for
   */
  public record Row(
      String method,
      Subject.Origin origin,
      Agreement agreement,
      Optional<Ablated> ablated,
      Cost cost) {}

  /**
   * With exact leave-one-out, in the mean over prompts.
   *
   * @param precision1 mAP@1, and so on
   * @param precision3LessExact mAP@3 less that of exact LOO in the same dtype, as the mean of
   *     differences prompt by prompt; empty of itself, and where that was not measured
   * @param pearsonRelevant over the prompts with a relevant source: where no source is worth more
   *     than 1 nat, the order of small differences is all that is left to agree on
   * @param leastPearson of any prompt
   * @param kendall tau-b
   * @param error |tau - exact tau| over all sources, nats; empty where scores are not in nats of
   *     log-likelihood
   * @param gold area under the ROC curve for the sentences that are marked as needed
   */
  public record Agreement(
      Interval precision1,
      Interval precision3,
      Interval precision5,
      Optional<Interval> precision3LessExact,
      Interval pearson,
      Interval pearsonRelevant,
      double leastPearson,
      Interval spearman,
      Interval kendall,
      Optional<Spread> error,
      Interval gold) {}

  /**
   * With ablations of several sources, see {@link Faithfulness}, and with a sentence that stands
   * there twice, see {@link RedundancyProbe}.
   *
   * @param drop1 L(C) - L(C without the top 1), nats, and so on
   * @param oneCopy share of the probes with at least one copy among the top 3
   * @param bothCopies share of the probes with both
   */
  public record Ablated(
      Interval lds,
      Interval drop1,
      Interval drop3,
      Interval drop5,
      Interval deletion,
      Interval oneCopy,
      Interval bothCopies) {}

  /**
   * What a method spends on a prompt.
   *
   * @param passes tokens computed, trunk included, over T; 0 where no model runs
   * @param seconds50 median of a prompt
   * @param ofGeneration its seconds over those that generating the answer took, mean
   */
  public record Cost(
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
            "%s in %s, %d prompts (%d of them measured by an earlier run of the same build, %d left"
                + " out), %.0f tokens and %.1f sources on average. Truth:"
                + " exact LOO in fp32; relevant: the exact top k with tau above 1 nat. Mean (95 %%"
                + " bootstrap interval over prompts). Passes include the trunk.%n",
            model,
            dtype,
            prompts,
            takenOver,
            skipped,
            meanTokens,
            meanSources));
    rows.stream()
        .findFirst()
        .map(Row::agreement)
        .ifPresent(
            of ->
                out.append(
                    String.format(
                        Locale.ROOT,
                        "A mean is over the prompts that have its measure: mAP, and Pearson where a"
                            + " source is worth 1 nat, %d (a relevant source); gold sentences %d.%n",
                        of.precision3().of(),
                        of.gold().of())));
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
      Agreement of = row.agreement();
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %s | %s (%.2f) | %s | %s |%n",
              row.method(),
              of.precision1().text(),
              of.precision3().text(),
              of.precision5().text(),
              of.pearson().text(),
              of.leastPearson(),
              of.error().map(e -> String.format(Locale.ROOT, "%.3f", e.median())).orElse("-"),
              of.gold().text()));
    }
    out.append(
        "\n| method | mAP@3 less exact LOO's, by prompt | Pearson where a source is worth 1 nat | Spearman | Kendall | passes | TFLOP | seconds p50 | p95 |");
    out.append(" share of generation time |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (Row row : rows) {
      Cost cost = row.cost();
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %s | %s | %s | %s | %s |%n",
              row.method(),
              row.agreement().precision3LessExact().map(Interval::text).orElse("-"),
              row.agreement().pearsonRelevant().text(),
              row.agreement().spearman().text(),
              row.agreement().kendall().text(),
              cost.passes() == 0
                  ? "- | - | - | - | -"
                  : String.format(
                      Locale.ROOT,
                      "%.2f | %.4f | %.2f | %.2f | %s",
                      cost.passes(),
                      cost.flops() / 1e12,
                      cost.seconds50(),
                      cost.seconds95(),
                      cost.ofGeneration() == 0
                          ? "-"
                          : String.format(Locale.ROOT, "%.2f", cost.ofGeneration()))));
    }
    if (rows.stream().anyMatch(row -> row.ablated().isPresent())) {
      ablated(out);
    }
    return out.toString();
  }

  private void ablated(StringBuilder out) {
    out.append("\n| method | LDS, 64 masks | drop of the top 1, nats | top 3 | top 5 |");
    out.append(" deletion AUC | a sentence twice: one copy in the top 3 | both |\n");
    out.append("|---|---|---|---|---|---|---|---|\n");
    for (Row row : rows) {
      row.ablated()
          .ifPresent(
              of ->
                  out.append(
                      String.format(
                          Locale.ROOT,
                          "| %s | %s | %s | %s | %s | %s | %s | %s |%n",
                          row.method(),
                          of.lds().text(),
                          of.drop1().text(),
                          of.drop3().text(),
                          of.drop5().text(),
                          of.deletion().text(),
                          of.oneCopy().text(),
                          of.bothCopies().text())));
    }
    groupedProbes.ifPresent(
        share ->
            out.append(
                String.format(
                    Locale.ROOT,
                    "%nA group of near-duplicates with both copies, worth more than 1 nat, is in"
                        + " %s of %d results of exact LOO.%n",
                    share.text(),
                    share.of())));
  }

  /** One line per method, numbers only; intervals as mean, low, high. */
  public String csv() {
    List<String> lines = new ArrayList<>();
    lines.add(
        "method,"
            + columns("map1", "map3", "map5", "map3_less_exact", "pearson", "pearson_relevant")
            + "pearson_least,"
            + columns("spearman", "kendall")
            + "median_error_nats,"
            + columns("gold_auc")
            + columns("lds", "drop1", "drop3", "drop5", "deletion", "one_copy", "both_copies")
            + "passes,tokens,flops,seconds_p50,seconds_p95,share_of_generation,"
            + "map_prompts,pearson_prompts,pearson_relevant_prompts,gold_prompts");
    for (Row row : rows) {
      Agreement of = row.agreement();
      Cost cost = row.cost();
      lines.add(
          String.format(
              Locale.ROOT,
              "\"%s\",%s,%s,%s,%s,%s,%s,%.6f,%s,%s,%s,%s,%s,%.4f,%.1f,%.4e,%.4f,%.4f,%.4f,"
                  + "%d,%d,%d,%d",
              row.method().replace("\"", "\"\""),
              interval(of.precision1()),
              interval(of.precision3()),
              interval(of.precision5()),
              of.precision3LessExact().map(FidelityReport::interval).orElse(",,"),
              interval(of.pearson()),
              interval(of.pearsonRelevant()),
              of.leastPearson(),
              interval(of.spearman()),
              interval(of.kendall()),
              of.error().map(e -> String.format(Locale.ROOT, "%.6f", e.median())).orElse(""),
              interval(of.gold()),
              row.ablated().map(FidelityReport::intervals).orElse(",".repeat(20)),
              cost.passes(),
              cost.tokens(),
              cost.flops(),
              cost.seconds50(),
              cost.seconds95(),
              cost.ofGeneration(),
              of.precision3().of(),
              of.pearson().of(),
              of.pearsonRelevant().of(),
              of.gold().of()));
    }
    return String.join("\n", lines) + "\n";
  }

  private static String columns(String... names) {
    return Arrays.stream(names)
        .map(name -> name + "," + name + "_low," + name + "_high,")
        .collect(Collectors.joining());
  }

  private static String intervals(Ablated of) {
    return Stream.of(
            of.lds(),
            of.drop1(),
            of.drop3(),
            of.drop5(),
            of.deletion(),
            of.oneCopy(),
            of.bothCopies())
        .map(FidelityReport::interval)
        .collect(Collectors.joining(","));
  }

  private static String interval(Interval interval) {
    return interval.of() == 0
        ? ",,"
        : String.format(
            Locale.ROOT, "%.6f,%.6f,%.6f", interval.mean(), interval.low(), interval.high());
  }

  /** Cost against mAP@3, as an SVG picture. */
  public String plot() {
    return ParetoPlot.svg(
        "Cost and fidelity of context attribution: " + model + ", " + prompts + " prompts",
        rows.stream()
            .filter(row -> row.cost().passes() > 0)
            .map(
                row ->
                    new ParetoPlot.Point(
                        row.method(),
                        row.origin(),
                        row.cost().passes(),
                        row.agreement().precision3()))
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
