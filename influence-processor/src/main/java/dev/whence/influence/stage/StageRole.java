package dev.whence.influence.stage;

/** Which part of the work a process does; it may do several. */
public enum StageRole {
  /** Turns responses into queries. */
  QUERY,
  /** Looks through shards of indexes. */
  SHARDS,
  /** Puts the shards' answers together. */
  MERGE
}
