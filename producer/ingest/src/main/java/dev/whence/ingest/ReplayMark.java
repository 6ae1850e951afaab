package dev.whence.ingest;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.files.OwnFile;
import dev.whence.producer.Destination;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * How far a file has been replayed, kept beside it as {@code <input>.whence-progress} unless said
 * otherwise. Written only after acknowledgement, so what it counts as done is on Kafka.
 *
 * @param line every line up to this one is settled
 * @param badLines how many of them were bad
 * @param file the input as it lay on disk: the mark of another file is of no use
 * @param destination where the lines are: they are not on any other topic
 */
record ReplayMark(long line, long badLines, FileDigest file, Destination destination) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MAX_BYTES = 4096;

  /**
   * Reads the mark.
   *
   * @throws ReplayException if there is something else in the file
   */
  static Optional<ReplayMark> read(Path file) throws IOException {
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    JsonNode mark = Files.size(file) > MAX_BYTES ? null : parsed(Files.readAllBytes(file));
    if (mark == null
        || !mark.path("line").canConvertToLong()
        || !mark.path("badLines").canConvertToLong()
        || !mark.path("sha256").isTextual()
        || !mark.path("bytes").canConvertToLong()
        || !mark.path("cluster").isTextual()
        || !mark.path("topic").isTextual()) {
      boolean earlier = mark != null && mark.path("sha256").isTextual() && !mark.has("cluster");
      throw new ReplayException(
          file
              + (earlier
                  ? " was written by an earlier version, which did not say where the lines went"
                  : " is not the progress of a replay")
              + "; delete it or replay with --from-start");
    }
    return Optional.of(
        new ReplayMark(
            mark.get("line").longValue(),
            mark.get("badLines").longValue(),
            new FileDigest(mark.get("sha256").textValue(), mark.get("bytes").longValue()),
            new Destination(mark.get("cluster").textValue(), mark.get("topic").textValue())));
  }

  private static @Nullable JsonNode parsed(byte[] bytes) throws IOException {
    try {
      return JSON.readTree(bytes);
    } catch (JsonProcessingException e) {
      return null;
    }
  }

  /** Replaces the file in one step: a process that dies leaves the old mark or the new one. */
  void write(Path place) throws IOException {
    String text =
        JSON.createObjectNode()
                .put("line", line)
                .put("badLines", badLines)
                .put("sha256", file.sha256())
                .put("bytes", file.bytes())
                .put("cluster", destination.clusterId())
                .put("topic", destination.topic())
                .toString()
            + "\n";
    Path next = place.resolveSibling(place.getFileName() + ".new");
    try (FileChannel channel = OwnFile.begin(next)) {
      ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true);
    }
    Files.move(next, place, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }
}
