package dev.whence.runtime.models;

import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * The releases read so far. The live release of a role is the one at the highest offset among those
 * of that role that no tombstone withdrew: withdrawing the last one brings back the one before.
 */
public final class LiveReleases {
  /** Of a release, in bytes; each is kept, and a small batch may unpack to large ones. */
  private static final int LARGEST = 1 << 20;

  private final Map<String, Placed> releases = new HashMap<>();

  private record Placed(long offset, ModelRelease release) {}

  /**
   * Takes a record of the topic.
   *
   * @throws UnreadableException if it is no release; nothing changes then
   */
  public void take(ConsumerRecord<byte[], byte[]> record, AvroValues values)
      throws UnreadableException {
    if (record.key() == null) {
      throw new UnreadableException("NO_KEY", "it has no key");
    }
    String modelId = new String(record.key(), StandardCharsets.UTF_8);
    if (record.value() == null) {
      withdrawn(modelId);
    } else {
      released(modelId, record.offset(), read(record.value(), values));
    }
  }

  /**
   * A release.
   *
   * @throws UnreadableException if it is none, or larger than one may be
   */
  public static ModelRelease read(byte[] value, AvroValues values) throws UnreadableException {
    if (value.length > LARGEST) {
      throw new UnreadableException(
          "TOO_LARGE", "it has " + value.length + " bytes, but a release may have " + LARGEST);
    }
    return values.read(value, ModelRelease.class, ModelRelease.getClassSchema());
  }

  void released(String modelId, long offset, ModelRelease release) {
    releases.put(modelId, new Placed(offset, release));
  }

  /** A release was withdrawn. */
  public void withdrawn(String modelId) {
    releases.remove(modelId);
  }

  /** The live release of a role. */
  public Optional<ModelRelease> live(ModelRole role) {
    return all(role).stream().findFirst();
  }

  /**
   * Where the live release of a role stands in the topic: it moves on where the same one is
   * published again.
   */
  OptionalLong liveAt(ModelRole role) {
    return releases.values().stream()
        .filter(placed -> placed.release.getRoles().contains(role))
        .mapToLong(Placed::offset)
        .max();
  }

  /** The releases of a role that are not withdrawn, the live one first, then the one before it. */
  List<ModelRelease> all(ModelRole role) {
    return releases.values().stream()
        .filter(placed -> placed.release.getRoles().contains(role))
        .sorted(Comparator.comparingLong(Placed::offset).reversed())
        .map(Placed::release)
        .toList();
  }

  /** A release that is not withdrawn. */
  public Optional<ModelRelease> find(String modelId) {
    return Optional.ofNullable(releases.get(modelId)).map(Placed::release);
  }

  /** Of all that are not withdrawn, the last one last. */
  public List<String> modelIds() {
    return releases.entrySet().stream()
        .sorted(Comparator.comparingLong(entry -> entry.getValue().offset()))
        .map(Map.Entry::getKey)
        .toList();
  }
}
