package dev.whence.benchmarks;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * What {@link ExactBench} measured. Seconds are wall time, FLOP/s count 2 per multiply-add, tau is
 * in nats.
 *
 * @param model name of the model
 * @param digest SHA-256 of the model
 * @param started begin of the run, ISO 8601
 * @param machine where; its load average is that at the start
 * @param loadAverageAtEnd load average at the end
 * @param gemm matrix products, measured throughout the run
 * @param forwards the whole prompt and response in one forward
 * @param prompts leave-one-out
 * @param exactness largest |tau(KV) - tau(naive)| by dtype, over all sources
 * @param noise of tau in bf16 against fp32, where both ran
 * @param peakResidentBytes of this process, weights of all dtypes included
 */
@JsonInclude(JsonInclude.Include.NON_ABSENT)
public record ExactReport(
    String model,
    String digest,
    String started,
    Machine machine,
    double loadAverageAtEnd,
    List<GemmRate> gemm,
    List<Forward> forwards,
    List<PromptFigures> prompts,
    Map<String, Double> exactness,
    Optional<Noise> noise,
    OptionalLong peakResidentBytes)
    implements Report {

  /**
   * How fast a matrix product is.
   *
   * @param dtype "bf16" or "fp32"
   * @param flopsPerSecond of a square product of 2048; the best is the peak
   */
  public record GemmRate(String dtype, Spread flopsPerSecond) {}

  /**
   * One forward over prompt and response.
   *
   * @param dtype "bf16" or "fp32"
   * @param tokens of prompt and response
   * @param scored rows with logits
   * @param flops that the forward needs
   * @param engineFlops that the engine says it computes
   * @param seconds of a forward
   * @param tokensPerSecond at the median
   * @param fractionOfPeak needed FLOPs per second at the median, over the GEMM peak of this run
   * @param linearSeconds part of the time that grows with the length: linear layers, norms
   * @param quadraticSeconds part that grows with its square: attention
   */
  public record Forward(
      String dtype,
      int tokens,
      int scored,
      ForwardFlops flops,
      double engineFlops,
      Spread seconds,
      double tokensPerSecond,
      double fractionOfPeak,
      double linearSeconds,
      double quadraticSeconds) {}

  /**
   * Leave-one-out of one prompt.
   *
   * @param responseId which
   * @param tokens of prompt and response
   * @param responseTokens scored
   * @param runs leave-one-out of each dtype
   */
  public record PromptFigures(
      String responseId, int tokens, int responseTokens, List<LeaveOneOutRun> runs) {}

  /**
   * Leave-one-out of one prompt in one dtype.
   *
   * @param dtype "bf16" or "fp32"
   * @param seconds exact leave-one-out with the KV cache, the trunk included
   * @param processorSeconds that this process used meanwhile, over all cores: nearly the same on a
   *     machine that is busy with other things
   * @param tokensComputed by it
   * @param flops by it
   * @param fractionOfPeak at the median
   * @param naiveSeconds everything computed anew for each source
   * @param naiveTokensComputed by that
   * @param logLikelihood L(C)
   * @param sources with tau by exact leave-one-out
   */
  @JsonInclude(JsonInclude.Include.NON_ABSENT)
  public record LeaveOneOutRun(
      String dtype,
      Spread seconds,
      Spread processorSeconds,
      long tokensComputed,
      double flops,
      double fractionOfPeak,
      OptionalDouble naiveSeconds,
      OptionalLong naiveTokensComputed,
      double logLikelihood,
      List<SourceTau> sources) {}

  /** A source, by segment and range in UTF-16 code units, and its tau. */
  public record SourceTau(String segment, int start, int end, double tau) {}

  /**
   * |tau(bf16) - tau(fp32)| over all sources, nats.
   *
   * @param sources how many
   */
  public record Noise(int sources, double median, double p99, double max) {}

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Exact leave-one-out: speed and exactness",
        command,
        machine,
        Instant.parse(started),
        Map.of("model", model, "digest", digest),
        markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    line(out, "| matrix product 2048 x 2048 x 2048 | GFLOP/s: median (range) |");
    line(out, "|---|---|");
    for (GemmRate rate : gemm) {
      Spread s = rate.flopsPerSecond();
      line(
          out,
          "| %s | %.0f (%.0f to %.0f, %d runs) |",
          rate.dtype(),
          s.median() / 1e9,
          s.min() / 1e9,
          s.max() / 1e9,
          s.runs());
    }
    line(out, "");
    line(
        out,
        "| whole forward | tokens | seconds | tokens/s | GFLOP/s | of GEMM peak | GFLOP: linear,"
            + " attention, logits | time that grows with T | with T^2 |");
    line(out, "|---|---|---|---|---|---|---|---|---|");
    for (Forward f : forwards) {
      line(
          out,
          "| %s | %d | %s | %.0f | %.0f | %.0f %% | %.0f, %.0f, %.1f | %.2f s | %.2f s |",
          f.dtype(),
          f.tokens(),
          f.seconds().text("%.2f"),
          f.tokensPerSecond(),
          f.flops().total() / f.seconds().median() / 1e9,
          100 * f.fractionOfPeak(),
          f.flops().linear() / 1e9,
          f.flops().attention() / 1e9,
          f.flops().logits() / 1e9,
          f.linearSeconds(),
          f.quadraticSeconds());
    }
    line(out, "");
    line(
        out,
        "| leave-one-out | dtype | T | R | sources | seconds | processor seconds | tokens | of GEMM"
            + " peak | naive: seconds | tokens | naive / KV |");
    line(out, "|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (PromptFigures p : prompts) {
      for (LeaveOneOutRun r : p.runs()) {
        line(
            out,
            "| %s | %s | %d | %d | %d | %s | %s | %d | %.0f %% | %s | %s | %s |",
            p.responseId(),
            r.dtype(),
            p.tokens(),
            p.responseTokens(),
            r.sources().size(),
            r.seconds().text("%.2f"),
            r.processorSeconds().text("%.1f"),
            r.tokensComputed(),
            100 * r.fractionOfPeak(),
            r.naiveSeconds().isPresent()
                ? String.format(Locale.ROOT, "%.1f", r.naiveSeconds().getAsDouble())
                : "not run",
            r.naiveTokensComputed().isPresent()
                ? Long.toString(r.naiveTokensComputed().getAsLong())
                : "",
            r.naiveSeconds().isPresent()
                ? String.format(
                    Locale.ROOT, "%.2f", r.naiveSeconds().getAsDouble() / r.seconds().median())
                : "");
      }
    }
    line(out, "");
    exactness.forEach(
        (dtype, nats) ->
            line(out, "Largest |tau(KV) - tau(naive)| in %s: %.2e nats.", dtype, nats));
    noise.ifPresent(
        n ->
            line(
                out,
                "Noise of tau in bf16 against fp32 over %d sources: median %.3f, p99 %.3f, max %.3f"
                    + " nats.",
                n.sources(),
                n.median(),
                n.p99(),
                n.max()));
    peakResidentBytes.ifPresent(
        bytes ->
            line(
                out,
                "Peak resident memory, weights of all dtypes included: %.2f GiB.",
                bytes / 0x1p30));
    line(out, "Load average at the end: %.2f.", loadAverageAtEnd);
    return out.toString();
  }

  private static void line(StringBuilder out, String format, Object... values) {
    out.append(String.format(Locale.ROOT, format, values)).append('\n');
  }
}
