package dev.whence.benchmarks;

import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What {@link TrainBench} measured.
 *
 * @param model shape in words
 * @param parameters of the model
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param gemmPeak of the rounds, FLOP/s in fp32, each measured right before its round
 * @param cases one per length of rows
 * @param peakResidentBytes most memory that the process ever had resident; negative if unknown
 */
public record TrainReport(
    String model,
    long parameters,
    String started,
    Machine machine,
    Spread gemmPeak,
    List<Case> cases,
    long peakResidentBytes)
    implements Report {

  /**
   * A training step on one kind of batch.
   *
   * @param rows of the batch
   * @param length tokens of a row, all of one document
   * @param forwardFlops of one forward, 2 per multiply-add; backward needs twice as many
   * @param forwardSeconds losses only
   * @param backwardSeconds losses and gradient, less forward of the same round
   * @param optimiserSeconds norm, clipping and AdamW
   * @param stepSeconds the whole step
   * @param shareOfPeak 3 x forwardFlops / step seconds / the peak of the same round
   */
  public record Case(
      int rows,
      int length,
      double forwardFlops,
      Spread forwardSeconds,
      Spread backwardSeconds,
      Spread optimiserSeconds,
      Spread stepSeconds,
      Spread shareOfPeak) {
    int tokens() {
      return rows * length;
    }
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "A training step",
        command,
        machine,
        Instant.parse(started),
        Map.of("model", model + ", " + parameters + " parameters, fp32"),
        markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out =
        new StringBuilder(
            String.format(
                Locale.ROOT,
                "%s: %,d parameters, fp32. GEMM peak %s GFLOP/s, measured before every round.%n%n"
                    + "| batch | tokens/s | forward, ms | backward, ms | optimiser, ms | GFLOP/s |"
                    + " share of the GEMM peak |%n|---|---|---|---|---|---|---|%n",
                model,
                parameters,
                scaled(gemmPeak, 1e-9, "%.0f")));
    for (Case one : cases) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %d x %d | %,.0f | %s | %s | %s | %.1f | %s |%n",
              one.rows(),
              one.length(),
              one.tokens() / one.stepSeconds().median(),
              scaled(one.forwardSeconds(), 1e3, "%.1f"),
              scaled(one.backwardSeconds(), 1e3, "%.1f"),
              scaled(one.optimiserSeconds(), 1e3, "%.2f"),
              3 * one.forwardFlops() / one.stepSeconds().median() * 1e-9,
              scaled(one.shareOfPeak(), 100, "%.0f %%")));
    }
    if (peakResidentBytes >= 0) {
      out.append(
          String.format(
              Locale.ROOT,
              "%nPeak resident memory of the whole process: %.0f MiB.%n",
              peakResidentBytes / 0x1p20));
    }
    return out.toString();
  }

  private static String scaled(Spread spread, double factor, String format) {
    return new Spread(
            spread.min() * factor, spread.median() * factor, spread.max() * factor, spread.runs())
        .text(format);
  }
}
