package dev.whence.transfer.stage;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
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

  /** Polls, which is due in any case; fetches if nothing waits here and nothing runs. */
  void poll(boolean running) {
    if (running || !waiting.isEmpty()) {
      consumer.pause(consumer.assignment());
    } else {
      consumer.resume(consumer.assignment());
    }
    Duration most = running || waiting.isEmpty() ? longest : Duration.ZERO;
    consumer.poll(most).records(partition).forEach(waiting::add);
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
