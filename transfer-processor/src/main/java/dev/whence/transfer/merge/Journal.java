package dev.whence.transfer.merge;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.files.OwnFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.CRC32C;

/**
 * Which tensors are on disk. A line per tensor: CRC32C of the rest of the line in hex, a space, a
 * JSON object. A line is written after its tensor's bytes were forced to disk, and is forced
 * itself; what follows the first damaged line was torn by the end of the process and is cut off.
 */
final class Journal implements AutoCloseable {
  private final FileChannel channel;
  private final Map<String, Entry> entries;

  /**
   * A tensor that is on disk in all results.
   *
   * @param work names the piece of work
   * @param crc32c of the result's bytes, one for each lambda; none if only inputs were read
   * @param sha256 of the same, in hex
   * @param read SHA-256 of the inputs' bytes, by role and tensor
   */
  record Entry(String work, List<Integer> crc32c, List<String> sha256, Map<String, String> read) {
    Entry {
      crc32c = List.copyOf(crc32c);
      sha256 = List.copyOf(sha256);
      read = Map.copyOf(read);
    }
  }

  private Journal(FileChannel channel, Map<String, Entry> entries) {
    this.channel = channel;
    this.entries = entries;
  }

  /** Begins a journal of a plan. */
  static Journal begin(Path file, String planId) throws IOException {
    Journal journal =
        new Journal(
            FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
            new TreeMap<>());
    journal.line(UntrustedJson.mapper().createObjectNode().put("plan", planId));
    journal.channel.force(true);
    return journal;
  }

  /** Goes on with a journal, if it is of that plan. */
  static Optional<Journal> resume(Path file, String planId) throws IOException {
    Optional<Lines> lines = lines(file, planId);
    if (lines.isEmpty()) {
      return Optional.empty();
    }
    FileChannel channel = OwnFile.open(file, StandardOpenOption.WRITE);
    channel.truncate(lines.get().bytes());
    channel.position(lines.get().bytes());
    return Optional.of(new Journal(channel, lines.get().entries()));
  }

  /** Names of the work that a journal of that plan has noted; empty if it is of none or another. */
  static Optional<Set<String>> noted(Path file, String planId) throws IOException {
    return lines(file, planId).map(lines -> lines.entries().keySet());
  }

  /**
   * The good lines of a journal.
   *
   * @param bytes that they take
   */
  private record Lines(Map<String, Entry> entries, int bytes) {}

  private static Optional<Lines> lines(Path file, String planId) throws IOException {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    byte[] bytes = Files.readAllBytes(file);
    Map<String, Entry> entries = new TreeMap<>();
    int good = 0;
    boolean ours = false;
    for (int end = nextLine(bytes, good); end > 0; end = nextLine(bytes, good)) {
      Optional<JsonNode> line = read(bytes, good, end);
      if (line.isEmpty()) {
        break;
      }
      if (good == 0) {
        ours = line.get().path("plan").asText().equals(planId);
      } else {
        Entry entry = entry(line.get());
        entries.put(entry.work(), entry);
      }
      good = end + 1;
    }
    return ours ? Optional.of(new Lines(entries, good)) : Optional.empty();
  }

  private static int nextLine(byte[] bytes, int from) {
    for (int at = from; at < bytes.length; at++) {
      if (bytes[at] == '\n') {
        return at;
      }
    }
    return -1;
  }

  private static Optional<JsonNode> read(byte[] bytes, int from, int to) {
    String line = new String(bytes, from, to - from, StandardCharsets.UTF_8);
    if (line.length() < 10 || !line.startsWith(checksum(line.substring(9)))) {
      return Optional.empty();
    }
    try {
      return Optional.of(UntrustedJson.mapper().readTree(line.substring(9)));
    } catch (JsonProcessingException e) {
      return Optional.empty();
    }
  }

  private static Entry entry(JsonNode line) {
    List<Integer> crc = new ArrayList<>();
    line.path("crc32c").forEach(value -> crc.add(Integer.parseUnsignedInt(value.asText(), 16)));
    List<String> sha = new ArrayList<>();
    line.path("sha256").forEach(value -> sha.add(value.asText()));
    Map<String, String> read = new TreeMap<>();
    line.path("read")
        .properties()
        .forEach(entry -> read.put(entry.getKey(), entry.getValue().asText()));
    return new Entry(line.path("work").asText(), crc, sha, read);
  }

  /** What an earlier run has written, by name of the work. */
  Optional<Entry> find(String work) {
    return Optional.ofNullable(entries.get(work));
  }

  /** Whether an earlier run has written anything. */
  boolean goesOn() {
    return !entries.isEmpty();
  }

  /** Adds tensors whose bytes are on disk, and forces the journal unless nothing needs to last. */
  void add(List<Entry> done, boolean durable) throws IOException {
    for (Entry entry : done) {
      ObjectNode line = UntrustedJson.mapper().createObjectNode().put("work", entry.work());
      ArrayNode crc = line.putArray("crc32c");
      entry.crc32c().forEach(value -> crc.add(hex(value)));
      ArrayNode sha = line.putArray("sha256");
      entry.sha256().forEach(sha::add);
      ObjectNode read = line.putObject("read");
      new TreeMap<>(entry.read()).forEach(read::put);
      line(line);
    }
    if (durable) {
      channel.force(false);
    }
  }

  private void line(ObjectNode json) throws IOException {
    String text = json.toString();
    ByteBuffer line =
        ByteBuffer.wrap((checksum(text) + " " + text + "\n").getBytes(StandardCharsets.UTF_8));
    while (line.hasRemaining()) {
      channel.write(line);
    }
  }

  private static String checksum(String text) {
    CRC32C crc = new CRC32C();
    crc.update(text.getBytes(StandardCharsets.UTF_8));
    return hex((int) crc.getValue());
  }

  static String hex(int crc) {
    return String.format("%08x", crc);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
