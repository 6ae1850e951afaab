package dev.whence.runtime.kafka;

import org.apache.kafka.common.utils.Utils;

/**
 * Partitions of a topic that are read before its others: every fourth one, from partition 1 on. A
 * topic of one partition has none. A right of way by partition leaves offsets in order, so nothing
 * else has to know of it, and a partition stays what it is if their number is raised.
 *
 * <pre>
 * urgent:     1       5       9
 * ordinary: 0   2 3 4   6 7 8   10 11
 * </pre>
 *
 * @param partitions of the topic
 */
public record UrgentPartitions(int partitions) {
  private static final int EVERY = 4;
  private static final int FIRST = 1;

  public UrgentPartitions {
    if (partitions < 1) {
      throw new IllegalArgumentException(
          "a topic has " + partitions + " partitions, but must have one at least");
    }
  }

  /** Whether this one is read first, however many there are. */
  public static boolean holds(int partition) {
    return partition % EVERY == FIRST;
  }

  /** Where a record belongs; the same for the same key. */
  public int of(byte[] key, boolean urgent) {
    int count = (partitions - FIRST + EVERY - 1) / EVERY;
    int hash = Utils.toPositive(Utils.murmur2(key));
    if (urgent && count > 0) {
      return FIRST + EVERY * (hash % count);
    }
    int ordinary = hash % (partitions - count);
    // One urgent partition comes after the first ordinary one, and after every third behind it.
    return ordinary + (ordinary - FIRST + EVERY - 1) / (EVERY - 1);
  }
}
