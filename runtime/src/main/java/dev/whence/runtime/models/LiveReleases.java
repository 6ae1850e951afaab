package dev.whence.runtime.models;

import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The releases read so far. The live release of a role is the one at the highest offset among those
 * of that role that no tombstone withdrew: withdrawing the last one brings back the one before.
 */
final class LiveReleases {
  private final Map<String, Placed> releases = new HashMap<>();

  private record Placed(long offset, ModelRelease release) {}

  void released(String modelId, long offset, ModelRelease release) {
    releases.put(modelId, new Placed(offset, release));
  }

  void withdrawn(String modelId) {
    releases.remove(modelId);
  }

  Optional<ModelRelease> live(ModelRole role) {
    return all(role).stream().findFirst();
  }

  /** The releases of a role that are not withdrawn, the live one first, then the one before it. */
  List<ModelRelease> all(ModelRole role) {
    return releases.values().stream()
        .filter(placed -> placed.release.getRoles().contains(role))
        .sorted(Comparator.comparingLong(Placed::offset).reversed())
        .map(Placed::release)
        .toList();
  }
}
