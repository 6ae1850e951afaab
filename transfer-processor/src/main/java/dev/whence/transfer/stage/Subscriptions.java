package dev.whence.transfer.stage;

import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * "Keep fine-tune F of base B on the newest base of its line": each release of kind BASE whose id
 * belongs to the line becomes a request, once F and B are known. What a transfer produced is of
 * another kind and triggers nothing.
 */
final class Subscriptions {
  private final Optional<TransferConfig.Subscription> subscription;
  private final Map<String, ModelRelease> releases = new LinkedHashMap<>();
  private final Map<String, ModelRelease> waiting = new LinkedHashMap<>();

  Subscriptions(Optional<TransferConfig.Subscription> subscription) {
    this.subscription = subscription;
  }

  void released(ModelRelease release) {
    releases.put(release.getModelId(), release);
    boolean triggers =
        subscription.isPresent()
            && release.getKind() == ModelKind.BASE
            && release.getLineage().stream()
                .noneMatch(ancestor -> ancestor.getRelation().equals("fine-tuned"))
            && !release.getModelId().equals(subscription.get().base())
            && subscription.get().line().matcher(release.getModelId()).matches();
    if (triggers) {
      waiting.clear(); // only the newest base counts
      waiting.put(release.getModelId(), release);
    }
  }

  void withdrawn(String modelId) {
    releases.remove(modelId);
    waiting.remove(modelId);
  }

  /** Whether there is a base that nothing was asked for yet. */
  boolean isWaiting() {
    return !waiting.isEmpty();
  }

  /** Requests that can be made now; each is handed out once. */
  List<TransferEvent> due() {
    if (subscription.isEmpty() || waiting.isEmpty()) {
      return List.of();
    }
    TransferConfig.Subscription wanted = subscription.get();
    ModelRelease base = releases.get(wanted.base());
    ModelRelease fineTuned = releases.get(wanted.fineTuned());
    if (base == null || fineTuned == null) {
      return List.of();
    }
    List<TransferEvent> requests = new ArrayList<>();
    for (ModelRelease target : waiting.values()) {
      requests.add(
          TransferRequests.request(
              TransferRequests.model(base),
              TransferRequests.model(fineTuned),
              TransferRequests.model(target),
              wanted.fineTuned() + "-on-" + target.getModelId(),
              wanted.roles(),
              wanted.aliases(),
              1,
              List.of(),
              Map.of(),
              "subscription"));
    }
    waiting.clear();
    return requests;
  }
}
