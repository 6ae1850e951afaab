package dev.whence.benchmarks.fidelity;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** A picture of methods by cost (logarithmic, to the right) and fidelity (upwards). */
final class ParetoPlot {
  private static final int WIDTH = 860;
  private static final int HEIGHT = 480;
  private static final int LEFT = 70;
  private static final int RIGHT = 230;
  private static final int TOP = 50;
  private static final int BOTTOM = 60;

  private ParetoPlot() {}

  /**
   * A method.
   *
   * @param cost in passes, above 0
   * @param value from 0 to 1
   * @param low end of its interval
   * @param high end of its interval
   */
  record Point(String name, double cost, double value, double low, double high) {}

  static String svg(String title, List<Point> points) {
    double most = points.stream().mapToDouble(Point::cost).max().orElse(10) * 1.1;
    double floor =
        Math.max(0, Math.floor(points.stream().mapToDouble(Point::low).min().orElse(0) * 10) / 10);
    StringBuilder out = new StringBuilder();
    line(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\""
            + " font-size=\"13\">",
        WIDTH,
        HEIGHT);
    line(out, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>", WIDTH, HEIGHT);
    line(out, "<text x=\"%d\" y=\"28\" font-size=\"16\">%s</text>", LEFT, escaped(title));
    for (double tick = 1; tick <= most; tick *= 2) {
      double x = x(tick, most);
      line(
          out,
          "<path d=\"M%.1f %d V%d\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%d\""
              + " text-anchor=\"middle\">%.0f</text>",
          x,
          TOP,
          HEIGHT - BOTTOM,
          x,
          HEIGHT - BOTTOM + 20,
          tick);
    }
    for (int tenth = (int) Math.round(floor * 10); tenth <= 10; tenth++) {
      double y = y(tenth / 10.0, floor);
      line(
          out,
          "<path d=\"M%d %.1f H%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\""
              + " text-anchor=\"end\">%.1f</text>",
          LEFT,
          y,
          WIDTH - RIGHT,
          LEFT - 8,
          y + 4,
          tenth / 10.0);
    }
    line(
        out,
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">passes over prompt and response (log"
            + " scale)</text>",
        (LEFT + WIDTH - RIGHT) / 2,
        HEIGHT - 14);
    line(
        out,
        "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">mAP@3 against"
            + " exact LOO</text>",
        (TOP + HEIGHT - BOTTOM) / 2);
    List<Point> sorted =
        points.stream().sorted(Comparator.comparingDouble(p -> -p.value())).toList();
    List<Double> labels = new ArrayList<>();
    double next = TOP;
    for (Point point : sorted) {
      next = Math.max(next, y(point.value(), floor));
      labels.add(next);
      next += 17;
    }
    for (int i = 0; i < sorted.size(); i++) {
      Point point = sorted.get(i);
      double x = x(point.cost(), most);
      double y = y(point.value(), floor);
      String colour = isPareto(point, points) ? "#0b6e4f" : "#888";
      line(
          out,
          "<path d=\"M%.1f %.1f V%.1f\" stroke=\"%s\"/><circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\""
              + " fill=\"%s\"/>",
          x,
          y(point.low(), floor),
          y(point.high(), floor),
          colour,
          x,
          y,
          colour);
      double labelX = WIDTH - RIGHT + 16;
      line(
          out,
          "<path d=\"M%.1f %.1f L%.1f %.1f\" stroke=\"%s\" stroke-width=\"0.5\"/>"
              + "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s</text>",
          x + 6,
          y,
          labelX - 4,
          labels.get(i),
          colour,
          labelX,
          labels.get(i) + 4,
          colour,
          escaped(point.name()));
    }
    return out.append("</svg>\n").toString();
  }

  /** Whether nothing is at least as good for less. */
  private static boolean isPareto(Point point, List<Point> all) {
    return all.stream()
        .noneMatch(
            other ->
                (other.cost() < point.cost() && other.value() >= point.value())
                    || (other.cost() <= point.cost() && other.value() > point.value()));
  }

  private static double x(double cost, double most) {
    double share = Math.log(Math.max(1, cost)) / Math.log(Math.max(2, most));
    return LEFT + share * (WIDTH - RIGHT - LEFT);
  }

  private static double y(double value, double floor) {
    double share = (Math.max(floor, value) - floor) / Math.max(0.1, 1 - floor);
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }

  private static void line(StringBuilder out, String format, Object... values) {
    out.append(String.format(Locale.ROOT, format, values)).append('\n');
  }
}
