package dev.whence.quickstart.view;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.IntSupplier;

/**
 * Where results are shown.
 *
 * @param out the stream
 * @param ansi whether colours and a line that is written over are wanted and understood
 * @param unicode whether characters other than ASCII can be shown
 * @param width columns at the moment of asking
 */
public record Terminal(PrintStream out, boolean ansi, boolean unicode, IntSupplier width) {
  /** Columns where nobody says. */
  public static final int DEFAULT_WIDTH = 80;

  private static final int NARROWEST = 40;
  private static final int WIDEST = 120; // longer lines are hard to read

  /** Without colours, for files, pipes and logs. */
  public static Terminal plain(PrintStream out) {
    return new Terminal(out, false, nativeUnicode(), () -> DEFAULT_WIDTH);
  }

  /** A terminal with colours. */
  public static Terminal colour(PrintStream out, IntSupplier width) {
    return new Terminal(out, true, nativeUnicode(), width);
  }

  /**
   * The process's standard output: with colours if it is a terminal, unless {@code NO_COLOR} is set
   * (https://no-color.org) or {@code TERM} is {@code dumb}.
   *
   * @param out standard output
   * @param environment variables of the process
   */
  public static Terminal detect(PrintStream out, Map<String, String> environment) {
    return detect(out, environment, 1);
  }

  /**
   * The process's standard error, in the same way, wherever its standard output goes.
   *
   * @param err standard error
   * @param environment variables of the process
   */
  public static Terminal detectError(PrintStream err, Map<String, String> environment) {
    return detect(err, environment, 2);
  }

  private static Terminal detect(
      PrintStream stream, Map<String, String> environment, int descriptor) {
    boolean refused =
        !environment.getOrDefault("NO_COLOR", "").isEmpty()
            || environment.getOrDefault("TERM", "dumb").equals("dumb");
    return refused || !isTerminal(descriptor)
        ? plain(stream)
        : colour(stream, Terminal::driverColumns);
  }

  /** Columns to write in. */
  public int columns() {
    return Math.max(NARROWEST, Math.min(WIDEST, width.getAsInt()));
  }

  /** A character for drawing, or what stands for it where there is only ASCII. */
  String glyph(String symbol, String ascii) {
    return unicode ? symbol : ascii;
  }

  private static boolean nativeUnicode() {
    String encoding = System.getProperty("native.encoding", "UTF-8");
    return Charset.isSupported(encoding)
        && Charset.forName(encoding).newEncoder().canEncode('\u2588');
  }

  /** Asked of a child that inherits the stream; the JDK itself can not say it of one stream. */
  private static boolean isTerminal(int descriptor) {
    ProcessBuilder test = new ProcessBuilder("test", "-t", Integer.toString(descriptor));
    if (descriptor == 1) {
      test.redirectOutput(ProcessBuilder.Redirect.INHERIT);
    } else {
      test.redirectError(ProcessBuilder.Redirect.INHERIT);
    }
    return ask(test).isPresent();
  }

  /** What the terminal driver says; asked each time, since windows change their size. */
  private static int driverColumns() {
    ProcessBuilder stty =
        new ProcessBuilder("stty", "size")
            .redirectInput(Path.of("/dev/tty").toFile())
            .redirectError(ProcessBuilder.Redirect.DISCARD);
    return ask(stty)
        .filter(size -> size.matches("\\d{1,5} [1-9]\\d{0,4}"))
        .map(size -> Integer.parseInt(size.substring(size.indexOf(' ') + 1)))
        .orElse(DEFAULT_WIDTH);
  }

  /** The first bytes of what a program says, empty if it is not there or fails. */
  private static Optional<String> ask(ProcessBuilder program) {
    try {
      Process process = program.start();
      try (InputStream output = process.getInputStream()) {
        String said = new String(output.readNBytes(32), StandardCharsets.US_ASCII).strip();
        boolean done = process.waitFor(1, TimeUnit.SECONDS) && process.exitValue() == 0;
        return done ? Optional.of(said) : Optional.empty();
      } finally {
        process.destroy();
      }
    } catch (IOException e) { // no such program, no terminal
      return Optional.empty();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
    }
  }
}
