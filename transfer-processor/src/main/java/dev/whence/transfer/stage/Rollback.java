package dev.whence.transfer.stage;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.models.LiveReleases;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.TransferException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Takes a published model back: a tombstone for its release, after which the release before it is
 * live again in every role. In the same transaction the transfer that published it becomes FAILED,
 * with the rollback as its reason: so the same request publishes the model again, while a
 * subscription, which asks for nothing that was asked for, does not. (A tombstone for the transfer
 * would make the subscription ask again at the next start.) The files stay where they are.
 */
public final class Rollback {
  private static final String NAME = "rollback";
  private static final int SHOWN = 20;

  private final Clients clients;
  private final TransferRecords records;

  private Rollback(Clients clients, TransferRecords records) {
    this.clients = clients;
    this.records = records;
  }

  /**
   * What a rollback did.
   *
   * @param modelId of the release that was withdrawn
   * @param transfers ids of the transfers that had published it; none if it was released otherwise
   * @param live what is live now in each role that the release had, by modelId
   */
  public record Withdrawn(
      String modelId, List<String> transfers, Map<ModelRole, Optional<String>> live) {
    public Withdrawn {
      transfers = List.copyOf(transfers);
      live = Map.copyOf(live);
    }

    /** One sentence. */
    public String sentence() {
      return modelId
          + " is withdrawn; "
          + (live.isEmpty()
              ? "it had no role"
              : live.entrySet().stream()
                  .sorted(Map.Entry.comparingByKey())
                  .map(entry -> live(entry.getKey(), entry.getValue()))
                  .collect(Collectors.joining("; ")));
    }

    private static String live(ModelRole role, Optional<String> modelId) {
      return role
          + ": "
          + modelId
              .map(live -> live + " is live")
              .orElse(
                  "no release is left, a processor uses the model that it is configured with, or"
                      + " else keeps what it has");
    }
  }

  /**
   * Withdraws a release.
   *
   * @param modelId of the release
   * @throws TransferException if no release of this id is live
   * @throws org.apache.kafka.common.KafkaException if it can not be read or written
   * @throws dev.whence.runtime.worker.EnvironmentException if the registry does not answer
   */
  public static Withdrawn withdraw(Clients clients, Topics topics, String modelId) {
    try (AvroValues values = new AvroValues(clients.connection())) {
      return new Rollback(clients, new TransferRecords(topics, values, NAME, "by-hand"))
          .withdraw(modelId);
    }
  }

  private Withdrawn withdraw(String modelId) {
    try (Producer<byte[], byte[]> producer =
        clients.transactionalProducer("whence-rollback-" + modelId)) {
      producer.initTransactions(); // before anything is read: one that still runs is fenced
      LiveReleases releases = releases();
      ModelRelease release =
          releases
              .find(modelId)
              .orElseThrow(() -> new TransferException(notLive(modelId, releases.modelIds())));
      List<TransferEvent> published = publishedAs(modelId);
      List<ProducerRecord<byte[], byte[]>> written = new ArrayList<>();
      written.add(records.withdrawal(modelId));
      published.forEach(event -> written.add(records.of(rolledBack(event))));
      producer.beginTransaction();
      for (ProducerRecord<byte[], byte[]> record : written) {
        var unused = producer.send(record);
      }
      Transactions.commit(producer);
      Map<ModelRole, Optional<String>> live = new LinkedHashMap<>();
      LiveReleases left = releases();
      left.withdrawn(modelId); // brokers may not show yet what they have committed
      release
          .getRoles()
          .forEach(role -> live.put(role, left.live(role).map(ModelRelease::getModelId)));
      return new Withdrawn(
          modelId, published.stream().map(TransferEvent::getTransferId).toList(), live);
    }
  }

  private String notLive(String modelId, List<String> live) {
    List<String> last = live.subList(Math.max(0, live.size() - SHOWN), live.size());
    return "no release of '"
        + modelId
        + "' is live on "
        + records.topics().models().name()
        + (live.isEmpty()
            ? ": there is none at all"
            : "; these are"
                + (last.size() < live.size() ? ", among others" : "")
                + ": "
                + String.join(", ", last));
  }

  private LiveReleases releases() {
    LiveReleases releases = new LiveReleases();
    TopicReader.read(
        clients,
        records.topics().models().name(),
        NAME + "-models",
        record -> {
          try {
            releases.take(record, records.values());
          } catch (UnreadableException e) {
            // Processors pass it over, too, and keep what they know of the model.
          }
        });
    return releases;
  }

  private List<TransferEvent> publishedAs(String modelId) {
    TransferStates states = new TransferStates();
    TopicReader.read(
        clients,
        records.topics().transfers().name(),
        NAME + "-transfers",
        record -> {
          try {
            Optional<TransferEvent> unused = records.take(record, states);
          } catch (UnreadableException e) {
            // The processor passes it over, too.
          }
        });
    return states.publishedAs(modelId);
  }

  private static TransferEvent rolledBack(TransferEvent published) {
    return TransferEvent.newBuilder(published)
        .setState(TransferState.FAILED)
        .setReason(
            "rolled back: the release of "
                + published.getModelId()
                + " was withdrawn; the same request publishes it again")
        .setInstance("")
        .setOccurredAt(Instant.now())
        .build();
  }
}
