package dev.whence.runtime.topics;

/**
 * What was found, or done, about one topic or subject.
 *
 * @param name topic or subject
 * @param kind what it means
 * @param detail one sentence
 */
public record TopicState(String name, Kind kind, String detail) {

  /** What a finding means. */
  public enum Kind {
    /** As the catalogue says. */
    AS_WANTED,
    /** Not there. */
    MISSING,
    /** There, but different; after a creation: larger, or with a fixed number of partitions. */
    DRIFT,
    /**
     * Should have been changed and was not: the cluster or the registry does not allow it, or
     * records would be cleaned up in another way.
     */
    REFUSED,
    /** Was missing and is there now. */
    CREATED,
    /** Was smaller and is as large as the catalogue says now. */
    RAISED
  }
}
