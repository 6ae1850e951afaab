package dev.whence.engine.kernel;

import java.util.concurrent.atomic.AtomicLong;

/**
 * Bytes that a scorer holds on its device: weights and trunks. Read by metrics, from any thread.
 */
public final class NativeMemory {
  private final AtomicLong weights = new AtomicLong();
  private final AtomicLong trunks = new AtomicLong();

  NativeMemory() {}

  void addWeights(long bytes) {
    weights.addAndGet(bytes);
  }

  void addTrunk(long bytes) {
    trunks.addAndGet(bytes);
  }

  /**
   * Bytes of weights. The table of rotations is not counted: 4 bytes for each rotated dimension of
   * a head and position, 8 MiB at most for 2,048 positions. It grows with the longest sequence, of
   * which it is a small part.
   */
  public long weightBytes() {
    return weights.get();
  }

  /**
   * Bytes of keys and values of open trunks, of what their scored rows gave, and of keys and values
   * of closed trunks that are kept for the next.
   */
  public long trunkBytes() {
    return trunks.get();
  }
}
