package dev.whence.transfer.report;

import dev.whence.transfer.recycle.Comparison;
import dev.whence.transfer.recycle.Measurement;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/**
 * Direct fine-tuning, transfer, and transfer then fine-tuning side by side: loss and exact match
 * against steps, as Markdown, and with the curves as one HTML file that needs nothing else.
 */
public final class RecyclingReport {
  private RecyclingReport() {}

  /** A line of the table. */
  private record Line(String way, Measurement point) {}

  /** The figures as tables. */
  public static String markdown(List<Comparison> comparisons, String what) {
    StringBuilder text = new StringBuilder("# Recycling-then-finetuning\n\n" + what + "\n");
    for (Comparison comparison : comparisons) {
      text.append("\n## " + comparison.base() + "\n\n");
      text.append("| way | steps | exact match | of direct | loss, nats per token |\n");
      text.append("|---|---|---|---|---|\n");
      for (Line line : lines(comparison)) {
        text.append(
            String.format(
                Locale.ROOT,
                "| %s | %d | %.1f %% (%d of %d) | %s | %.4f |%n",
                line.way(),
                line.point().step(),
                100 * line.point().share(),
                line.point().exact(),
                line.point().questions(),
                ofDirect(comparison, line.point()),
                line.point().loss()));
      }
      text.append("\n" + sentence(comparison) + "\n");
    }
    return text.toString();
  }

  /** The page. */
  public static String html(List<Comparison> comparisons, String what) {
    StringBuilder html = new StringBuilder();
    html.append(
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>Recycling-then-finetuning</title>
        <style>body{font-family:sans-serif;max-width:60em;margin:2em auto;color:#222}
        table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em .8em;border-bottom:1px solid
        #ddd;text-align:left}</style></head>
        <body>
        <h1>Recycling-then-finetuning</h1>
        """);
    html.append("<p>" + SvgChart.escape(what) + "</p>\n");
    for (Comparison comparison : comparisons) {
      html.append("<h2>" + SvgChart.escape(comparison.base()) + "</h2>\n");
      html.append("<p>" + SvgChart.escape(sentence(comparison)) + "</p>\n");
      html.append(chart("Exact match", "share", comparison, Measurement::share));
      html.append(chart("Loss of the right answers", "nats", comparison, Measurement::loss));
      html.append(
          "<table>\n<tr><th>way</th><th>steps</th><th>exact match</th><th>of direct</th>"
              + "<th>loss, nats per token</th></tr>\n");
      for (Line line : lines(comparison)) {
        html.append(
            String.format(
                Locale.ROOT,
                "<tr><td>%s</td><td>%d</td><td>%.1f %% (%d of %d)</td><td>%s</td>"
                    + "<td>%.4f</td></tr>%n",
                SvgChart.escape(line.way()),
                line.point().step(),
                100 * line.point().share(),
                line.point().exact(),
                line.point().questions(),
                ofDirect(comparison, line.point()),
                line.point().loss()));
      }
      html.append("</table>\n");
    }
    return html.append("</body></html>\n").toString();
  }

  private static List<Line> lines(Comparison comparison) {
    List<Line> lines = new ArrayList<>();
    lines.add(new Line("base version", comparison.direct().get(0).get(0)));
    lines.add(new Line("transfer alone", comparison.transferred()));
    comparison.recycled().stream()
        .skip(1)
        .forEach(point -> lines.add(new Line("transfer, then fine-tuning", point)));
    for (List<Measurement> run : comparison.direct()) {
      run.stream().skip(1).forEach(point -> lines.add(new Line(direct(run), point)));
    }
    return lines;
  }

  private static String direct(List<Measurement> run) {
    return "direct, " + run.get(run.size() - 1).step() + " steps";
  }

  private static String ofDirect(Comparison comparison, Measurement point) {
    return comparison.hasRightAnswers()
        ? String.format(
            Locale.ROOT, "%.0f %%", 100 * point.share() / comparison.reference().share())
        : "-";
  }

  /** What it comes to. */
  private static String sentence(Comparison comparison) {
    Measurement reference = comparison.reference();
    if (!comparison.hasRightAnswers()) {
      return String.format(
          Locale.ROOT,
          "Direct fine-tuning answers none of %d questions to the letter after %d steps, so exact"
              + " match tells nothing. Its loss is %.4f nats per token then; that of transfer alone"
              + " is %.4f; transfer then fine-tuning %s.",
          reference.questions(),
          reference.step(),
          reference.loss(),
          comparison.transferred().loss(),
          comparison.reachedLoss().isPresent()
              ? "comes as low after " + comparison.reachedLoss().getAsLong() + " steps"
              : String.format(
                  Locale.ROOT,
                  "does not come as low: %.4f at least",
                  comparison.recycled().stream()
                      .mapToDouble(Measurement::loss)
                      .min()
                      .orElseThrow()));
    }
    return String.format(
        Locale.ROOT,
        "Direct fine-tuning answers %.1f %% after %d steps. Transfer alone reaches %s of that;"
            + " transfer then fine-tuning %s.",
        100 * reference.share(),
        reference.step(),
        ofDirect(comparison, comparison.transferred()),
        comparison.reached().isPresent()
            ? "reaches it after " + comparison.reached().getAsLong() + " steps"
            : String.format(
                Locale.ROOT,
                "does not reach it: %.1f %% at most",
                100
                    * comparison.recycled().stream()
                        .mapToDouble(Measurement::share)
                        .max()
                        .orElse(0)));
  }

  private static String chart(
      String title, String unit, Comparison comparison, ToDoubleFunction<Measurement> value) {
    List<SvgChart.Series> series = new ArrayList<>();
    series.add(series("transfer first", comparison.recycled(), value));
    for (List<Measurement> run : comparison.direct()) {
      series.add(series(direct(run), run, value));
    }
    return SvgChart.of(title, "steps of fine-tuning", unit, series) + "\n";
  }

  private static SvgChart.Series series(
      String name, List<Measurement> points, ToDoubleFunction<Measurement> value) {
    return new SvgChart.Series(
        name,
        points.stream().map(point -> (double) point.step()).toList(),
        points.stream().map(value::applyAsDouble).toList());
  }
}
