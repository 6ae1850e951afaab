package dev.whence.benchmarks.fidelity;

import dev.whence.benchmarks.fidelity.ScalingReport.Point;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * Two pictures side by side, both axes logarithmic: seconds over the number of sources, and over
 * the length. Dots are measured; lines are the formula's tokens at the method's median time per
 * token of that picture, so that a line which leaves its dots tells of growth that the formula does
 * not know.
 */
final class ScalingPlot {
  private static final int WIDTH = 1020;
  private static final int HEIGHT = 480;
  private static final int TOP = 60;
  private static final int BOTTOM = 60;
  private static final int PANEL = 330;
  private static final int FIRST = 70;
  private static final int SECOND = 460;
  private static final List<String> COLOURS =
      List.of(
          "#7a828c", "#24292f", "#0b6e4f", "#35a27a", "#7cc96b", "#b0632a", "#c1373e", "#8250df",
          "#d29922", "#2f6fd0", "#12a3b4", "#e07bb0");

  private ScalingPlot() {}

  static String svg(ScalingReport report) {
    Svg svg = new Svg(WIDTH, HEIGHT);
    svg.text(FIRST, 28, "start", "font-size=\"16\"", "How cost grows: " + report.model());
    double least = Double.MAX_VALUE;
    double most = 0;
    for (Point point : report.points()) {
      least = Math.min(least, point.seconds().median());
      most = Math.max(most, point.seconds().median());
    }
    Scale y = Scale.around(least, most, (double) HEIGHT - BOTTOM, TOP);
    int middleT =
        report.overSources(report.methods().get(0)).stream()
            .mapToInt(Point::tokens)
            .max()
            .orElse(report.middleTokens());
    axes(svg, y, FIRST, "sources n, at T = " + middleT);
    axes(svg, y, SECOND, "tokens T, at n = " + report.middleSources());
    svg.upwards(20, (double) (TOP + HEIGHT - BOTTOM) / 2, "seconds");
    List<String> methods = report.methods();
    ticks(svg, FIRST, report.overSources(methods.get(0)), Point::sources);
    ticks(svg, SECOND, report.overTokens(methods.get(0)), Point::tokens);
    for (int m = 0; m < methods.size(); m++) {
      String colour = COLOURS.get(m % COLOURS.size());
      curve(svg, y, FIRST, colour, report.overSources(methods.get(m)), Point::sources);
      curve(svg, y, SECOND, colour, report.overTokens(methods.get(m)), Point::tokens);
      double row = TOP + 10 + 20.0 * m;
      double x = SECOND + PANEL + 16;
      svg.segment(x, row, x + 18, row, colour, 2);
      svg.circle(x + 9, row, 3.5, colour);
      svg.text(x + 26, row + 4, "start", "font-size=\"12\"", methods.get(m));
    }
    double note = TOP + 10 + 20.0 * methods.size() + 8;
    double x = SECOND + PANEL + 16;
    svg.text(x, note, "start", "font-size=\"11\"", "dots: measured; lines: formula,");
    svg.text(x, note + 15, "start", "font-size=\"11\"", "at the median time per token");
    return svg.text();
  }

  private static void axes(Svg svg, Scale y, double left, String label) {
    for (double tick : y.ticks()) {
      svg.segment(left, y.at(tick), left + PANEL, y.at(tick), Svg.GRID, 1);
      svg.text(left - 8, y.at(tick) + 4, "end", "font-size=\"11\"", Scale.label(tick));
    }
    svg.text(left + PANEL / 2.0, HEIGHT - 14, "middle", "", label);
  }

  private static Scale across(double left, List<Point> points, ToDoubleFunction<Point> value) {
    double least = points.stream().mapToDouble(value).min().orElse(1);
    double most = points.stream().mapToDouble(value).max().orElse(1);
    return new Scale(least, most > least ? most : 2 * least, left + 14, left + PANEL - 14.0);
  }

  private static void ticks(
      Svg svg, double left, List<Point> points, ToDoubleFunction<Point> value) {
    Scale x = across(left, points, value);
    for (Point point : points) {
      double at = value.applyAsDouble(point);
      svg.segment(x.at(at), TOP, x.at(at), HEIGHT - BOTTOM, Svg.GRID, 1);
      svg.text(x.at(at), HEIGHT - BOTTOM + 20, "middle", "", String.valueOf(Math.round(at)));
    }
  }

  private static void curve(
      Svg svg,
      Scale y,
      double left,
      String colour,
      List<Point> points,
      ToDoubleFunction<Point> value) {
    Scale x = across(left, points, value);
    double[] perToken =
        points.stream().mapToDouble(p -> p.seconds().median() / p.formula()).sorted().toArray();
    double rate = perToken[perToken.length / 2];
    for (int i = 0; i < points.size(); i++) {
      Point point = points.get(i);
      double px = x.at(value.applyAsDouble(point));
      svg.circle(px, y.at(point.seconds().median()), 3.5, colour);
      if (i > 0) {
        Point before = points.get(i - 1);
        svg.segment(
            x.at(value.applyAsDouble(before)),
            y.at(before.formula() * rate),
            px,
            y.at(point.formula() * rate),
            colour,
            1.2);
      }
    }
  }
}
