package dev.whence.cli;

import dev.whence.quickstart.view.Terminal;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * How far a job is, on one line of a terminal that is drawn over again; nothing where standard
 * error is not a terminal.
 */
final class ProgressBar {
  private static final int WIDTH = 30;
  private static final String CLEAR_LINE = "\r\u001b[K";

  private final PrintWriter err;
  private final boolean terminal;
  private final LongSupplier nanos;
  private volatile long started;
  private volatile double shareBefore;
  private volatile long countBefore;

  /**
   * @param nanos a clock
   */
  ProgressBar(PrintWriter err, boolean terminal, LongSupplier nanos) {
    this.err = err;
    this.terminal = terminal;
    this.nanos = nanos;
    this.started = nanos.getAsLong();
  }

  static ProgressBar on(PrintWriter err) {
    return new ProgressBar(
        err, Terminal.detectError(System.err, System.getenv()).ansi(), System::nanoTime);
  }

  /** Rate and time left count from here on, for what is shown from here on. */
  void begin() {
    begin(0, 0, 0);
  }

  /**
   * The same, of a job that has come so far already.
   *
   * @param total 0: not known
   */
  void begin(long done, long total, long count) {
    started = nanos.getAsLong();
    shareBefore = total <= 0 ? 0 : Math.min(1, (double) done / total);
    countBefore = count;
  }

  /** Says something on a line of its own, terminal or not. */
  void note(String sentence) {
    err.println((terminal ? CLEAR_LINE : "") + Failure.oneLine(sentence));
    err.flush();
  }

  void show(long done, long total, long count, String unit) {
    if (!terminal) {
      return;
    }
    double share = total <= 0 ? 1 : Math.min(1, (double) done / total);
    double seconds = (nanos.getAsLong() - started) / 1e9;
    int full = (int) Math.round(share * WIDTH);
    String left =
        share <= shareBefore || share >= 1
            ? ""
            : ", " + Math.round(seconds * (1 - share) / (share - shareBefore)) + " s left";
    err.print(
        String.format(
            Locale.ROOT,
            "%s[%s%s] %3d %%  %d %s, %.0f/s%s",
            CLEAR_LINE,
            "#".repeat(full),
            "-".repeat(WIDTH - full),
            Math.round(share * 100),
            count,
            unit,
            (count - countBefore) / Math.max(seconds, 1e-9),
            left));
    err.flush();
  }

  void finish() {
    if (terminal) {
      err.println();
      err.flush();
    }
  }
}
