package dev.whence.runtime.topics;

/** How many replicas must have a record before it counts as written. */
final class Durability {
  /** With three replicas two of them: losing one broker loses nothing and stops nothing. */
  static final int IN_SYNC = 2;

  private Durability() {}

  /**
   * Whether a topic asks for fewer than it could.
   *
   * @param replicas of each partition
   * @param minInSync the effective {@code min.insync.replicas}; what is no number is left alone
   */
  static boolean isTooLow(int replicas, String minInSync) {
    try {
      return replicas > IN_SYNC && Integer.parseInt(minInSync) < IN_SYNC;
    } catch (NumberFormatException e) {
      return false;
    }
  }

  /** What there is to say about the number of replicas; empty if nothing. */
  static String warning(int replicas, int brokers) {
    return replicas == 1 && brokers > 1
        ? "1 replica of each partition though there are "
            + brokers
            + " brokers: what the one holds is lost with it (default.replication.factor is the"
            + " brokers' setting; kafka-reassign-partitions.sh adds replicas)"
        : "";
  }
}
