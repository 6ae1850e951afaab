package dev.whence.benchmarks.influence;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.engine.kernel.LinearLayer;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * What {@link LargeBench} measured.
 *
 * @param started begin of the run, ISO 8601
 * @param machine where
 * @param shape the model's
 * @param parameters of the whole model, held in fp32
 * @param layers whose factors were computed
 * @param documents that the factors saw
 * @param tokens of these documents
 * @param promptTokens of the query
 * @param responseTokens of the query
 * @param steps in their order
 */
public record LargeReport(
    String started,
    Machine machine,
    String shape,
    long parameters,
    List<LinearLayer> layers,
    int documents,
    int tokens,
    int promptTokens,
    int responseTokens,
    List<Step> steps)
    implements Report {
  public LargeReport {
    layers = List.copyOf(layers);
    steps = List.copyOf(steps);
  }

  /**
   * A step.
   *
   * @param seconds it took
   * @param peakBytes most that the process had resident until its end; 0 where the system does not
   *     tell
   */
  public record Step(String name, double seconds, long peakBytes) {}

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "Influence: a large model", command, machine, Instant.parse(started), Map.of(), markdown());
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "A random model with the shape of %s, %.2f B parameters in fp32; layers %s; factors of %d"
                + " documents with %d tokens; a query of %d + %d tokens; load average %.1f.%n%n",
            shape,
            parameters / 1e9,
            layers.stream()
                .map(
                    layer ->
                        String.format(
                            Locale.ROOT,
                            "%s (%d x %d)",
                            layer.name(),
                            layer.outputs(),
                            layer.inputs()))
                .collect(Collectors.joining(", ")),
            documents,
            tokens,
            promptTokens,
            responseTokens,
            machine.loadAverage()));
    out.append("| step | s | most memory so far, GiB |\n|---|---|---|\n");
    for (Step step : steps) {
      out.append(
          String.format(
              Locale.ROOT,
              "| %s | %.1f | %.1f |%n",
              step.name(),
              step.seconds(),
              step.peakBytes() / (double) (1 << 30)));
    }
    return out.toString();
  }
}
