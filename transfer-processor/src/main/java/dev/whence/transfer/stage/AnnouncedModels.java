package dev.whence.transfer.stage;

import dev.whence.schemas.avro.ModelRelease;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * The releases on {@code whence.models} that no tombstone withdrew. Their order is that of the
 * first announcement: who announces an old base again does not make it the newest. What was
 * withdrawn and comes back is new.
 *
 * <p>Compaction removes the first announcement of a model that was announced twice; a processor
 * that starts after that knows only the last one, and takes its place for the first.
 */
final class AnnouncedModels {
  private final Map<String, Announced> models = new HashMap<>();
  private long changes;

  private record Announced(long first, ModelRelease release) {}

  /** Takes a release at its offset. */
  void released(long offset, ModelRelease release) {
    models.merge(
        release.getModelId(),
        new Announced(offset, release),
        (known, again) -> new Announced(known.first(), release));
    changes++;
  }

  /** Takes a tombstone. */
  void withdrawn(String modelId) {
    models.remove(modelId);
    changes++;
  }

  Optional<ModelRelease> find(String modelId) {
    return Optional.ofNullable(models.get(modelId)).map(Announced::release);
  }

  /** The one of some that was announced last. */
  Optional<ModelRelease> newest(Predicate<ModelRelease> wanted) {
    return models.values().stream()
        .filter(model -> wanted.test(model.release()))
        .max(Comparator.comparingLong(Announced::first))
        .map(Announced::release);
  }

  /** Number of records taken: where it is the same, everything is. */
  long changes() {
    return changes;
  }
}
