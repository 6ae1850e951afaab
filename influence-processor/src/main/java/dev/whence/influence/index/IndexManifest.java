package dev.whence.influence.index;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.conversation.BoundedJson;
import dev.whence.files.FileProblem;
import dev.whence.files.WholeFile;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.Presence;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;

/**
 * What an index is of and which shards it has, for whoever asks it without holding the shards. It
 * is written beside them as soon as all are there.
 *
 * @param settings what it is of
 * @param shards in their order
 */
public record IndexManifest(IndexSettings settings, List<Shard> shards) {
  static final String FILE = "index.json";
  private static final int MAX_SHARDS = 100_000;

  /** Far above what the checksums of that many shards take. */
  private static final int MAX_BYTES = 64 << 20;

  public IndexManifest {
    shards = List.copyOf(shards);
  }

  /**
   * A shard.
   *
   * @param checksum see {@link ShardFile#checksum}
   * @param documents in it
   */
  public record Shard(String checksum, long documents) {}

  /** That of an index that is opened. */
  public static IndexManifest of(GradientIndex index) {
    return new IndexManifest(
        index.settings(),
        index.shards().stream().map(shard -> new Shard(shard.checksum(), shard.size())).toList());
  }

  /**
   * Reads it out of a directory; where it was never written, the shards are opened for it.
   *
   * @throws InfluenceException if it is no manifest, or if there is none and a shard is missing,
   *     cut short or altered
   */
  public static IndexManifest read(Path directory) {
    Path path = directory.resolve(FILE);
    if (!Presence.isThere(path)) {
      return of(GradientIndex.open(directory));
    }
    try {
      JsonNode json = BoundedJson.mapper().build().readTree(bytes(path));
      if (!json.path("format").asText().equals(ShardFile.FORMAT)) {
        throw new InfluenceException(
            path
                + " is of another version, which sketched documents in another way: remove the"
                + " index, and run 'whence influence index' again.");
      }
      List<Shard> shards = new ArrayList<>();
      for (JsonNode shard : json.path("checksums")) {
        shards.add(new Shard(shard.path("checksum").asText(), shard.path("documents").asLong()));
      }
      IndexSettings settings = IndexSettings.read(json);
      if (shards.isEmpty() || shards.size() > MAX_SHARDS || shards.size() != settings.shards()) {
        throw new InfluenceException(
            path
                + " names "
                + shards.size()
                + " shards of "
                + settings.shards()
                + ": it is damaged; remove it, and run 'whence influence index' again.");
      }
      return new IndexManifest(settings, shards);
    } catch (JacksonException | IllegalArgumentException e) {
      throw new InfluenceException(
          path + " is no manifest of an index: remove it, and run 'whence influence index' again.",
          e);
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    }
  }

  private static byte[] bytes(Path path) throws IOException {
    try (InputStream in = Files.newInputStream(path)) {
      byte[] bytes = in.readNBytes(MAX_BYTES + 1);
      if (bytes.length > MAX_BYTES) {
        throw new IllegalArgumentException("more than " + MAX_BYTES + " bytes");
      }
      return bytes;
    }
  }

  /**
   * When the index of a directory was made: when its manifest was written, where it has one.
   *
   * @throws IOException if it can not be read
   */
  public static FileTime made(Path directory) throws IOException {
    Path path = directory.resolve(FILE);
    try {
      return Files.getLastModifiedTime(path);
    } catch (NoSuchFileException e) {
      return Files.getLastModifiedTime(directory);
    }
  }

  /** Whether a directory holds an index or a part of one. */
  public static boolean isIn(Path directory) {
    return Presence.isThere(directory.resolve(FILE)) || !GradientIndex.files(directory).isEmpty();
  }

  /**
   * Writes it if all shards of a directory are there; two workers that find them at once write the
   * same.
   */
  static void writeIfComplete(Path directory, int shards) {
    for (int number = 1; number <= shards; number++) {
      if (!Presence.isThere(ShardFile.path(directory, number, shards))) {
        return;
      }
    }
    of(GradientIndex.open(directory)).write(directory);
  }

  private void write(Path directory) {
    ObjectNode json = JsonMapper.builder().build().createObjectNode();
    json.put("format", ShardFile.FORMAT);
    settings.write(json);
    ArrayNode list = json.putArray("checksums");
    for (Shard shard : shards) {
      list.addObject().put("checksum", shard.checksum()).put("documents", shard.documents());
    }
    String text = json.toPrettyString() + "\n";
    try {
      if (Presence.isThere(directory.resolve(FILE))
          && Files.readString(directory.resolve(FILE)).equals(text)) {
        return; // its time says when the index was made, not when it was last looked at
      }
      WholeFile.write(directory.resolve(FILE), text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new InfluenceException(
          directory.resolve(FILE) + " could not be written (" + e.getMessage() + ").", e);
    }
  }

  /** See {@link GradientIndex#digest}. */
  public String digest() {
    return GradientIndex.digest(shards.stream().map(Shard::checksum).toList());
  }

  /** Documents of all shards. */
  public long documents() {
    return shards.stream().mapToLong(Shard::documents).sum();
  }
}
