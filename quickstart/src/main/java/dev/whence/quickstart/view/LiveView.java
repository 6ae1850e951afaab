package dev.whence.quickstart.view;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Attributions as they come in, one below the other, with a line at the bottom that says what goes
 * on and how fast. Where there is no terminal, the line at the bottom is left out. Thread-safe.
 */
public final class LiveView implements AutoCloseable {
  private static final String ERASE_LINE = "\r\u001b[2K";
  private static final int WINDOW = 1000; // latencies that the median is taken over

  private final Terminal terminal;
  private final InstantSource clock;
  private final List<Double> seconds = new ArrayList<>();
  private Instant since;
  private String activity = "";
  private int count;
  private long tokens;
  private boolean drawn;

  /**
   * @param clock for the throughput, which counts from now
   */
  public LiveView(Terminal terminal, InstantSource clock) {
    this.terminal = terminal;
    this.clock = clock;
    this.since = clock.instant();
  }

  /** Throughput counts from now on: whatever came before was getting ready. */
  public synchronized void startClock() {
    since = clock.instant();
  }

  /** Says what goes on, in the line at the bottom. */
  public synchronized void activity(String what) {
    activity = DisplayText.clean(what);
    draw();
  }

  /** Writes a line that stays. */
  public void line(String text) {
    lines(List.of(text));
  }

  /** Writes lines that stay, one below the other. */
  public synchronized void lines(List<String> texts) {
    erase();
    texts.forEach(terminal.out()::println);
    draw();
  }

  /**
   * Writes one attribution that stays.
   *
   * @param elapsed from the response's being on the topic to its attribution's being read, if known
   */
  public synchronized void show(AttributionView view, Optional<Duration> elapsed) {
    count++;
    tokens += view.tokens();
    if (seconds.size() == WINDOW) {
      seconds.remove(0);
    }
    seconds.add(view.seconds());
    erase();
    AttributionCard.lines(view, count, elapsed, terminal).forEach(terminal.out()::println);
    if (!terminal.ansi()) {
      terminal.out().println("  running: " + throughput(", "));
    }
    terminal.out().println();
    draw();
  }

  /** Attributions shown so far. */
  public synchronized int count() {
    return count;
  }

  /** Answers, answers and tokens per second, median of the model's time. */
  public synchronized String throughput(String separator) {
    double elapsed = Math.max(1, Duration.between(since, clock.instant()).toMillis()) / 1000.0;
    List<Double> sorted = new ArrayList<>(seconds);
    Collections.sort(sorted);
    double median = sorted.isEmpty() ? 0 : sorted.get(sorted.size() / 2);
    return String.join(
        separator,
        count + (count == 1 ? " answer" : " answers"),
        String.format(Locale.ROOT, "%.2f answers/s", count / elapsed),
        String.format(Locale.ROOT, "%,d tokens/s", Math.round(tokens / elapsed)),
        String.format(Locale.ROOT, "p50 %,d ms", Math.round(median * 1000)));
  }

  private void draw() {
    if (!terminal.ansi()) {
      return;
    }
    String separator = terminal.glyph(" · ", " | ");
    String text = count == 0 ? activity : throughput(separator) + separator + activity;
    String line = DisplayText.fit(text, terminal.columns() - 2, terminal.glyph("…", "..."));
    String arrow = terminal.glyph("▶ ", "> ");
    terminal.out().print(ERASE_LINE + Style.GOOD.begin() + arrow + Style.GOOD.end() + line);
    terminal.out().flush();
    drawn = true;
  }

  private void erase() {
    if (drawn) {
      terminal.out().print(ERASE_LINE);
      drawn = false;
    }
  }

  /** Takes the line at the bottom away. */
  @Override
  public synchronized void close() {
    erase();
    terminal.out().flush();
  }
}
