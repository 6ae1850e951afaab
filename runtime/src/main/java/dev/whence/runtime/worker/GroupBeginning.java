package dev.whence.runtime.worker;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * How many partitions a topic had when a group with {@code start: latest} began to read it. These
 * begin at their ends where nothing is committed. One that was added later begins at its beginning:
 * the group was there, and what was written before somebody was given the partition is not old.
 *
 * <p>A partition without a committed offset is either new, or was there from the start and is only
 * now being assigned for the first time. The offset alone does not tell which. So every commit of
 * such a group also says how many partitions there were when it began: the number stands in its
 * metadata, {@code partitions=12} behind what {@link Attempt} writes, and whoever finds a partition
 * without an offset looks at what is committed of the others. Owned by the poll thread.
 */
final class GroupBeginning {
  private static final Pattern WRITTEN = Pattern.compile("(?:^|;)partitions=(\\d{1,9})(?:;|$)");

  private OptionalInt partitions = OptionalInt.empty();

  /**
   * Takes what is committed of some partitions.
   *
   * @param committed null, or absent, where there is nothing
   */
  void learn(Collection<OffsetAndMetadata> committed) {
    committed.stream()
        .filter(Objects::nonNull)
        .map(offset -> WRITTEN.matcher(offset.metadata()))
        .filter(Matcher::find)
        .mapToInt(written -> Integer.parseInt(written.group(1)))
        .max()
        .ifPresent(count -> partitions = OptionalInt.of(count));
  }

  /**
   * Takes what is committed of all partitions that there are. If nothing is committed anywhere, the
   * group begins now, with all partitions that there are. If something is committed but without the
   * number, the group is older than this note: every partition without an offset then counts as
   * added later.
   */
  void learnAll(Collection<OffsetAndMetadata> committed, int now) {
    learn(committed);
    if (partitions.isEmpty()) {
      boolean begins = committed.stream().allMatch(Objects::isNull);
      partitions = OptionalInt.of(begins ? now : 0);
    }
  }

  /** Whether a partition was there when the group began; false where nobody knows. */
  boolean knew(TopicPartition partition) {
    return partition.partition() < partitions.orElse(0);
  }

  /** The same offsets, and the number in their metadata, if it is known. */
  Map<TopicPartition, OffsetAndMetadata> signed(Map<TopicPartition, OffsetAndMetadata> offsets) {
    if (partitions.isEmpty()) {
      return offsets;
    }
    Map<TopicPartition, OffsetAndMetadata> signed = new HashMap<>();
    offsets.forEach(
        (partition, offset) ->
            signed.put(
                partition,
                new OffsetAndMetadata(
                    offset.offset(),
                    offset.leaderEpoch(),
                    (offset.metadata().isEmpty() ? "" : offset.metadata() + ";")
                        + "partitions="
                        + partitions.getAsInt())));
    return signed;
  }
}
