package dev.whence.benchmarks.fidelity;

import dev.whence.benchmarks.EvidenceFile;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Report;
import dev.whence.benchmarks.Spread;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What {@link ScalingBench} measured.
 *
 * @param model name
 * @param digest of its files
 * @param dtype of the scorer
 * @param started ISO 8601
 * @param machine where
 * @param loadAverage at the end
 * @param middleSources n where T is swept
 * @param middleTokens T where n is swept, as asked for
 * @param points in the order of the measurement
 */
public record ScalingReport(
    String model,
    String digest,
    String dtype,
    String started,
    Machine machine,
    double loadAverage,
    int middleSources,
    int middleTokens,
    List<Point> points)
    implements Report {
  public ScalingReport {
    points = List.copyOf(points);
  }

  /**
   * One method on one prompt.
   *
   * @param sources n
   * @param wantedTokens T as asked for
   * @param tokens T as it came out
   * @param formula tokens computed, by the formula
   * @param measured tokens computed
   * @param seconds of the timed rounds
   */
  public record Point(
      String method,
      int sources,
      int wantedTokens,
      int tokens,
      double formula,
      long measured,
      Spread seconds) {}

  /** The names of the methods, in order. */
  List<String> methods() {
    return points.stream().map(Point::method).distinct().toList();
  }

  /** A method's points where n is swept, by n. */
  List<Point> overSources(String method) {
    return points.stream()
        .filter(p -> p.method().equals(method) && p.wantedTokens() == middleTokens)
        .sorted(Comparator.comparingInt(Point::sources))
        .toList();
  }

  /** A method's points where T is swept, by T. */
  List<Point> overTokens(String method) {
    return points.stream()
        .filter(p -> p.method().equals(method) && p.sources() == middleSources)
        .sorted(Comparator.comparingInt(Point::tokens))
        .toList();
  }

  @Override
  public String markdown() {
    StringBuilder out = new StringBuilder();
    out.append(
        String.format(
            Locale.ROOT,
            "%s in %s. Tokens computed by each method's formula and as counted; seconds are the"
                + " median of %d rounds. Load at the end: %.1f.%n%n",
            model,
            dtype,
            points.get(0).seconds().runs(),
            loadAverage));
    out.append("| method | n | T | tokens by the formula | counted | ratio | seconds |");
    out.append(" ms per 1,000 tokens |\n|---|---|---|---|---|---|---|---|\n");
    for (String method : methods()) {
      List<Point> rows = new ArrayList<>(overSources(method));
      overTokens(method).stream().filter(point -> !rows.contains(point)).forEach(rows::add);
      for (Point p : rows) {
        out.append(
            String.format(
                Locale.ROOT,
                "| %s | %d | %d | %.0f | %d | %.2f | %.3f | %.0f |%n",
                p.method(),
                p.sources(),
                p.tokens(),
                p.formula(),
                p.measured(),
                p.measured() / p.formula(),
                p.seconds().median(),
                p.seconds().median() / p.measured() * 1e6));
      }
    }
    return out.toString();
  }

  /** One line per method and prompt, numbers only. */
  public String csv() {
    StringBuilder out =
        new StringBuilder("method,sources,tokens,formula_tokens,counted_tokens,seconds\n");
    for (Point p : points) {
      out.append(
          String.format(
              Locale.ROOT,
              "\"%s\",%d,%d,%.1f,%d,%.6f%n",
              p.method(),
              p.sources(),
              p.tokens(),
              p.formula(),
              p.measured(),
              p.seconds().median()));
    }
    return out.toString();
  }

  /** Seconds over n and over T beside the formulas, as an SVG picture. */
  public String plot() {
    return ScalingPlot.svg(this);
  }

  @Override
  public EvidenceFile evidence(String command) {
    return new EvidenceFile(
        "How the cost of attribution methods grows",
        command,
        machine,
        Instant.parse(started),
        Map.of("model", model + " " + digest),
        markdown());
  }
}
