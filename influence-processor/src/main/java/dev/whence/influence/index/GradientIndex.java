package dev.whence.influence.index;

import dev.whence.files.FileProblem;
import dev.whence.files.Sha256;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.Presence;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * All shards of an index.
 *
 * @param settings what it is of
 * @param shards in their order
 */
public record GradientIndex(IndexSettings settings, List<ShardFile> shards) {
  public GradientIndex {
    shards = List.copyOf(shards);
  }

  /**
   * Opens a directory and checks all of it.
   *
   * @throws InfluenceException if a shard is missing, cut short, altered, or of another index, in
   *     which case the message names it, or no shard holds a document
   */
  public static GradientIndex open(Path directory) {
    List<Path> files = files(directory);
    if (files.isEmpty()) {
      throw new InfluenceException(
          directory + " holds no shard of an index; build one with 'whence influence index'.");
    }
    IndexSettings settings = ShardFile.open(files.get(0)).settings();
    for (Path file : files) {
      if (!ShardFile.isOf(file, settings.shards())) {
        throw ofAnotherIndex(file, files.get(0));
      }
    }
    List<ShardFile> shards = new ArrayList<>();
    for (int number = 1; number <= settings.shards(); number++) {
      Path path = ShardFile.path(directory, number, settings.shards());
      if (!Presence.isThere(path)) {
        throw new InfluenceException(
            path + " is missing: build shard " + number + " of " + settings.shards() + ".");
      }
      ShardFile shard = ShardFile.open(path);
      if (!shard.settings().isLike(settings) || shard.number() != number) {
        throw ofAnotherIndex(path, files.get(0));
      }
      shards.add(shard);
    }
    if (shards.stream().allMatch(shard -> shard.size() == 0)) {
      throw new InfluenceException(
          directory
              + " is an index that holds no document: remove it, see in rejects-*.jsonl why none of"
              + " the corpus' lines is one, and build it of a corpus that has some.");
    }
    return new GradientIndex(settings, shards);
  }

  private static InfluenceException ofAnotherIndex(Path file, Path first) {
    return new InfluenceException(file + " is of another index than " + first.getFileName() + ".");
  }

  /** The shards of a directory, by name. */
  static List<Path> files(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries
          .filter(
              entry -> String.valueOf(entry.getFileName()).matches("shard-\\d+-of-\\d+\\.index"))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw unreadable(directory, e);
    } catch (UncheckedIOException e) {
      throw unreadable(directory, Objects.requireNonNull(e.getCause()));
    }
  }

  private static InfluenceException unreadable(Path directory, IOException e) {
    return new InfluenceException(
        directory + " could not be read (" + FileProblem.of(e, directory) + ").", e);
  }

  /** Names the index by its content, in hex: SHA-256 over the shards' checksums. */
  public String digest() {
    return digest(shards.stream().map(ShardFile::checksum).toList());
  }

  /** The same of the shards' checksums, in their order. */
  public static String digest(List<String> checksums) {
    MessageDigest sha256 = Sha256.begin();
    for (String checksum : checksums) {
      sha256.update((checksum + "\n").getBytes(StandardCharsets.UTF_8));
    }
    return HexFormat.of().formatHex(sha256.digest());
  }

  /** Documents of all shards. */
  public long size() {
    return shards.stream().mapToLong(ShardFile::size).sum();
  }
}
