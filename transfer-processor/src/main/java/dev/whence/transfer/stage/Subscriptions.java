package dev.whence.transfer.stage;

import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * "Keep fine-tune F of base B on the newest base of its line", for any number of F: the newest
 * release of kind BASE whose id belongs to the line becomes a request, once F and B are known. If
 * it is withdrawn, the one before it is the newest again. What a transfer produced triggers
 * nothing: it is of another kind, and one that somebody announces as a base has a lineage.
 */
final class Subscriptions {
  private final List<TransferConfig.Subscription> subscriptions;
  private final AnnouncedModels models;
  private final Set<String> asked = new HashSet<>();
  private long seen;

  Subscriptions(List<TransferConfig.Subscription> subscriptions, AnnouncedModels models) {
    this.subscriptions = List.copyOf(subscriptions);
    this.models = models;
  }

  /** Whether something was announced or withdrawn since {@link #due} was asked. */
  boolean isWaiting() {
    return !subscriptions.isEmpty() && models.changes() != seen;
  }

  /** Ids of the requests that were handed out. */
  Set<String> asked() {
    return Set.copyOf(asked);
  }

  /** Requests that can be made now; each is handed out once. */
  List<TransferEvent> due() {
    seen = models.changes();
    List<TransferEvent> requests = new ArrayList<>();
    for (TransferConfig.Subscription wanted : subscriptions) {
      Optional<ModelRelease> base = models.find(wanted.base());
      Optional<ModelRelease> fineTuned = models.find(wanted.fineTuned());
      Optional<ModelRelease> target = models.newest(release -> isOfLine(wanted, release));
      if (base.isPresent() && fineTuned.isPresent() && target.isPresent()) {
        TransferEvent request =
            TransferRequests.request(
                TransferRequests.model(base.get()),
                TransferRequests.model(fineTuned.get()),
                TransferRequests.model(target.get()),
                TransferRequests.modelIdOf(wanted.result() + "-on-" + target.get().getModelId()),
                wanted.roles(),
                wanted.aliases(),
                wanted.lambda(),
                wanted.sweep(),
                wanted.policies(),
                wanted.requestedBy());
        if (asked.add(request.getTransferId())) {
          requests.add(request);
        }
      }
    }
    return requests;
  }

  private static boolean isOfLine(TransferConfig.Subscription wanted, ModelRelease release) {
    return release.getKind() == ModelKind.BASE
        && release.getLineage().stream()
            .noneMatch(ancestor -> ancestor.getRelation().equals("fine-tuned"))
        && !release.getModelId().equals(wanted.base())
        && wanted.line().matcher(release.getModelId()).matches();
  }
}
