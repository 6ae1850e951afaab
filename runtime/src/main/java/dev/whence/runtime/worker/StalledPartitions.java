package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds partitions that a consumer owns and no longer reads, though committed records wait in them:
 * a client may lose its way in a rebalance or a restart of the brokers, and nothing else would ever
 * say so. Looked at when a poll of all partitions came back empty; asks for the ends of the logs
 * without waiting. Owned by the poll thread.
 */
final class StalledPartitions {
  private static final Logger LOG = LoggerFactory.getLogger(StalledPartitions.class);

  /** So many answers in a row must find a partition where it was. */
  static final int TIMES = 3;

  private static final Duration LOCAL = Duration.ofMillis(100);
  private static final long UNKNOWN = -1;

  private final Consumer<byte[], byte[]> consumer;
  private final Function<Set<TopicPartition>, KafkaFuture<Map<TopicPartition, Long>>> stableEnds;
  private final Duration every;
  private final Map<TopicPartition, Standing> standing = new HashMap<>();
  private Optional<KafkaFuture<Map<TopicPartition, Long>>> asked = Optional.empty();
  private long askedAt;

  /** Where a partition stood, and in how many answers in a row it did with records after it. */
  private record Standing(long position, int times) {}

  /**
   * @param stableEnds asks the brokers for the last stable offsets of partitions
   * @param every how often
   */
  StalledPartitions(
      Consumer<byte[], byte[]> consumer,
      Function<Set<TopicPartition>, KafkaFuture<Map<TopicPartition, Long>>> stableEnds,
      Duration every) {
    this.consumer = consumer;
    this.stableEnds = stableEnds;
    this.every = every;
    this.askedAt = System.nanoTime();
  }

  /**
   * Takes an answer, if one has come, and asks again.
   *
   * @throws FatalClientException if a partition does not move; only new clients can go on
   */
  void look() {
    if (asked.isPresent() && asked.get().isDone()) {
      take(asked.get());
      asked = Optional.empty();
    }
    if (asked.isEmpty() && System.nanoTime() - askedAt >= every.toNanos()) {
      askedAt = System.nanoTime();
      Set<TopicPartition> assigned = consumer.assignment();
      if (!assigned.isEmpty()) {
        asked = Optional.of(stableEnds.apply(assigned));
      }
    }
  }

  private void take(KafkaFuture<Map<TopicPartition, Long>> answer) {
    Map<TopicPartition, Long> ends;
    try {
      ends = answer.get();
    } catch (ExecutionException e) {
      LOG.debug("the ends of the logs are not known", e);
      return;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return;
    }
    Set<TopicPartition> assigned = consumer.assignment();
    standing.keySet().retainAll(assigned);
    for (Map.Entry<TopicPartition, Long> end : ends.entrySet()) {
      TopicPartition partition = end.getKey();
      if (!assigned.contains(partition)) {
        continue;
      }
      Optional<Long> position = position(partition);
      if (position.isEmpty() || position.get() >= end.getValue()) {
        standing.remove(partition);
        continue;
      }
      Standing before = standing.get(partition);
      int times = before != null && before.position() == position.get() ? before.times() + 1 : 1;
      standing.put(partition, new Standing(position.get(), times));
      if (times >= TIMES) {
        throw new FatalClientException(
            partition
                + " is no longer read: it stands at "
                + (position.get() == UNKNOWN ? "an unknown offset" : "offset " + position.get())
                + " though records up to offset "
                + end.getValue()
                + " wait");
      }
    }
  }

  /** Empty where the partition has gone. */
  private Optional<Long> position(TopicPartition partition) {
    try {
      return Optional.of(Partitions.awake(() -> consumer.position(partition, LOCAL)));
    } catch (KafkaException e) {
      return Optional.of(UNKNOWN);
    } catch (IllegalStateException e) {
      return Optional.empty();
    }
  }
}
