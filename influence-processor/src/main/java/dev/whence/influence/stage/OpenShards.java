package dev.whence.influence.stage;

import dev.whence.files.FileIdentity;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.Presence;
import dev.whence.influence.index.ShardFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.DoubleSupplier;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shards that this process can look through, found by number and checksum in its configured
 * directories. A file is checked as a whole when it is opened, and again when its size or time has
 * changed since, or when it could not be read. An open shard holds 16 bytes of each document, and
 * no file; as many as have room hold their signs, too. Not thread-safe.
 */
final class OpenShards {
  private static final Logger LOG = LoggerFactory.getLogger(OpenShards.class);

  /** Of opening a shard, all of which is read for its checksum, until it was measured. */
  private static final double FIRST_SECONDS_PER_BYTE = 1 / 4e8;

  /** What opening a smaller one takes says nothing of its bytes. */
  private static final long MEASURED_BYTES = 16 << 20;

  private final ConfiguredFiles files;
  private final long heldBytes;
  private final InstantSource clock;
  private final Function<Path, ShardFile> opening;
  private final Map<Path, Seen> seen = new HashMap<>();
  private final LearntRate secondsPerByte = new LearntRate(FIRST_SECONDS_PER_BYTE);

  /** Those of indexes, listed with the first shard that is looked for. */
  private Optional<List<Path>> directories = Optional.empty();

  /**
   * Nothing is open yet.
   *
   * @param heldBytes most bytes of signs that are held in memory
   */
  OpenShards(ConfiguredFiles files, long heldBytes, InstantSource clock) {
    this(files, heldBytes, clock, ShardFile::open);
  }

  /**
   * Nothing is open yet.
   *
   * @param heldBytes most bytes of signs that are held in memory
   * @param opening as {@link ShardFile#open}
   */
  OpenShards(
      ConfiguredFiles files,
      long heldBytes,
      InstantSource clock,
      Function<Path, ShardFile> opening) {
    this.files = files;
    this.heldBytes = heldBytes;
    this.clock = clock;
    this.opening = opening;
  }

  /** What became of looking for a shard. */
  sealed interface Found {
    /** It can be scanned. */
    record Here(ShardFile shard) implements Found {}

    /**
     * It can not be scanned here.
     *
     * @param reason one sentence
     */
    record Missing(String reason) implements Found {}

    /**
     * Opening it takes longer than there is time.
     *
     * @param bytes of its file
     */
    record TooLong(long bytes) implements Found {}
  }

  /** What a file was when it was opened, and when it was last looked for. */
  private record Seen(FileIdentity file, Found found, Instant lastWanted) {
    Seen wanted(Instant now) {
      return new Seen(file, found, now);
    }

    Optional<ShardFile> shard() {
      return found instanceof Found.Here here ? Optional.of(here.shard()) : Optional.empty();
    }
  }

  /** Those that can be scanned. */
  List<ShardFile> open() {
    return seen.values().stream().map(Seen::shard).flatMap(Optional::stream).toList();
  }

  /** Bytes of signs that are held in memory. */
  long held() {
    return open().stream().filter(ShardFile::isHeld).mapToLong(ShardFile::scannedBytes).sum();
  }

  /** Whether a shard is open whose signs are not held though there is room for them. */
  boolean couldHold() {
    return toHold().isPresent();
  }

  private Optional<Map.Entry<Path, ShardFile>> toHold() {
    long room = heldBytes - held();
    for (Map.Entry<Path, Seen> one : seen.entrySet()) {
      Optional<ShardFile> shard =
          one.getValue().shard().filter(it -> !it.isHeld() && it.scannedBytes() <= room);
      if (shard.isPresent()) {
        return Optional.of(Map.entry(one.getKey(), shard.get()));
      }
    }
    return Optional.empty();
  }

  /** Holds the signs of a shard for which there is room, if any; one that was changed is closed. */
  void holdNext() {
    Optional<Map.Entry<Path, ShardFile>> next = toHold();
    if (next.isEmpty()) {
      return;
    }
    try {
      next.get().getValue().hold();
    } catch (InfluenceException e) {
      LOG.warn("the signs of a shard can not be held in memory: {}", e.getMessage());
      seen.remove(next.get().getKey());
    }
  }

  /** Indexes may have come since the last look. */
  void lookAgain() {
    directories = Optional.empty();
  }

  private List<Path> directories() {
    List<Path> listed = directories.orElseGet(files::indexDirectories);
    directories = Optional.of(listed);
    return listed;
  }

  /**
   * Closes what nobody has looked for since, and what is not there any more.
   *
   * @param wanted checksums of those that stay whoever looks for them; those that are none of them
   *     later count from now
   */
  void closeUnused(Instant since, Set<String> wanted) {
    Instant now = clock.instant();
    seen.replaceAll(
        (path, one) ->
            one.shard().filter(shard -> wanted.contains(shard.checksum())).isPresent()
                ? one.wanted(now)
                : one);
    seen.values().removeIf(one -> one.lastWanted().isBefore(since));
    seen.keySet().removeIf(path -> !Files.exists(path));
  }

  /**
   * Looks for a shard, in the directories that were there when the first was looked for since
   * {@link #lookAgain}: shards of an index are many.
   *
   * @param number from 1
   * @param shards of its index
   * @param checksum that it must have
   */
  Found find(int number, int shards, String checksum) {
    return find(number, shards, checksum, () -> Double.POSITIVE_INFINITY);
  }

  /**
   * As {@link #find(int, int, String)}, but opens nothing that takes longer than there is time.
   *
   * @param secondsLeft that there are by then
   */
  Found find(int number, int shards, String checksum, DoubleSupplier secondsLeft) {
    Optional<String> other = Optional.empty();
    Optional<Found> tooLong = Optional.empty();
    for (Path directory : directories()) {
      Path path = ShardFile.path(directory, number, shards);
      Found found;
      try {
        if (!Presence.isThere(path)) {
          continue;
        }
        found = open(path, secondsLeft);
      } catch (InfluenceException e) {
        found = new Found.Missing(String.valueOf(e.getMessage()));
      }
      if (found instanceof Found.TooLong) {
        tooLong = Optional.of(found);
      } else if (found instanceof Found.Missing missing) {
        other = Optional.of(missing.reason());
      } else if (found instanceof Found.Here here) {
        if (here.shard().checksum().equals(checksum)) {
          return here;
        }
        if (other.isEmpty()) {
          other = Optional.of(path + " is of another index than the one that is asked.");
        }
      }
    }
    if (tooLong.isPresent()) {
      return tooLong.get();
    }
    return new Found.Missing(
        other.orElseGet(
            () ->
                "Shard "
                    + number
                    + " of "
                    + shards
                    + " is in none of the directories of 'indexes' of the process that serves it."));
  }

  private Found open(Path path, DoubleSupplier secondsLeft) {
    try {
      FileIdentity now = FileIdentity.of(path);
      Seen before = seen.get(path);
      if (before != null && before.file().equals(now)) {
        seen.put(path, before.wanted(clock.instant()));
        return before.found();
      }
      if (now.bytes() * secondsPerByte.value() > secondsLeft.getAsDouble()) {
        return new Found.TooLong(now.bytes());
      }
      Found found;
      try {
        long began = System.nanoTime();
        found = new Found.Here(opening.apply(path));
        if (now.bytes() >= MEASURED_BYTES) {
          secondsPerByte.add((System.nanoTime() - began) / 1e9 / now.bytes());
        }
      } catch (InfluenceException e) {
        found = new Found.Missing(String.valueOf(e.getMessage()));
        if (e.getCause() instanceof IOException) {
          // It could not be read: that says nothing about the file, whose size and time stay as
          // they are when it may be read again, or is put back.
          seen.remove(path);
          return found;
        }
      }
      seen.put(path, new Seen(now, found, clock.instant()));
      return found;
    } catch (IOException e) {
      return new Found.Missing(path + " can not be read (" + e.getClass().getSimpleName() + ").");
    }
  }
}
