package dev.whence.embedded;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The registry's memory on disk: one JSON object per line, only ever appended, each on disk before
 * it is acknowledged. A line that a crash cut off was never acknowledged, and is dropped when the
 * journal is opened again. Not thread-safe.
 */
final class SchemaJournal implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final FileChannel channel;
  private long end;

  private SchemaJournal(FileChannel channel, long end) {
    this.channel = channel;
    this.end = end;
  }

  /** A journal and what stands in it, oldest first. */
  record Opened(SchemaJournal journal, List<JsonNode> entries) {}

  /**
   * @throws IOException if the file can not be read or written, or a line before the last is not
   *     JSON
   */
  static Opened open(Path file) throws IOException {
    byte[] bytes = Files.exists(file) ? Files.readAllBytes(file) : new byte[0];
    List<JsonNode> entries = new ArrayList<>();
    int start = 0;
    for (int i = 0; i < bytes.length; i++) {
      if (bytes[i] == '\n') {
        entries.add(parse(file, entries.size() + 1, bytes, start, i - start));
        start = i + 1;
      }
    }
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    try {
      channel.truncate(start);
      channel.position(start);
      channel.force(true);
      return new Opened(new SchemaJournal(channel, start), entries);
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  private static JsonNode parse(Path file, int line, byte[] bytes, int from, int length)
      throws IOException {
    try {
      return JSON.readTree(bytes, from, length);
    } catch (JsonProcessingException e) {
      throw new IOException(
          "line " + line + " of " + file + " is not JSON; restore the file from a copy", e);
    }
  }

  /**
   * Returns when the entry is on disk.
   *
   * @throws IOException if it is not; nothing of it stays then
   */
  void append(JsonNode entry) throws IOException {
    ByteBuffer line = ByteBuffer.wrap((entry + "\n").getBytes(StandardCharsets.UTF_8));
    try {
      while (line.hasRemaining()) {
        channel.write(line);
      }
      channel.force(false);
      end = channel.position();
    } catch (IOException e) {
      channel.truncate(end);
      channel.position(end);
      throw e;
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
