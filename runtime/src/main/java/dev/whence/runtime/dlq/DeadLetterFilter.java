package dev.whence.runtime.dlq;

import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * Which records of a dead letter queue are meant; what is empty does not matter.
 *
 * @param code of the failure
 * @param partition of the source topic
 * @param from first offset in the dead letter queue
 * @param to last offset in the dead letter queue
 */
public record DeadLetterFilter(
    Optional<String> code, OptionalInt partition, OptionalLong from, OptionalLong to) {
  public static final DeadLetterFilter ALL =
      new DeadLetterFilter(
          Optional.empty(), OptionalInt.empty(), OptionalLong.empty(), OptionalLong.empty());

  boolean accepts(DeadLetterEntry entry) {
    return (code.isEmpty() || code.get().equals(entry.code()))
        && (partition.isEmpty() || partition.getAsInt() == entry.partition())
        && (from.isEmpty() || entry.offset() >= from.getAsLong())
        && (to.isEmpty() || entry.offset() <= to.getAsLong());
  }
}
