package dev.whence.transfer.report;

import java.util.List;
import java.util.Locale;

/** A small line chart as SVG text: axes with their ends, one polyline per series, a legend. */
public final class SvgChart {
  private static final int WIDTH = 560;
  private static final int HEIGHT = 300;
  private static final int LEFT = 70;
  private static final int RIGHT = 20;
  private static final int TOP = 30;
  private static final int BOTTOM = 60;
  private static final List<String> COLOURS = List.of("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad");

  private SvgChart() {}

  /** A line of the chart; x and y have the same length. */
  public record Series(String name, List<Double> x, List<Double> y) {
    public Series {
      x = List.copyOf(x);
      y = List.copyOf(y);
      if (x.size() != y.size()) {
        throw new IllegalArgumentException(x.size() + " places, but " + y.size() + " values");
      }
    }
  }

  /** Draws the series; values that are not finite are left out. */
  public static String of(String title, String xLabel, String yLabel, List<Series> series) {
    double[] x = range(series.stream().flatMap(one -> one.x().stream()).toList());
    double[] y = range(series.stream().flatMap(one -> one.y().stream()).toList());
    StringBuilder svg = new StringBuilder();
    svg.append(
        format(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\""
                + " font-family=\"sans-serif\" font-size=\"12\" role=\"img\">%n",
            WIDTH, HEIGHT, WIDTH));
    svg.append(format("<title>%s</title>%n", escape(title)));
    text(svg, LEFT, 18, "start", title);
    svg.append(
        format(
            "<path d=\"M%d %d V%d H%d\" fill=\"none\" stroke=\"#444\"/>%n",
            LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT));
    text(svg, LEFT, HEIGHT - BOTTOM + 16, "middle", format("%.3g", x[0]));
    text(svg, WIDTH - RIGHT, HEIGHT - BOTTOM + 16, "end", format("%.3g", x[1]));
    text(svg, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 16, "middle", xLabel);
    text(svg, LEFT - 6, HEIGHT - BOTTOM, "end", format("%.4g", y[0]));
    text(svg, LEFT - 6, TOP + 6, "end", format("%.4g", y[1]));
    text(svg, LEFT - 6, (TOP + HEIGHT - BOTTOM) / 2, "end", yLabel);
    for (int s = 0; s < series.size(); s++) {
      String colour = COLOURS.get(s % COLOURS.size());
      StringBuilder points = new StringBuilder();
      for (int i = 0; i < series.get(s).x().size(); i++) {
        double value = series.get(s).y().get(i);
        if (Double.isFinite(value)) {
          points.append(
              format(
                  "%.1f,%.1f ",
                  LEFT + (series.get(s).x().get(i) - x[0]) / (x[1] - x[0]) * (WIDTH - LEFT - RIGHT),
                  HEIGHT - BOTTOM - (value - y[0]) / (y[1] - y[0]) * (HEIGHT - TOP - BOTTOM)));
        }
      }
      svg.append(
          format(
              "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>%n",
              points.toString().strip(), colour));
      int legend = LEFT + s * 150;
      svg.append(
          format(
              "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"4\" fill=\"%s\"/>%n",
              legend, HEIGHT - 20, colour));
      text(svg, legend + 18, HEIGHT - 14, "start", series.get(s).name());
    }
    return svg.append("</svg>").toString();
  }

  private static double[] range(List<Double> values) {
    double low = values.stream().filter(Double::isFinite).mapToDouble(v -> v).min().orElse(0);
    double high = values.stream().filter(Double::isFinite).mapToDouble(v -> v).max().orElse(1);
    return high > low ? new double[] {low, high} : new double[] {low - .5, low + .5};
  }

  private static void text(StringBuilder svg, int x, int y, String anchor, String content) {
    svg.append(
        format(
            "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>%n",
            x, y, anchor, escape(content)));
  }

  static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
