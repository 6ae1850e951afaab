package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Function;
import java.util.function.LongSupplier;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How many records of its partitions a worker has not read yet. A consumer learns where a partition
 * ends with what it fetches, so of one that is paused it knows nothing new: the brokers are asked,
 * too, without waiting, and the later of both ends counts. Where the brokers do not answer it is
 * the last end that is known. Owned by the poll thread.
 */
final class QueueLag {
  private static final Logger LOG = LoggerFactory.getLogger(QueueLag.class);

  private final Consumer<byte[], byte[]> consumer;
  private final Function<Set<TopicPartition>, Map<TopicPartition, KafkaFuture<Long>>> stableEnds;
  private final Duration every;
  private final LongSupplier now;
  private final Map<TopicPartition, Long> ends = new HashMap<>();
  private Map<TopicPartition, KafkaFuture<Long>> asked = Map.of();
  private long askedAt;

  /**
   * @param stableEnds asks the brokers for the last stable offsets of partitions
   * @param every how often
   * @param now in nanoseconds
   */
  QueueLag(
      Consumer<byte[], byte[]> consumer,
      Function<Set<TopicPartition>, Map<TopicPartition, KafkaFuture<Long>>> stableEnds,
      Duration every,
      LongSupplier now) {
    this.consumer = consumer;
    this.stableEnds = stableEnds;
    this.every = every;
    this.now = now;
    this.askedAt = now.getAsLong() - every.toNanos();
  }

  /**
   * Takes answers, if they have come, and asks again. Returns at once.
   *
   * @param readTo to where a partition was read, as far as that is known
   * @return offsets from there to the ends; empty if that is not known of one of the partitions
   */
  OptionalLong unread(Function<TopicPartition, Optional<Long>> readTo) {
    Set<TopicPartition> assigned = consumer.assignment();
    if (asked.values().stream().allMatch(KafkaFuture::isDone)) {
      asked
          .keySet()
          .forEach(one -> StalledPartitions.end(asked, one).ifPresent(e -> ends.put(one, e)));
      asked = Map.of();
      if (!assigned.isEmpty() && now.getAsLong() - askedAt >= every.toNanos()) {
        askedAt = now.getAsLong();
        asked = stableEnds.apply(assigned);
      }
    }
    ends.keySet().retainAll(assigned);
    long all = 0;
    for (TopicPartition partition : assigned) {
      OptionalLong unread = unread(partition, readTo.apply(partition));
      if (unread.isEmpty()) {
        return unread;
      }
      all += unread.getAsLong();
    }
    return OptionalLong.of(all);
  }

  private OptionalLong unread(TopicPartition partition, Optional<Long> readTo) {
    Optional<Long> end = Optional.ofNullable(ends.get(partition));
    Optional<Long> from = readTo;
    try {
      OptionalLong lag = consumer.currentLag(partition);
      if (lag.isPresent()) { // so there is a position, and to ask for it takes no time
        long position = Partitions.awake(() -> consumer.position(partition, Duration.ZERO));
        end = Optional.of(Math.max(end.orElse(0L), position + lag.getAsLong()));
        from = Optional.of(Math.max(from.orElse(0L), position));
      }
    } catch (IllegalStateException e) {
      LOG.debug("{} is no longer assigned", partition);
      return OptionalLong.of(0);
    } catch (KafkaException e) {
      LOG.debug("{} has no position: {}", partition, Failure.describe(e));
    }
    return end.isPresent() && from.isPresent()
        ? OptionalLong.of(Math.max(0, end.get() - from.get()))
        : OptionalLong.empty();
  }
}
