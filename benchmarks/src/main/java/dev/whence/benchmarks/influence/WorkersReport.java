package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.Spread;
import java.time.Instant;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/**
 * What {@link WorkersBench} measured.
 *
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param model whose factors and index
 * @param rounds in turn
 */
public record WorkersReport(String started, Machine machine, String model, List<Round> rounds)
    implements Report {
  public WorkersReport {
    rounds = List.copyOf(rounds);
  }

  /** One worker and two, of both jobs. */
  public record Round(Comparison factors, Comparison index) {}

  /**
   * A job by one worker and by two.
   *
   * @param one seconds of one worker
   * @param several seconds until both are done, each with a machine of its own
   * @param undivided seconds of what is done once, however many there are
   * @param tokens whose loss counts in what one worker computes, over all its passes
   * @param shares the same of each of two
   */
  public record Comparison(
      double one, double several, double undivided, double tokens, List<Double> shares) {
    public Comparison {
      shares = List.copyOf(shares);
    }

    /** How many times as fast two are. */
    public double speedup() {
      return one / several;
    }

    /** The same by what is counted: all tokens over those of the worker that has most. */
    public double counted() {
      return tokens / Collections.max(shares);
    }
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Influence: two workers", command, machine, Instant.parse(started), Map.of(), markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%s, all linear layers, %d rounds; two workers one after the other, each as if it had"
                + " the machine for itself; load average %.1f.%n%n",
            model,
            rounds.size(),
            machine.loadAverage()));
    out.append(
        "| job | one worker, s | two workers, s | one / two | of it undivided, s | tokens of one |"
            + " of each of two | by tokens |\n|---|---|---|---|---|---|---|---|\n");
    row(out, "factors", Round::factors);
    row(out, "index", Round::index);
    return out.toString();
  }

  private void row(StringBuilder out, String job, Function<Round, Comparison> of) {
    Comparison last = of.apply(rounds.get(rounds.size() - 1));
    out.append(
        String.format(
            Locale.ROOT,
            "| %s | %s | %s | %s | %s | %.0f | %.0f, %.0f | %.2f |%n",
            job,
            spread(of, Comparison::one),
            spread(of, Comparison::several),
            spread(of, Comparison::speedup),
            spread(of, Comparison::undivided),
            last.tokens(),
            last.shares().get(0),
            last.shares().get(1),
            last.counted()));
  }

  private String spread(Function<Round, Comparison> of, ToDoubleFunction<Comparison> value) {
    return Spread.of(rounds.stream().map(of).map(value::applyAsDouble).toList()).text("%.2f");
  }
}
