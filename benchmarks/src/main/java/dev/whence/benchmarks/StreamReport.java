package dev.whence.benchmarks;

import java.time.Instant;
import java.util.Locale;
import java.util.Map;

/**
 * What {@link StreamBench} measured.
 *
 * @param model that scored
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param loadAverageAtEnd load average at the end
 * @param groupProtocol of the consumer group
 * @param responses measured one by one
 * @param overhead of a response at batch 1
 * @param modelTime of those responses
 * @param burst responses sent at once
 * @param responsesPerSecond at which the burst was worked off, model time included
 * @param burstOverheadSeconds (time of the burst - its model time) / responses
 */
public record StreamReport(
    String model,
    String started,
    Machine machine,
    double loadAverageAtEnd,
    String groupProtocol,
    int responses,
    Quantiles overhead,
    Quantiles modelTime,
    int burst,
    double responsesPerSecond,
    double burstOverheadSeconds)
    implements Report {

  /** Of a time, in seconds. */
  public record Quantiles(double p50, double p95, double p99, double max) {
    static Quantiles of(java.util.List<Double> seconds) {
      return new Quantiles(
          Spread.percentile(seconds, 0.5),
          Spread.percentile(seconds, 0.95),
          Spread.percentile(seconds, 0.99),
          Spread.percentile(seconds, 1));
    }
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "What the stream adds to the model's time",
        command,
        machine,
        Instant.parse(started),
        Map.of("model", model, "group protocol", groupProtocol),
        markdown());
  }

  @Override
  public String markdown() {
    return String.format(
            Locale.ROOT,
            "Overhead = (result readable by a read_committed consumer - record readable) - model"
                + " time; broker in its own JVM.%n%n"
                + "| milliseconds, %d responses one by one | p50 | p95 | p99 | max |%n"
                + "|---|---|---|---|---|%n",
            responses)
        + row("stream overhead", overhead)
        + row("model time", modelTime)
        + String.format(
            Locale.ROOT,
            "%n%d responses at once: %.1f responses/s, of each %.2f ms beside the model.%n"
                + "Load average at the end: %.2f.%n",
            burst,
            responsesPerSecond,
            1e3 * burstOverheadSeconds,
            loadAverageAtEnd);
  }

  private static String row(String name, Quantiles q) {
    return String.format(
        Locale.ROOT,
        "| %s | %.1f | %.1f | %.1f | %.1f |%n",
        name,
        1e3 * q.p50(),
        1e3 * q.p95(),
        1e3 * q.p99(),
        1e3 * q.max());
  }
}
