package dev.whence.ingest;

/** Whoever shows a replay to a person. Called on the thread that runs the replay. */
public interface ReplayListener {

  /** An earlier run had settled every line up to this one: they are not sent again. */
  default void resumed(long afterLine) {}

  /**
   * A line that is no response, or that Kafka refused; the replay goes on.
   *
   * @param line number of the line, from 1
   * @param problem what is wrong with it, without its text
   */
  default void badLine(long line, String problem) {}

  /** Several times a second while there is something to tell, and at the end. */
  default void progress(ReplayProgress progress) {}
}
