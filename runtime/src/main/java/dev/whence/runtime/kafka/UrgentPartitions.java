package dev.whence.runtime.kafka;

import org.apache.kafka.common.utils.Utils;

/**
 * Partitions of a topic that are read before its others: the first quarter of them, one at least. A
 * topic of one partition has none. A right of way by partition leaves offsets in order, so nothing
 * else has to know of it.
 *
 * <pre>
 * 12 partitions:  0 1 2 | 3 4 5 6 7 8 9 10 11
 *                urgent |  ordinary
 * </pre>
 *
 * <p>Whoever writes and whoever reads may for a while see other numbers of partitions, if they are
 * raised: then some records have another place in the queue, and none is lost.
 *
 * @param partitions of the topic
 */
public record UrgentPartitions(int partitions) {
  private static final int SHARE = 4;

  public UrgentPartitions {
    if (partitions < 1) {
      throw new IllegalArgumentException(
          "a topic has " + partitions + " partitions, but must have one at least");
    }
  }

  /** How many of them are read first. */
  public int count() {
    return partitions == 1 ? 0 : Math.max(1, partitions / SHARE);
  }

  /** Whether this one is. */
  public boolean holds(int partition) {
    return partition < count();
  }

  /** Where a record belongs; the same for the same key. */
  public int of(byte[] key, boolean urgent) {
    int hash = Utils.toPositive(Utils.murmur2(key));
    if (count() == 0) {
      return 0;
    }
    return urgent ? hash % count() : count() + hash % (partitions - count());
  }
}
