package dev.whence.transfer.stage;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.EventHeaders;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.TransferException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
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
  private final Topics topics;
  private final AvroValues values;

  private Rollback(Clients clients, Topics topics, AvroValues values) {
    this.clients = clients;
    this.topics = topics;
    this.values = values;
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
      return new Rollback(clients, topics, values).withdraw(modelId);
    }
  }

  private Withdrawn withdraw(String modelId) {
    try (Producer<byte[], byte[]> producer =
        clients.transactionalProducer("whence-rollback-" + modelId)) {
      producer.initTransactions(); // before anything is read: one that still runs is fenced
      Map<String, ModelRelease> releases = releases();
      ModelRelease withdrawn = releases.remove(modelId);
      if (withdrawn == null) {
        throw new TransferException(notLive(modelId, new ArrayList<>(releases.keySet())));
      }
      List<TransferEvent> published = publishedAs(modelId);
      List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
      records.add(
          new ProducerRecord<>(
              topics.models().name(), modelId.getBytes(StandardCharsets.UTF_8), null));
      published.forEach(event -> records.add(rolledBack(event)));
      producer.beginTransaction();
      for (ProducerRecord<byte[], byte[]> record : records) {
        var unused = producer.send(record);
      }
      producer.commitTransaction();
      Map<ModelRole, Optional<String>> live = new LinkedHashMap<>();
      withdrawn.getRoles().forEach(role -> live.put(role, live(releases, role)));
      return new Withdrawn(
          modelId, published.stream().map(TransferEvent::getTransferId).toList(), live);
    }
  }

  private String notLive(String modelId, List<String> live) {
    List<String> last = live.subList(Math.max(0, live.size() - SHOWN), live.size());
    return "no release of '"
        + modelId
        + "' is live on "
        + topics.models().name()
        + (live.isEmpty()
            ? ": there is none at all"
            : "; these are"
                + (last.size() < live.size() ? ", among others" : "")
                + ": "
                + String.join(", ", last));
  }

  /** The releases that no tombstone withdrew, the last one last. */
  private Map<String, ModelRelease> releases() {
    Map<String, ModelRelease> releases = new LinkedHashMap<>();
    TopicReader.read(
        clients,
        topics.models().name(),
        NAME + "-models",
        record -> {
          if (record.key() == null) {
            return;
          }
          String modelId = new String(record.key(), StandardCharsets.UTF_8);
          if (record.value() == null) {
            releases.remove(modelId);
            return;
          }
          try {
            ModelRelease release =
                values.read(record.value(), ModelRelease.class, ModelRelease.getClassSchema());
            releases.remove(modelId); // it moves to the end
            releases.put(modelId, release);
          } catch (UnreadableException e) {
            // Processors pass it over, too, and keep what they know of the model.
          }
        });
    return releases;
  }

  private static Optional<String> live(Map<String, ModelRelease> releases, ModelRole role) {
    return releases.entrySet().stream()
        .filter(entry -> entry.getValue().getRoles().contains(role))
        .map(Map.Entry::getKey)
        .reduce((before, last) -> last);
  }

  /** Transfers whose last event is that they published a model. */
  private List<TransferEvent> publishedAs(String modelId) {
    Map<String, TransferEvent> last = new LinkedHashMap<>();
    TopicReader.read(
        clients, topics.transfers().name(), NAME + "-transfers", record -> take(record, last));
    return last.values().stream()
        .filter(event -> event.getState() == TransferState.PUBLISHED)
        .filter(event -> event.getModelId().equals(modelId))
        .toList();
  }

  /** A request does not change what is true of a transfer that was published. */
  private void take(ConsumerRecord<byte[], byte[]> record, Map<String, TransferEvent> last) {
    if (record.key() == null) {
      return;
    }
    String transferId = new String(record.key(), StandardCharsets.UTF_8);
    if (record.value() == null) {
      last.remove(transferId);
      return;
    }
    try {
      TransferEvent event =
          values.read(record.value(), TransferEvent.class, TransferEvent.getClassSchema());
      if (event.getTransferId().equals(transferId)
          && event.getState() != TransferState.REQUESTED
          && event.getState() != TransferState.UNKNOWN) {
        last.put(transferId, event);
      }
    } catch (UnreadableException e) {
      // The processor passes it over, too.
    }
  }

  private ProducerRecord<byte[], byte[]> rolledBack(TransferEvent published) {
    String topic = topics.transfers().name();
    TransferEvent event =
        TransferEvent.newBuilder(published)
            .setState(TransferState.FAILED)
            .setReason(
                "rolled back: the release of "
                    + published.getModelId()
                    + " was withdrawn; the same request publishes it again")
            .setInstance("")
            .setOccurredAt(Instant.now())
            .build();
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(
            topic,
            event.getTransferId().getBytes(StandardCharsets.UTF_8),
            values.write(topic, event));
    EventHeaders.of(
            TransferEvent.getClassSchema(),
            NAME,
            /* instanceId= */ "by-hand",
            event.getTransferId(),
            TransferStates.step(event.getState()),
            "")
        .toMap()
        .forEach(record.headers()::add);
    return record;
  }
}
