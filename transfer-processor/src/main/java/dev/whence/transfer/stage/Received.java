package dev.whence.transfer.stage;

import dev.whence.runtime.worker.EnvironmentException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Records that wait for their turn. A job takes hours, in which the consumer has to be polled and
 * others may write: so nothing more is fetched while one runs, nor before all that was fetched had
 * its turn. What waits here is never more than one poll gives.
 */
final class Received {
  private static final Logger LOG = LoggerFactory.getLogger(Received.class);
  private static final Duration LOOK_UP = Duration.ofSeconds(10);

  private final Consumer<byte[], byte[]> consumer;
  private final TopicPartition partition;
  private final Duration longest;
  private final Deque<ConsumerRecord<byte[], byte[]>> waiting = new ArrayDeque<>();

  /**
   * @param longest that a poll waits for records
   */
  Received(Consumer<byte[], byte[]> consumer, TopicPartition partition, Duration longest) {
    this.consumer = consumer;
    this.partition = partition;
    this.longest = longest;
  }

  /**
   * Goes to the record that is taken next, of a partition that was just assigned. Where the log
   * ends before what is committed, it is not the one that this was said of: it is read from its
   * beginning, and what had its turn is known by its events.
   *
   * @return the offset
   */
  long begin() {
    OffsetAndMetadata committed = consumer.committed(Set.of(partition), LOOK_UP).get(partition);
    long begin = beginning();
    // What compaction or retention took away had its turn: never an error here.
    long next = Math.max(begin, committed == null ? 0 : committed.offset());
    if (next > begin) {
      Long end = consumer.endOffsets(List.of(partition), LOOK_UP).get(partition);
      if (end != null && next > end) {
        LOG.error(
            "{}: offset {} is committed, but the log ends at {}: an election cut it off, or the"
                + " topic was made anew; it is read from its beginning",
            partition,
            next,
            end);
        next = begin;
      }
    }
    consumer.seek(partition, next);
    return next;
  }

  /**
   * Goes to the log's beginning.
   *
   * @return the offset
   */
  long beginAnew() {
    long begin = beginning();
    consumer.seek(partition, begin);
    return begin;
  }

  private long beginning() {
    Long begin = consumer.beginningOffsets(List.of(partition), LOOK_UP).get(partition);
    return begin == null ? 0 : begin;
  }

  /**
   * Polls, which is due in any case; fetches if nothing waits here and nothing runs.
   *
   * <p>With the group protocol "consumer" the partition may go between two calls, and a leader may
   * change while the client collects records: it then throws IllegalStateException, and new clients
   * go on.
   *
   * @throws EnvironmentException if only new clients can go on
   * @throws org.apache.kafka.clients.consumer.OffsetOutOfRangeException if the log does not hold
   *     the position, or is another one up to there
   */
  void poll(boolean running) {
    try {
      fetch(running);
    } catch (IllegalStateException e) {
      throw new EnvironmentException("the consumer can not go on: " + e.getMessage(), e);
    }
  }

  private void fetch(boolean running) {
    if (running || !waiting.isEmpty()) {
      consumer.pause(consumer.assignment());
    } else {
      consumer.resume(consumer.assignment());
    }
    Duration most = running || waiting.isEmpty() ? longest : Duration.ZERO;
    try {
      consumer.poll(most).records(partition).forEach(waiting::add);
    } catch (NoOffsetForPartitionException e) {
      // Where nothing is committed yet, the client may look for an offset before it tells of it.
      consumer.seekToBeginning(e.partitions());
    }
  }

  Optional<ConsumerRecord<byte[], byte[]>> next() {
    return Optional.ofNullable(waiting.poll());
  }

  void putBack(ConsumerRecord<byte[], byte[]> record) {
    waiting.addFirst(record);
  }

  void clear() {
    waiting.clear();
  }
}
