package dev.whence.transfer.report;

import dev.whence.transfer.gate.GateReport;
import dev.whence.transfer.gate.GateReport.Point;
import dev.whence.transfer.merge.Manifest;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;

/** A transfer and its gates as one HTML file that needs nothing else. */
public final class TransferReport {
  private TransferReport() {}

  /** Writes the page. */
  public static String html(Manifest manifest, GateReport report) {
    StringBuilder html = new StringBuilder();
    html.append(
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>Transfer report</title>
        <style>body{font-family:sans-serif;max-width:60em;margin:2em auto;color:#222}
        table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em .8em;border-bottom:1px solid
        #ddd;text-align:left}.yes{color:#2e8b57}.no{color:#c0392b}code{font-size:85%}</style></head>
        <body>
        """);
    html.append("<h1>Transfer " + (report.passed() ? "passed" : "rejected") + "</h1>\n<table>\n");
    row(html, "plan", code(manifest.plan()));
    row(html, "lambda", String.valueOf(report.lambda()));
    row(html, "digest", code(manifest.digest()));
    new TreeMap<>(manifest.ancestors())
        .forEach(
            (role, ancestor) ->
                row(html, role, SvgChart.escape(ancestor.name()) + " " + code(ancestor.digest())));
    html.append("</table>\n<h2>Gates</h2>\n<table>\n");
    for (GateReport.Gate gate : report.gates()) {
      row(
          html,
          SvgChart.escape(gate.name()),
          "<span class=\""
              + (gate.passed() ? "yes\">passed" : "no\">failed")
              + "</span>: "
              + SvgChart.escape(gate.detail()));
    }
    html.append(
        """
        </table>
        <h2>Losses, nats per token</h2>
        <table>
        <tr><th>model</th><th>task set</th><th>general set</th></tr>
        """);
    for (GateReport.ModelLoss loss : report.losses()) {
      html.append(
          String.format(
              Locale.ROOT,
              "<tr><td>%s</td><td>%.4f</td><td>%.4f</td></tr>%n",
              SvgChart.escape(loss.model()),
              loss.task(),
              loss.general()));
    }
    html.append("</table>\n");
    chart(
        html,
        "From the fine-tuned model (0) to the transferred one (1)",
        "a",
        report.connectivity());
    chart(html, "Transferred model by lambda", "lambda", report.sweep());
    html.append("<h2>Tensors</h2>\n<table>\n");
    Map<String, Long> policies = new TreeMap<>();
    manifest.tensors().values().forEach(tensor -> policies.merge(tensor.policy(), 1L, Long::sum));
    policies.forEach((policy, count) -> row(html, SvgChart.escape(policy), count + " tensors"));
    return html.append("</table>\n</body></html>\n").toString();
  }

  private static void chart(StringBuilder html, String title, String xLabel, List<Point> points) {
    if (points.isEmpty()) {
      return;
    }
    html.append("<h2>" + SvgChart.escape(title) + "</h2>\n");
    html.append(
        SvgChart.of(
            title,
            xLabel,
            "nats",
            List.of(
                series("task set", points, Point::task),
                series("general set", points, Point::general))));
    html.append("\n");
  }

  private static SvgChart.Series series(
      String name, List<Point> points, Function<Point, Double> loss) {
    return new SvgChart.Series(
        name, points.stream().map(Point::at).toList(), points.stream().map(loss).toList());
  }

  private static String code(String text) {
    return "<code>" + SvgChart.escape(text) + "</code>";
  }

  private static void row(StringBuilder html, String name, String value) {
    html.append("<tr><th>" + name + "</th><td>" + value + "</td></tr>\n");
  }
}
