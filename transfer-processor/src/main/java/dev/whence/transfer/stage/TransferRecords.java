package dev.whence.transfer.stage;

import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.EventHeaders;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.apache.avro.Schema;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Transfer events and releases as records, with their CloudEvents headers.
 *
 * @param writer who writes them
 * @param instance which of its instances
 */
record TransferRecords(Topics topics, AvroValues values, String writer, String instance) {
  /** Bytes of a request; its events have what it says and more, and must fit into the topic. */
  static final int LARGEST_REQUEST = 256 << 10;

  /** Bytes of any event, which is kept; ours are smaller, but what is compressed may be larger. */
  static final int LARGEST_EVENT = 1 << 20;

  /**
   * Takes a record of the transfers' topic.
   *
   * @param states get what it says
   * @return the event, or nothing for a tombstone
   * @throws UnreadableException if it is no event that anybody could act on; nothing changes then
   */
  Optional<TransferEvent> take(ConsumerRecord<byte[], byte[]> record, TransferStates states)
      throws UnreadableException {
    if (record.key() != null && record.value() == null) {
      states.withdrawn(record.offset(), new String(record.key(), StandardCharsets.UTF_8));
      return Optional.empty();
    }
    byte[] value = record.value();
    if (value != null && value.length > LARGEST_EVENT) {
      throw new UnreadableException(
          "TOO_LARGE", "it has " + value.length + " bytes, but an event may have " + LARGEST_EVENT);
    }
    TransferEvent event = values.read(value, TransferEvent.class, TransferEvent.getClassSchema());
    if (record.key() == null
        || !new String(record.key(), StandardCharsets.UTF_8).equals(event.getTransferId())) {
      throw new UnreadableException("KEY_MISMATCH", "its key is not the transferId");
    }
    if (event.getState() == TransferState.UNKNOWN) {
      throw new UnreadableException(
          "UNKNOWN_STATE", "its state is none that this version knows: update the processor");
    }
    refuseTooLarge(event.getState(), record.value().length);
    states.apply(record.offset(), event);
    return Optional.of(event);
  }

  /** What a compressed request has room for in the topic, its events may not have. */
  static void refuseTooLarge(TransferState state, int bytes) throws UnreadableException {
    if (state == TransferState.REQUESTED && bytes > LARGEST_REQUEST) {
      throw new UnreadableException(
          "TOO_LARGE",
          "it has "
              + bytes
              + " bytes, but a request may have "
              + LARGEST_REQUEST
              + ": its events repeat all of it");
    }
  }

  ProducerRecord<byte[], byte[]> of(TransferEvent event) {
    return record(
        topics.transfers().name(),
        event.getTransferId(),
        event,
        TransferEvent.getClassSchema(),
        TransferStates.step(event.getState()));
  }

  ProducerRecord<byte[], byte[]> of(ModelRelease release) {
    return record(
        topics.models().name(), release.getModelId(), release, ModelRelease.getClassSchema(), 0);
  }

  /** A tombstone for a release. */
  ProducerRecord<byte[], byte[]> withdrawal(String modelId) {
    return new ProducerRecord<>(
        topics.models().name(), modelId.getBytes(StandardCharsets.UTF_8), null);
  }

  private ProducerRecord<byte[], byte[]> record(
      String topic, String key, SpecificRecord value, Schema schema, int revision) {
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(
            topic, key.getBytes(StandardCharsets.UTF_8), values.write(topic, value));
    EventHeaders.of(schema, writer, instance, key, revision, "")
        .toMap()
        .forEach(record.headers()::add);
    return record;
  }
}
