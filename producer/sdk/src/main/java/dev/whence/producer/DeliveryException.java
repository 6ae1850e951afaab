package dev.whence.producer;

import org.jspecify.annotations.Nullable;

/** Why a response was not delivered. The message never holds text of the response. */
public final class DeliveryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What went wrong. */
  public enum Reason {
    /** No room in the queue: the broker or the registry is away or too slow. */
    QUEUE_FULL,
    /** It was recorded after close, or not delivered within the time that close was given. */
    CLOSED,
    /** It is no response that can be written: no id, no messages, spans outside of their texts. */
    INVALID,
    /** It is larger than the topic's records, or than the whole queue. */
    TOO_LARGE,
    /** Kafka refused it for good, or its producer failed for good while it had the response. */
    REFUSED
  }

  private final Reason reason;

  DeliveryException(Reason reason, String message, @Nullable Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  public Reason reason() {
    return reason;
  }
}
