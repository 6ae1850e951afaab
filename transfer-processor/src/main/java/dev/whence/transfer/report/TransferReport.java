package dev.whence.transfer.report;

import dev.whence.transfer.gate.GateOptions;
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

  /**
   * Writes the page.
   *
   * @param limits that the gates held the measurements against
   */
  public static String html(Manifest manifest, GateReport report, GateOptions limits) {
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
    html.append("<tr><th>gate</th><th>verdict</th><th>measured, and what it must be</th></tr>\n");
    for (GateReport.Gate gate : report.gates()) {
      html.append(
          "<tr><th>"
              + SvgChart.escape(gate.name())
              + "</th><td>"
              + verdict(gate.passed())
              + "</td><td>"
              + SvgChart.escape(gate.detail())
              + "</td></tr>\n");
    }
    html.append("</table>\n<h2>Barrier of the way, nats per token</h2>\n<table>\n");
    html.append("<tr><th>set</th><th>barrier</th><th>limit</th><th>verdict</th></tr>\n");
    barrier(html, "task", report.barrierTask(), limits);
    barrier(html, "general", report.barrierGeneral(), limits);
    html.append("</table>\n<h2>Limits</h2>\n<table>\n");
    row(html, "barrier", number(limits.barrierLimit()) + " nats per token, on both sets");
    row(html, "task(M) / task(F)", "at most 1 + " + number(limits.taskTolerance()));
    row(
        html,
        "(general(M) / general(T)) / (general(F) / general(B))",
        "at most 1 + " + number(limits.generalTolerance()));
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

  private static void barrier(StringBuilder html, String set, double barrier, GateOptions limits) {
    html.append(
        "<tr><th>"
            + set
            + " set</th><td>"
            + number(barrier)
            + "</td><td>"
            + number(limits.barrierLimit())
            + "</td><td>"
            + verdict(barrier <= limits.barrierLimit())
            + "</td></tr>\n");
  }

  private static String verdict(boolean passed) {
    return "<span class=\"" + (passed ? "yes\">passed" : "no\">failed") + "</span>";
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }

  private static String code(String text) {
    return "<code>" + SvgChart.escape(text) + "</code>";
  }

  private static void row(StringBuilder html, String name, String value) {
    html.append("<tr><th>" + name + "</th><td>" + value + "</td></tr>\n");
  }
}
