package dev.whence.benchmarks.fidelity;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.Spread;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * What {@link SpeedBench} measured.
 *
 * @param model name of the scorer
 * @param digest of its files; empty for a random target
 * @param parameters of the scorer
 * @param proxy name of its proxy
 * @param proxyParameters of that
 * @param dtype of the scorer
 * @param started ISO 8601
 * @param machine where
 * @param loadAverage at the end
 * @param tokens T, prompt and response
 * @param responseTokens r
 * @param sources n
 * @param naiveSources how many of them naive leave-one-out read
 * @param gemm peak, FLOP/s, one measurement a round
 * @param rows one per method, in the order in which they ran
 */
public record SpeedReport(
    String model,
    String digest,
    long parameters,
    Optional<String> proxy,
    Optional<Long> proxyParameters,
    String dtype,
    String started,
    Machine machine,
    double loadAverage,
    int tokens,
    int responseTokens,
    int sources,
    int naiveSources,
    Spread gemm,
    List<Row> rows)
    implements Report {
  public SpeedReport {
    rows = List.copyOf(rows);
  }

  /**
   * One method.
   *
   * @param tokens that the scorer computed; what a proxy computed is not among them
   * @param flops floating point operations, a proxy's included
   * @param seconds of the rounds
   * @param exactOver how many times longer exact leave-one-out took, within a round
   * @param naiveOver the same of naive leave-one-out
   * @param naiveOverRest the same, without the scorer's own pass over prompt and response, which
   *     gives L(C) and is all that it does in a proxy method; only of those, where the difference
   *     is no noise
   */
  public record Row(
      String method,
      long tokens,
      double flops,
      Spread seconds,
      Optional<Spread> exactOver,
      Optional<Spread> naiveOver,
      Optional<Spread> naiveOverRest) {}

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%s (%.2f B parameters) in %s%s: %d sources, %d tokens, %d of them the response."
                + " GEMM peak %.0f GFLOP/s (%.0f to %.0f).%s Load at the end: %.1f.%n%n",
            model,
            parameters * 1e-9,
            dtype,
            proxy
                .map(
                    name ->
                        String.format(
                            Locale.ROOT,
                            ", proxy %s (%.3f B)",
                            name,
                            proxyParameters.orElse(0L) * 1e-9))
                .orElse(""),
            sources,
            tokens,
            responseTokens,
            gemm.median() * 1e-9,
            gemm.min() * 1e-9,
            gemm.max() * 1e-9,
            naiveSources == 0
                ? ""
                : String.format(
                    Locale.ROOT, " Naive LOO: from %d evenly spaced sources.", naiveSources),
            loadAverage));
    boolean rest = proxy.isPresent() && naiveSources > 0;
    out.append("| method | tokens | TFLOP | seconds | of GEMM peak | exact LOO / it | naive / it |")
        .append(rest ? " naive / it without the target's own pass |" : "")
        .append(
            rest ? "\n|---|---|---|---|---|---|---|---|\n" : "\n|---|---|---|---|---|---|---|\n");
    for (Row row : rows) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %d | %.3f | %s | %.0f %% | %s | %s |%s%n",
              row.method(),
              row.tokens(),
              row.flops() * 1e-12,
              row.seconds().text("%.2f"),
              100 * row.flops() / row.seconds().median() / gemm.max(),
              row.exactOver().map(ratio -> ratio.text("%.1f")).orElse("-"),
              row.naiveOver().map(ratio -> ratio.text("%.1f")).orElse("-"),
              rest
                  ? row.naiveOverRest().map(ratio -> " " + ratio.text("%.1f")).orElse(" -") + " |"
                  : ""));
    }
    return out.toString();
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Seconds of attribution methods, in turn",
        command,
        machine,
        Instant.parse(started),
        Map.of("model", model + " " + digest),
        markdown());
  }
}
