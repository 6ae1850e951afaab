package dev.whence.conversation;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.SequenceInputStream;
import java.nio.charset.StandardCharsets;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;

/** Files as they lie about, and as pipes give them. */
class CompressedTest {
  private static byte[] packed(String text) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (OutputStream out = new GZIPOutputStream(bytes)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    }
    return bytes.toByteArray();
  }

  private static String read(InputStream raw) throws IOException {
    return new String(Compressed.opened(raw).readAllBytes(), StandardCharsets.UTF_8);
  }

  /** A pipe whose writer pauses: nothing is available beyond what was written before. */
  private static InputStream pausing(byte[] first, byte[] second) {
    return new SequenceInputStream(
        new ByteArrayInputStream(first),
        new ByteArrayInputStream(second) {
          @Override
          public synchronized int available() {
            return 0;
          }
        });
  }

  @Test
  void allMembersOfACompressedPipeAreReadHoweverLongItsWriterPauses() throws IOException {
    byte[] a = packed("first\n".repeat(5000));
    byte[] b = packed("second\n");
    assertThat(read(pausing(a, b))).isEqualTo("first\n".repeat(5000) + "second\n");
    assertThat(read(pausing(a, new byte[0]))).isEqualTo("first\n".repeat(5000));
  }

  @Test
  void plainTextIsReadAsItIs() throws IOException {
    assertThat(read(new ByteArrayInputStream("plain\n".getBytes(StandardCharsets.UTF_8))))
        .isEqualTo("plain\n");
    assertThat(read(new ByteArrayInputStream(new byte[0]))).isEmpty();
  }
}
