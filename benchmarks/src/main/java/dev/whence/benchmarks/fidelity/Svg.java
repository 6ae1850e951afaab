package dev.whence.benchmarks.fidelity;

import java.util.Locale;

/** An SVG picture, written element by element; numbers with one digit after the point. */
final class Svg {
  /** The text's and the axes' colour, and that of lines behind the figures. */
  static final String INK = "#24292f";

  static final String GRID = "#e3e6ea";

  private final StringBuilder out = new StringBuilder();

  Svg(int width, int height) {
    line(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\""
            + " font-family=\"sans-serif\" font-size=\"13\" fill=\"%s\">",
        width, height, width, height, INK);
    line("<rect width=\"%d\" height=\"%d\" fill=\"white\"/>", width, height);
  }

  /**
   * Text beside a point.
   *
   * @param anchor start, middle or end
   * @param more attributes, or empty
   */
  void text(double x, double y, String anchor, String more, String text) {
    line(
        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>%s</text>",
        x, y, anchor, more, text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"));
  }

  /** Text that reads upwards. */
  void upwards(double x, double y, String text) {
    text(
        x,
        y,
        "middle",
        String.format(Locale.ROOT, "transform=\"rotate(-90 %.1f %.1f)\"", x, y),
        text);
  }

  void segment(double x1, double y1, double x2, double y2, String colour, double width) {
    line(
        "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"%s\" stroke-width=\"%.1f\"/>",
        x1, y1, x2, y2, colour, width);
  }

  void circle(double x, double y, double radius, String colour) {
    line("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>", x, y, radius, colour);
  }

  void square(double x, double y, double half, String colour) {
    line(
        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>",
        x - half, y - half, 2 * half, 2 * half, colour);
  }

  private void line(String format, Object... values) {
    out.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  String text() {
    return out + "</svg>\n";
  }
}
