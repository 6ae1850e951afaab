package dev.whence.transfer.stage;

import dev.whence.runtime.kafka.OnePartition;
import dev.whence.runtime.models.LiveReleases;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What {@code whence.models} says, read by one session from its beginning on. Owned by the stage's
 * thread.
 */
final class FollowedReleases {
  private static final Logger LOG = LoggerFactory.getLogger(FollowedReleases.class);
  private static final Duration LOOK_UP = Duration.ofSeconds(10);

  private final Consumer<byte[], byte[]> models;
  private final TopicPartition releases;
  private final AvroValues values;
  private final AnnouncedModels announced = new AnnouncedModels();
  private long lastWritten = -1; // offset of the last one that the session wrote itself

  /**
   * Begins to read.
   *
   * @param models closed by the caller
   * @throws EnvironmentException if there is no such topic, or it has more partitions than one
   */
  FollowedReleases(Consumer<byte[], byte[]> models, String topic, AvroValues values) {
    this.models = models;
    this.releases = OnePartition.of(models, topic);
    this.values = values;
    models.assign(List.of(releases));
    models.seekToBeginning(List.of(releases));
  }

  AnnouncedModels announced() {
    return announced;
  }

  /** Takes what has come. */
  void poll() {
    ConsumerRecords<byte[], byte[]> polled = models.poll(Duration.ZERO);
    while (!polled.isEmpty()) {
      polled.forEach(this::announce);
      polled = models.poll(Duration.ZERO);
    }
  }

  /** The session has written a release of its own. */
  void wrote(long offset) {
    lastWritten = offset;
  }

  private void announce(ConsumerRecord<byte[], byte[]> record) {
    if (record.key() == null) {
      return;
    }
    String modelId = new String(record.key(), StandardCharsets.UTF_8);
    if (record.value() == null) {
      announced.withdrawn(modelId);
      return;
    }
    try {
      ModelRelease release = LiveReleases.read(record.value(), values);
      if (release.getModelId().equals(modelId)) {
        announced.released(record.offset(), release);
      } else { // no tombstone could withdraw it
        LOG.warn("{} at offset {}: its key is not the modelId", record.topic(), record.offset());
      }
    } catch (UnreadableException e) {
      LOG.warn("{} at offset {}: {}", record.topic(), record.offset(), e.sentence());
    }
  }

  /**
   * Whether the release of a transfer that was published is gone, and none is in its place. What
   * another release of the same id has superseded was not withdrawn: carried out again, it would
   * replace the newer one.
   */
  boolean isWithdrawn(TransferEvent published) {
    return announced.find(published.getModelId()).isEmpty();
  }

  /**
   * Whether all releases are read. The end may be told before the last transaction's markers are
   * written, so what was written here is looked for by its offset.
   */
  boolean isRead() {
    Long end = models.endOffsets(List.of(releases), LOOK_UP).get(releases);
    long position = models.position(releases, LOOK_UP);
    return end != null && position >= end && position > lastWritten;
  }
}
