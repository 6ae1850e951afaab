package dev.whence.transfer.stage;

import dev.whence.runtime.worker.EnvironmentException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.common.TopicPartition;

/**
 * Records that wait for their turn. A job takes hours, in which the consumer has to be polled and
 * others may write: so nothing more is fetched while one runs, nor before all that was fetched had
 * its turn. What waits here is never more than one poll gives.
 */
final class Received {
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
   * Polls, which is due in any case; fetches if nothing waits here and nothing runs.
   *
   * <p>With the group protocol "consumer" the partition may go between two calls, and a leader may
   * change while the client collects records: it then throws IllegalStateException, and new clients
   * go on.
   *
   * @throws EnvironmentException if only new clients can go on
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
