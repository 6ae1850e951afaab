package dev.whence.conversation;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class LineReaderTest {

  @Test
  void aLineOverTheBoundIsPassedOverWithoutBeingKept() throws IOException {
    List<LineReader.Line> lines = read("ab\n" + "x".repeat(1000) + "\ncd", 10);

    assertThat(lines).extracting(LineReader.Line::text).containsExactly("ab", null, "cd");
    assertThat(lines.get(1).problem()).isEqualTo("the line has 1000 bytes; at most 10 are read");
    assertThat(lines.get(2).number()).isEqualTo(3);
  }

  @Test
  void bytesThatAreNotUtf8AreAProblemAndNotReplaced() throws IOException {
    LineReader reader =
        new LineReader(new ByteArrayInputStream(new byte[] {(byte) 0xC3, '\n', 'a'}), 10);

    assertThat(reader.next()).isEqualTo(new LineReader.Line(1, null, "the line is not UTF-8"));
    assertThat(reader.next()).isEqualTo(new LineReader.Line(2, "a", ""));
    assertThat(reader.next()).isNull();
  }

  /** The definition: split at line feeds, the last piece counts unless it is empty. */
  @Property
  void linesAreWhatStandsBetweenLineFeeds(@ForAll List<String> texts) throws IOException {
    List<String> expected = new ArrayList<>();
    StringBuilder file = new StringBuilder();
    for (String text : texts) {
      String line = text.replaceAll("[\\n\\r\\uFEFF\\p{Cs}]", "");
      expected.add(line);
      file.append(line).append('\n');
    }

    assertThat(read(file.toString(), 1 << 20))
        .extracting(LineReader.Line::text)
        .isEqualTo(expected);
  }

  private static List<LineReader.Line> read(String text, int maxBytes) throws IOException {
    LineReader reader =
        new LineReader(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)), maxBytes);
    List<LineReader.Line> lines = new ArrayList<>();
    for (LineReader.Line line = reader.next(); line != null; line = reader.next()) {
      lines.add(line);
    }
    return lines;
  }
}
