package dev.whence.runtime.worker;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * A record to write, serialised.
 *
 * @param topic to write to
 * @param key bytes
 * @param value bytes
 * @param headers in order; never with text of a prompt or a response
 * @param shrink what to write instead if this is larger than the topic takes
 * @param partition to write to; empty: the one that the key says
 */
@SuppressWarnings("ArrayRecordComponent") // bytes as Kafka has them; never compared
public record Result(
    String topic,
    byte[] key,
    byte[] value,
    List<EventHeader> headers,
    Shrink shrink,
    OptionalInt partition) {
  public Result {
    headers = List.copyOf(headers);
  }

  /** A result for the partition that its key says. */
  public Result(String topic, byte[] key, byte[] value, List<EventHeader> headers, Shrink shrink) {
    this(topic, key, value, headers, shrink, OptionalInt.empty());
  }

  /** A result that can not be made smaller. */
  public Result(String topic, byte[] key, byte[] value, List<EventHeader> headers) {
    this(topic, key, value, headers, Optional::empty);
  }

  /** The same for a partition of the caller's choice. */
  public Result toPartition(int chosen) {
    return new Result(
        topic,
        key,
        value,
        headers,
        () -> shrink.smaller().map(smaller -> smaller.toPartition(chosen)),
        OptionalInt.of(chosen));
  }

  @Override
  public String toString() {
    return "a record of " + value.length + " bytes for " + topic;
  }

  /** Makes a result smaller, by one step. */
  @FunctionalInterface
  public interface Shrink {
    /** The next smaller form, or empty if there is none. */
    Optional<Result> smaller();
  }
}
