package dev.whence.runtime.kafka;

import java.time.Duration;
import java.util.List;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;

/**
 * Offsets of a partition, read once by the thread that asks.
 *
 * @param from the first one
 * @param end the one behind the last
 */
public record PartitionRange(TopicPartition partition, long from, long end) {
  private static final Duration POLL = Duration.ofMillis(500);

  /** How long brokers may bring nothing. */
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  /**
   * What is done with records.
   *
   * @param <E> what it may throw
   */
  public interface Reader<E extends Exception> {
    /**
     * What a poll brought.
     *
     * @param records in order; there may be none
     * @param next offset where reading goes on: beyond the last record where markers of
     *     transactions follow, the range's end at the end
     */
    void take(List<ConsumerRecord<byte[], byte[]>> records, long next) throws E;
  }

  /**
   * All that is there now.
   *
   * @throws KafkaException if the brokers do not answer or there is no such partition
   */
  public static PartitionRange now(Consumer<byte[], byte[]> consumer, TopicPartition partition) {
    List<TopicPartition> all = List.of(partition);
    Long begin = consumer.beginningOffsets(all, PATIENCE).get(partition);
    Long end = consumer.endOffsets(all, PATIENCE).get(partition);
    if (begin == null || end == null) {
      throw new KafkaException("there is no " + partition);
    }
    return new PartitionRange(partition, begin, Math.max(begin, end));
  }

  /**
   * Reads the range.
   *
   * @param consumer for {@code assign}; is assigned this partition
   * @throws KafkaException if the brokers do not answer, or do not have the offsets any more
   */
  public <E extends Exception> void read(Consumer<byte[], byte[]> consumer, Reader<E> reader)
      throws E {
    consumer.assign(List.of(partition));
    consumer.seek(partition, from);
    long next = from;
    long giveUpAt = System.nanoTime() + PATIENCE.toNanos();
    while (next < end) {
      List<ConsumerRecord<byte[], byte[]>> records =
          consumer.poll(POLL).records(partition).stream()
              .filter(record -> record.offset() < end)
              .toList();
      long position = Math.min(consumer.position(partition, PATIENCE), end);
      boolean moved = position > next;
      if (!moved && System.nanoTime() > giveUpAt) {
        throw new TimeoutException("the brokers stopped answering while reading " + partition);
      }
      next = position;
      reader.take(records, next);
      if (moved) {
        giveUpAt = System.nanoTime() + PATIENCE.toNanos(); // from here: taking may take longer
      }
    }
  }
}
