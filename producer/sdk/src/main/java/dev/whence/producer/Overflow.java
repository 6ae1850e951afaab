package dev.whence.producer;

import java.time.Duration;

/** What happens to a response that finds the queue full. */
public sealed interface Overflow {

  /**
   * It is dropped at once, and its future fails with {@link DeliveryException.Reason#QUEUE_FULL}.
   */
  record DropNewest() implements Overflow {}

  /**
   * Its caller waits for room, and it is dropped after that.
   *
   * @param atMost how long; the one way in which recording a response blocks
   */
  record Block(Duration atMost) implements Overflow {
    public Block {
      if (atMost.isNegative()) {
        throw new IllegalArgumentException("the time to block, " + atMost + ", is negative");
      }
    }
  }

  static Overflow dropNewest() {
    return new DropNewest();
  }

  static Overflow block(Duration atMost) {
    return new Block(atMost);
  }
}
