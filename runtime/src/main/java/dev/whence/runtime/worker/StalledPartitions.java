package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
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

/**
 * Finds partitions that a consumer owns and no longer reads, though committed records wait in them:
 * a client may lose its way in a rebalance or a restart of the brokers, and nothing else would ever
 * say so. Looked at when a poll of all partitions came back empty, so a partition that stands still
 * is found once the others are read to their ends. Asks for the ends of the logs without waiting.
 * Where new clients stand there, too, it is not the clients: then it is only said. Owned by the
 * poll thread.
 */
final class StalledPartitions {
  /** So many answers in a row must find a partition where it was. */
  static final int TIMES = 3;

  private static final Duration LOCAL = Duration.ofMillis(100);
  private static final long UNKNOWN = -1;

  private static final String PART = "partitions";

  private final Consumer<byte[], byte[]> consumer;
  private final Function<Set<TopicPartition>, Map<TopicPartition, KafkaFuture<Long>>> stableEnds;
  private final Duration every;
  private final Map<TopicPartition, Long> before;
  private final Health health;
  private final Map<TopicPartition, Standing> standing = new HashMap<>();
  private Map<TopicPartition, KafkaFuture<Long>> asked = Map.of();
  private long askedAt;

  /** Where a partition stood, and in how many answers in a row it did with records after it. */
  private record Standing(long position, int times) {}

  /**
   * @param stableEnds asks the brokers for the last stable offsets of partitions
   * @param every how often
   * @param before where earlier clients were given up for standing; changed
   */
  StalledPartitions(
      Consumer<byte[], byte[]> consumer,
      Function<Set<TopicPartition>, Map<TopicPartition, KafkaFuture<Long>>> stableEnds,
      Duration every,
      Map<TopicPartition, Long> before,
      Health health) {
    this.consumer = consumer;
    this.stableEnds = stableEnds;
    this.every = every;
    this.before = before;
    this.health = health;
    this.askedAt = System.nanoTime();
  }

  /**
   * Takes answers, if they have come, and asks again.
   *
   * @param read what the poll was to read
   * @throws FatalClientException if a partition does not move, and new clients may
   */
  void look(Set<TopicPartition> read) {
    if (!asked.isEmpty() && asked.values().stream().allMatch(KafkaFuture::isDone)) {
      Map<TopicPartition, KafkaFuture<Long>> answers = asked;
      asked = Map.of();
      take(answers, read);
    }
    if (read.isEmpty()) {
      standing.clear();
      before.keySet().retainAll(consumer.assignment());
      if (before.isEmpty()) {
        health.ready(PART);
      }
      return;
    }
    if (asked.isEmpty() && System.nanoTime() - askedAt >= every.toNanos()) {
      askedAt = System.nanoTime();
      asked = stableEnds.apply(read);
    }
  }

  private void take(Map<TopicPartition, KafkaFuture<Long>> answers, Set<TopicPartition> read) {
    standing.keySet().retainAll(read);
    before.keySet().retainAll(consumer.assignment());
    Optional<String> stalled = Optional.empty();
    Optional<String> newly = Optional.empty();
    for (TopicPartition partition : read) {
      Optional<Long> end = end(answers, partition);
      Optional<Long> position = end.isPresent() ? position(partition) : Optional.empty();
      if (end.isEmpty() || position.isEmpty()) {
        continue;
      }
      if (position.get() >= end.get()) {
        standing.remove(partition);
        before.remove(partition);
        continue;
      }
      Standing last = standing.get(partition);
      int times = last != null && last.position() == position.get() ? last.times() + 1 : 1;
      standing.put(partition, new Standing(position.get(), times));
      if (times >= TIMES) {
        String sentence =
            partition
                + " is not read: it stands at "
                + (position.get() == UNKNOWN ? "an unknown offset" : "offset " + position.get())
                + " though records up to offset "
                + end.get()
                + " wait";
        if (position.get().equals(before.put(partition, position.get()))) {
          stalled = Optional.of(sentence);
        } else {
          newly = Optional.of(sentence);
        }
      }
    }
    if (newly.isPresent()) {
      throw new FatalClientException(newly.get());
    }
    if (stalled.isPresent()) {
      health.notReady(PART, stalled.get() + ", for new clients, too");
    } else if (before.isEmpty()) {
      health.ready(PART);
    }
  }

  private static Optional<Long> end(
      Map<TopicPartition, KafkaFuture<Long>> answers, TopicPartition partition) {
    KafkaFuture<Long> answer = answers.get(partition);
    if (answer == null || answer.isCompletedExceptionally()) {
      return Optional.empty();
    }
    try {
      return Optional.of(answer.get());
    } catch (ExecutionException e) {
      return Optional.empty();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Optional.empty();
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
