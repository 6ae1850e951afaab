package dev.whence.attribution;

/** Into what the partitioner cuts attributable segments. */
public enum Granularity {
  SENTENCE,
  PARAGRAPH,
  SEGMENT
}
