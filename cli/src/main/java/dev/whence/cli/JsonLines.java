package dev.whence.cli;

import dev.whence.conversation.Compressed;
import dev.whence.conversation.ConversationFormatException;
import dev.whence.conversation.LineReader;
import dev.whence.files.FileProblem;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;

/** The lines of a JSONL file one by one; a bad line is a problem of that line only. */
final class JsonLines {
  /** A line longer than this is not read into memory. */
  private static final int MAX_LINE_BYTES = 64 << 20;

  /** What is done with a line that can not be read; the problem can be shown. */
  interface Problem {
    void accept(long number, String problem);
  }

  /** What is done with a line that could be read. */
  interface Action<T> {
    void accept(T value) throws IOException;
  }

  private JsonLines() {}

  /**
   * Reads every line that is not blank, of a file that may be compressed with gzip.
   *
   * @param read from a line to what it says; throws ConversationFormatException or
   *     IllegalArgumentException
   * @param action what is done with it
   * @return whether every line could be read
   * @throws IOException if the file can not be read, which it names, or of the action
   */
  static <T> boolean forEach(
      Path file, Function<String, T> read, Action<T> action, Problem onProblem) throws IOException {
    boolean clean = true;
    // Not Files.newInputStream: its streams ask a pipe for a position, which it has not.
    try (InputStream raw = new FileInputStream(file.toFile());
        InputStream in = named(file, () -> Compressed.opened(raw))) {
      LineReader lines = new LineReader(in, MAX_LINE_BYTES);
      while (true) {
        Optional<LineReader.Line> next = named(file, () -> Optional.ofNullable(lines.next()));
        if (next.isEmpty()) {
          return clean;
        }
        LineReader.Line line = next.get();
        String text = line.text();
        if (text != null && text.isBlank()) {
          continue;
        }
        Optional<T> value = Optional.empty();
        String problem = line.problem();
        if (text != null) {
          try {
            value = Optional.of(read.apply(text));
          } catch (ConversationFormatException | IllegalArgumentException e) {
            problem = Failure.sentence(e);
          }
        }
        if (value.isEmpty()) {
          clean = false;
          onProblem.accept(line.number(), Failure.oneLine(problem));
        }
        if (value.isPresent()) {
          action.accept(value.get());
        }
      }
    }
  }

  /** Something that is read of a file. */
  private interface Reading<T> {
    T read() throws IOException;
  }

  /** What goes wrong with compressed data does not say whose. */
  private static <T> T named(Path file, Reading<T> reading) throws IOException {
    try {
      return reading.read();
    } catch (IOException e) {
      throw new IOException("'" + file + "' can not be read: " + FileProblem.of(e, file), e);
    }
  }
}
