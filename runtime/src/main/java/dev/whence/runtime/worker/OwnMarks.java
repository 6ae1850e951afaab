package dev.whence.runtime.worker;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * What this process has committed about records that it has begun and not ended. Whoever finds such
 * a mark takes its writer for dead; this process knows better, where it finds its own: the clients
 * were new, not the process. Owned by the poll thread, over all its sessions.
 */
final class OwnMarks {
  private final Map<TopicPartition, Mark> marks = new HashMap<>();

  private record Mark(long offset, String metadata, Attempt before) {}

  /**
   * A mark was committed.
   *
   * @param before what the committed offset had said before
   */
  void written(TopicPartition partition, OffsetAndMetadata mark, Attempt before) {
    marks.put(partition, new Mark(mark.offset(), mark.metadata(), before));
  }

  /** Something else was committed. */
  void gone(Collection<TopicPartition> partitions) {
    partitions.forEach(marks::remove);
  }

  /** What a committed offset says about processes that died. */
  Attempt read(TopicPartition partition, OffsetAndMetadata committed) {
    return Optional.ofNullable(marks.get(partition))
        .filter(mark -> mark.offset() == committed.offset())
        .filter(mark -> mark.metadata().equals(committed.metadata()))
        .map(Mark::before)
        .orElseGet(() -> Attempt.parse(committed.metadata()));
  }
}
