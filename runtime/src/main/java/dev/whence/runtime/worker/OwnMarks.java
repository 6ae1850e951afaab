package dev.whence.runtime.worker;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * What this process has committed about records that it has begun and not ended. Whoever finds such
 * a mark takes its writer for dead; this process knows better, where it finds its own: the clients
 * were new, not the process. A mark carries a name that no other process has. Owned by the poll
 * thread, over all its sessions.
 */
final class OwnMarks {
  private final String name = UUID.randomUUID().toString().replace("-", "");
  private final Map<TopicPartition, Mark> marks = new HashMap<>();

  private record Mark(long offset, String metadata, Attempt before) {}

  /**
   * The offset that is about to be committed, with this process's name in its metadata. It may be
   * committed even if the client says that it is not.
   *
   * @param before what the committed offset had said before
   */
  OffsetAndMetadata mark(TopicPartition partition, OffsetAndMetadata begun, Attempt before) {
    String metadata = begun.metadata() + ";by=" + name;
    marks.put(partition, new Mark(begun.offset(), metadata, before));
    return new OffsetAndMetadata(begun.offset(), begun.leaderEpoch(), metadata);
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
