package dev.whence.benchmarks.fidelity;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A logarithmic axis.
 *
 * @param least value that is drawn at {@code from}, above 0
 * @param most value that is drawn at {@code to}
 */
record Scale(double least, double most, double from, double to) {
  /** Round bounds around some values. */
  static Scale around(double smallest, double largest, double from, double to) {
    double least = largest;
    double most = smallest;
    for (double tick : ticks(smallest / 10, largest * 10)) {
      if (tick <= smallest * 1.001) {
        least = tick;
      }
      if (tick >= largest * 0.999) {
        most = tick;
        break;
      }
    }
    return new Scale(Math.min(least, smallest), Math.max(most, largest), from, to);
  }

  double at(double value) {
    double share = Math.log(value / least) / Math.log(most / least);
    return from + Math.max(0, Math.min(1, share)) * (to - from);
  }

  /** 1, 2, 5, 10, 20, ... within the bounds. */
  List<Double> ticks() {
    return ticks(least * 0.999, most * 1.001);
  }

  private static List<Double> ticks(double from, double to) {
    List<Double> ticks = new ArrayList<>();
    for (int e = (int) Math.floor(Math.log10(from)); Math.pow(10, e) <= to; e++) {
      for (int digit : new int[] {1, 2, 5}) {
        double tick = digit * Math.pow(10, e);
        if (tick >= from && tick <= to) {
          ticks.add(tick);
        }
      }
    }
    return ticks;
  }

  /** "0.05", "2", "5000". */
  static String label(double tick) {
    return tick >= 1
        ? String.valueOf(Math.round(tick))
        : String.format(Locale.ROOT, "%." + (int) Math.ceil(-Math.log10(tick)) + "f", tick);
  }
}
