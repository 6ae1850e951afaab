package dev.whence.benchmarks.fidelity;

import dev.whence.benchmarks.fidelity.Subject.Origin;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/**
 * A picture of methods by cost (logarithmic, to the right) and mAP@3 (upwards, with its interval).
 * Ours are green circles, the literature's grey squares, numbered by falling mAP@3; a line joins
 * those that nothing beats at their cost.
 */
final class ParetoPlot {
  private static final int WIDTH = 1000;
  private static final int HEIGHT = 520;
  private static final int LEFT = 70;
  private static final int RIGHT = 380;
  private static final int TOP = 74;
  private static final int BOTTOM = 60;
  private static final int LABEL_HEIGHT = 19;
  private static final String OURS = "#0b6e4f";
  private static final String THEIRS = "#7a828c";
  private static final String FRONT = "#a9cfc0";

  private ParetoPlot() {}

  /**
   * A method.
   *
   * @param cost in passes, above 0
   * @param value from 0 to 1
   */
  record Point(String name, Origin origin, double cost, Interval value) {
    String colour() {
      return origin == Origin.OURS ? OURS : THEIRS;
    }

    String label() {
      return String.format(Locale.ROOT, "%s: %.2f, %.1f passes", name, value.mean(), cost);
    }
  }

  static String svg(String title, List<Point> points) {
    Svg svg = new Svg(WIDTH, HEIGHT);
    svg.text(LEFT, 28, "start", "font-size=\"16\"", title);
    svg.circle(LEFT + 6, 50, 5, OURS);
    svg.text(LEFT + 18, 54, "start", "", "ours");
    svg.square(LEFT + 76, 50, 4.5, THEIRS);
    svg.text(LEFT + 88, 54, "start", "", "literature");
    svg.segment(LEFT + 170, 50, LEFT + 200, 50, FRONT, 3);
    svg.text(LEFT + 208, 54, "start", "", "best at its cost; bars: 95 % bootstrap interval");
    if (points.isEmpty()) {
      return svg.text();
    }
    double right = WIDTH - RIGHT;
    double bottom = HEIGHT - BOTTOM;
    Scale x =
        Scale.around(
            points.stream().mapToDouble(Point::cost).min().orElse(1),
            points.stream().mapToDouble(Point::cost).max().orElse(1) * 1.05,
            LEFT,
            right);
    for (double tick : x.ticks()) {
      svg.segment(x.at(tick), TOP, x.at(tick), bottom, Svg.GRID, 1);
      svg.text(x.at(tick), bottom + 20, "middle", "", Scale.label(tick));
    }
    double lowest = points.stream().mapToDouble(point -> point.value().low()).min().orElse(0);
    double floor = Math.max(0, Math.floor(lowest * 10) / 10);
    for (int tenth = (int) Math.round(floor * 10); tenth <= 10; tenth++) {
      double y = y(tenth / 10.0, floor);
      svg.segment(LEFT, y, right, y, Svg.GRID, 1);
      svg.text(LEFT - 8, y + 4, "end", "", String.format(Locale.ROOT, "%.1f", tenth / 10.0));
    }
    svg.text(
        (LEFT + right) / 2,
        HEIGHT - 14,
        "middle",
        "",
        "passes over prompt and response, the trunk's included (log scale)");
    svg.upwards(22, (TOP + bottom) / 2, "mAP@3 against exact leave-one-out");
    List<Point> front =
        points.stream()
            .filter(point -> isBest(point, points))
            .sorted(Comparator.comparingDouble(Point::cost))
            .toList();
    for (int i = 1; i < front.size(); i++) {
      Point one = front.get(i - 1);
      Point two = front.get(i);
      svg.segment(
          x.at(one.cost()),
          y(one.value().mean(), floor),
          x.at(two.cost()),
          y(two.value().mean(), floor),
          FRONT,
          3);
    }
    List<Point> ordered =
        points.stream()
            .sorted(
                Comparator.comparingDouble((Point point) -> -point.value().mean())
                    .thenComparing(Point::cost))
            .toList();
    for (int i = ordered.size() - 1; i >= 0; i--) { // the best ones are drawn last
      Point point = ordered.get(i);
      double px = x.at(point.cost());
      double py = y(point.value().mean(), floor);
      double low = y(point.value().low(), floor);
      svg.segment(px, low, px, y(point.value().high(), floor), point.colour(), 1.5);
      marker(svg, point, px, py, i + 1);
      double row = TOP + LABEL_HEIGHT * i;
      marker(svg, point, right + 24, row, i + 1);
      svg.text(right + 40, row + 4, "start", "font-size=\"12\"", point.label());
    }
    return svg.text();
  }

  /** A number on a circle or a square, which the list beside the picture explains. */
  private static void marker(Svg svg, Point point, double x, double y, int number) {
    if (point.origin() == Origin.OURS) {
      svg.circle(x, y, 8, point.colour());
    } else {
      svg.square(x, y, 7.5, point.colour());
    }
    svg.text(x, y + 3.5, "middle", "font-size=\"10\" fill=\"white\"", String.valueOf(number));
  }

  /** Whether nothing is at least as good for less. */
  private static boolean isBest(Point point, List<Point> all) {
    double value = point.value().mean();
    return all.stream()
        .noneMatch(
            other ->
                (other.cost() < point.cost() && other.value().mean() >= value)
                    || (other.cost() <= point.cost() && other.value().mean() > value));
  }

  private static double y(double value, double floor) {
    double share = (Math.max(floor, value) - floor) / Math.max(0.1, 1 - floor);
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);
  }
}
