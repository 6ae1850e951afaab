package dev.whence.influence.index;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.files.OwnFile;
import dev.whence.files.WholeFile;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.Presence;
import dev.whence.influence.corpus.Progress;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Writes a shard piece by piece: codes, numbers and entries each into a file of their own beside
 * the shard, with a state that says how much of them counts. A builder that is opened again goes on
 * from the last saved state.
 */
final class ShardBuilder implements AutoCloseable {
  private final Path shard;
  private final Path directory;
  private final IndexSettings settings;
  private final int number;
  private final FileChannel codes;
  private final FileChannel numbers;
  private final FileChannel entries;
  private final List<Integer> entryLengths = new ArrayList<>();
  private Progress progress = Progress.NONE;

  /**
   * @throws InfluenceException if what is there is of another job, or can not be read
   */
  ShardBuilder(Path shard, IndexSettings settings, int number) {
    this.shard = shard;
    this.directory = pieces(shard);
    this.settings = settings;
    this.number = number;
    List<FileChannel> opened = new ArrayList<>();
    boolean complete = false;
    try {
      Files.createDirectories(directory);
      Path state = directory.resolve("state.json");
      long entryBytes = 0;
      if (Presence.isThere(state)) {
        JsonNode json = JsonMapper.builder().build().readTree(Files.readAllBytes(state));
        if (!json.path("format").asText().equals(ShardFile.FORMAT)) {
          throw new InfluenceException(
              directory
                  + " was begun by another version, which sketched documents in another way. Remove it"
                  + " to begin the shard again.");
        }
        IndexSettings there = IndexSettings.read(json);
        if (!there.isLike(settings)) {
          throw settings.refusal(directory, there);
        }
        progress = Progress.read(json);
        for (JsonNode length : json.path("entryLengths")) {
          entryLengths.add(length.asInt());
          entryBytes += length.asInt();
        }
      }
      long n = progress.documents();
      codes = open("codes", n * SignCodes.bytes(settings.sketch().buckets()), opened);
      numbers = open("numbers", n * 2 * Float.BYTES, opened);
      entries = open("entries", entryBytes, opened);
      complete = true;
    } catch (IOException e) {
      throw failed(e);
    } finally {
      if (!complete) {
        close(opened);
      }
    }
  }

  private static Path pieces(Path shard) {
    return shard.resolveSibling(shard.getFileName() + ".unfinished");
  }

  /** Whether pieces lie beside a shard. */
  static boolean hasPieces(Path shard) {
    return Presence.isThere(pieces(shard));
  }

  /** Removes what lies beside a complete shard; only its writer may do so. */
  static void removePieces(Path shard) {
    Path directory = pieces(shard);
    if (!Presence.isThere(directory)) {
      return;
    }
    try {
      List<Path> all;
      try (Stream<Path> listed = Files.list(directory)) {
        all = listed.toList(); // a state that a killed run was writing, too
      }
      for (Path piece : all) {
        Files.delete(piece);
      }
      Files.delete(directory);
    } catch (IOException e) {
      throw new InfluenceException(
          directory + " could not be removed (" + e.getMessage() + "): the shard is complete.", e);
    }
  }

  private FileChannel open(String name, long bytes, List<FileChannel> opened) throws IOException {
    FileChannel channel =
        OwnFile.open(directory.resolve(name), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    opened.add(channel);
    if (channel.size() < bytes) {
      throw new IOException(name + " is shorter than the state says");
    }
    channel.truncate(bytes);
    channel.position(bytes);
    return channel;
  }

  private InfluenceException failed(IOException e) {
    return new InfluenceException(
        directory
            + " could not be read or written ("
            + e.getMessage()
            + "): see that the disk has room, or remove it to begin the shard again.",
        e);
  }

  Progress progress() {
    return progress;
  }

  /** Adds documents: of their vectors the signs are kept. */
  void add(List<IndexedDocument> documents, List<SketchedGradients.Vector> vectors) {
    try {
      for (int i = 0; i < documents.size(); i++) {
        SignCodes signs = SignCodes.of(RotatedSketch.of(vectors.get(i).sketch()));
        float norm = (float) vectors.get(i).norm();
        if (!Float.isFinite(signs.scale()) || !Float.isFinite(norm)) {
          throw new InfluenceException(
              "The sketch of the document at line "
                  + documents.get(i).reference().line()
                  + ", or its norm, is not finite: the model overflows on it. Take the line out of"
                  + " the corpus.");
        }
        ByteBuffer row =
            ByteBuffer.allocate(signs.signs().length * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        row.asLongBuffer().put(signs.signs());
        write(codes, row);
        write(
            numbers,
            ByteBuffer.allocate(2 * Float.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putFloat(signs.scale())
                .putFloat(norm)
                .flip());
        byte[] entry = documents.get(i).bytes();
        write(entries, ByteBuffer.wrap(entry));
        entryLengths.add(entry.length);
      }
    } catch (IOException e) {
      throw failed(e);
    }
  }

  private static void write(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** What was added up to here counts, whatever happens next. */
  void save(Progress reached) {
    progress = reached;
    ObjectNode json = JsonMapper.builder().build().createObjectNode();
    json.put("format", ShardFile.FORMAT);
    settings.write(json);
    reached.write(json);
    entryLengths.forEach(json.putArray("entryLengths")::add);
    try {
      for (FileChannel channel : List.of(codes, numbers, entries)) {
        channel.force(true);
      }
      WholeFile.write(
          directory.resolve("state.json"), json.toString().getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw failed(e);
    }
  }

  /** Makes the shard of it, and removes the pieces. */
  void finish(Progress reached) {
    save(reached);
    long entryBytes = entryLengths.stream().mapToLong(Integer::longValue).sum();
    ShardFile.assemble(
        shard,
        ShardFile.header(settings, number, reached, entryBytes),
        directory.resolve("codes"),
        directory.resolve("numbers"),
        entryLengths,
        directory.resolve("entries"));
    close();
    removePieces(shard);
  }

  @Override
  public void close() {
    close(List.of(codes, numbers, entries));
  }

  private void close(List<FileChannel> channels) {
    for (FileChannel channel : channels) {
      try {
        channel.close();
      } catch (IOException e) {
        throw failed(e);
      }
    }
  }
}
