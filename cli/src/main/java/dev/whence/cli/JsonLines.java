package dev.whence.cli;

import dev.whence.conversation.ConversationFormatException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The lines of a JSONL file one by one. A line that is too long or not UTF-8 is a problem of that
 * line only.
 */
final class JsonLines {
  /** A line longer than this is not read into memory. */
  static final int MAX_LINE_BYTES = 64 << 20;

  /** What is done with a line that can not be read. */
  interface Problem {
    void accept(long number, RuntimeException problem);
  }

  private JsonLines() {}

  /**
   * Reads every line that is not blank.
   *
   * @param read from a line, without its end, to what it says; throws ConversationFormatException
   *     or IllegalArgumentException
   * @param action what is done with it
   * @return whether every line could be read
   */
  static <T> boolean forEach(
      Path file, Function<String, T> read, Consumer<T> action, Problem onProblem)
      throws IOException {
    boolean clean = true;
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
      ByteArrayOutputStream line = new ByteArrayOutputStream();
      long number = 1;
      boolean tooLong = false;
      boolean open = true;
      while (open) {
        int b = in.read();
        open = b >= 0;
        if (open && b != '\n') {
          tooLong |= line.size() >= MAX_LINE_BYTES;
          if (!tooLong) {
            line.write(b);
          }
          continue;
        }
        Optional<T> value = Optional.empty();
        try {
          if (tooLong) {
            throw new IllegalArgumentException("longer than " + MAX_LINE_BYTES + " bytes");
          }
          String text = decode(line.toByteArray());
          value = text.isBlank() ? Optional.empty() : Optional.of(read.apply(text));
        } catch (ConversationFormatException | IllegalArgumentException e) {
          clean = false;
          onProblem.accept(number, e);
        }
        value.ifPresent(action);
        line.reset();
        tooLong = false;
        number++;
      }
    }
    return clean;
  }

  private static String decode(byte[] bytes) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException("not UTF-8", e);
    }
  }
}
