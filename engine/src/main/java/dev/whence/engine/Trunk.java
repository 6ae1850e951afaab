package dev.whence.engine;

/**
 * A token sequence that was run once, with its keys and values kept on the device. Close it to free
 * them.
 */
public interface Trunk extends AutoCloseable {
  /** Number of tokens. */
  int length();

  /** The token ids, in order. */
  int[] tokens();

  /** Index of the first token whose log-probability was computed. */
  int scoredFrom();

  /** Natural-log probabilities of tokens [scoredFrom, length), nats. */
  double[] logProbs();

  /** How many of its first tokens were not computed, since a trunk before it began with them. */
  default int reused() {
    return 0;
  }

  /** Bytes of device memory held. */
  long bytes();

  @Override
  void close();
}
