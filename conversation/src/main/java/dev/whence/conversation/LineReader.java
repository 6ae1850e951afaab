package dev.whence.conversation;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * Lines of UTF-8, none of them larger than a bound whatever the file holds: {@link
 * java.io.BufferedReader} would take a file without line breaks into memory whole, and would
 * replace what is not UTF-8 without a word.
 */
public final class LineReader {
  /**
   * A line, or why it is none.
   *
   * @param number of the line, from 1
   * @param text without its line break; null if it is too long or not UTF-8
   * @param problem what is wrong with it, or empty
   */
  public record Line(long number, @Nullable String text, String problem) {}

  private static final int BUFFER_BYTES = 1 << 16;

  private final InputStream in;
  private final int maxBytes;
  private long number;
  private long position;

  /**
   * @param in stays the caller's to close
   * @param maxBytes of a line
   */
  public LineReader(InputStream in, int maxBytes) {
    this.in = new BufferedInputStream(in, BUFFER_BYTES);
    this.maxBytes = maxBytes;
  }

  /**
   * How many bytes the lines so far have, their line breaks included: where the next one begins.
   */
  public long position() {
    return position;
  }

  /** The next line without its line break, or null at the end of the file. */
  public @Nullable Line next() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    long length = 0;
    int read = in.read();
    if (read < 0) {
      return null;
    }
    for (; read >= 0 && read != '\n'; read = in.read()) {
      length++;
      if (length <= maxBytes) {
        bytes.write(read);
      }
    }
    number++;
    position += read < 0 ? length : length + 1;
    if (length > maxBytes) {
      return new Line(
          number, null, "the line has " + length + " bytes; at most " + maxBytes + " are read");
    }
    try {
      String text =
          StandardCharsets.UTF_8
              .newDecoder()
              .decode(ByteBuffer.wrap(bytes.toByteArray()))
              .toString();
      return new Line(number, withoutMarks(text), "");
    } catch (CharacterCodingException e) {
      return new Line(number, null, "the line is not UTF-8");
    }
  }

  /** Drops the carriage return of other systems' line breaks, and a byte order mark. */
  private String withoutMarks(String text) {
    int start = number == 1 && text.startsWith("\uFEFF") ? 1 : 0;
    int end = text.endsWith("\r") ? text.length() - 1 : text.length();
    return text.substring(start, Math.max(start, end));
  }
}
