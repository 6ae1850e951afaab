package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import java.util.function.LongSupplier;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds partitions that a consumer owns and no longer reads, though committed records wait in them:
 * a client may lose its way in a rebalance or a restart of the brokers, and nothing else would ever
 * say so. Looked at when a poll of all partitions came back empty, so a partition that stands still
 * is found once the others are read to their ends. Asks for the ends of the logs without waiting.
 * Where new clients stand there, too, it may not be the clients: then it is only said, for a
 * minute, and for twice as long after each further try that changes nothing. Owned by the poll
 * thread.
 */
final class StalledPartitions {
  private static final Logger LOG = LoggerFactory.getLogger(StalledPartitions.class);

  /** So many answers in a row must find a partition where it was. */
  static final int TIMES = 3;

  /** The first sight of a position says nothing; at this one it has not changed. */
  private static final int STANDS = 2;

  static final Duration FIRST_PAUSE = Duration.ofMinutes(1);
  static final Duration LONGEST_PAUSE = Duration.ofMinutes(15);

  private static final Duration LOCAL = Duration.ofMillis(100);
  private static final long UNKNOWN = -1;

  private static final String PART = "partitions";

  private final Consumer<byte[], byte[]> consumer;
  private final Function<Set<TopicPartition>, Map<TopicPartition, KafkaFuture<Long>>> stableEnds;
  private final Duration every;
  private final Map<TopicPartition, Rescue> before;
  private final Health health;
  private final LongSupplier now;
  private final Map<TopicPartition, Standing> standing = new HashMap<>();
  private Map<TopicPartition, KafkaFuture<Long>> asked = Map.of();
  private long askedAt;

  /** Where a partition stood, and in how many answers in a row it did with records after it. */
  private record Standing(long position, int times) {}

  /**
   * New clients were asked for because a partition stood still.
   *
   * @param position where it did
   * @param at when, {@link System#nanoTime}
   * @param pause until it may be tried again
   */
  record Rescue(long position, long at, Duration pause) {
    static Rescue first(long position, long at) {
      return new Rescue(position, at, FIRST_PAUSE);
    }

    /** It changed nothing. */
    Rescue again(long standsAt, long now) {
      Duration twice = pause.multipliedBy(2);
      return new Rescue(standsAt, now, twice.compareTo(LONGEST_PAUSE) < 0 ? twice : LONGEST_PAUSE);
    }

    boolean mayBeTriedAgain(long now) {
      return now - at >= pause.toNanos();
    }
  }

  /**
   * @param stableEnds asks the brokers for the last stable offsets of partitions
   * @param every how often
   * @param before where earlier clients were given up for standing, unless it has moved since;
   *     changed
   */
  StalledPartitions(
      Consumer<byte[], byte[]> consumer,
      Function<Set<TopicPartition>, Map<TopicPartition, KafkaFuture<Long>>> stableEnds,
      Duration every,
      Map<TopicPartition, Rescue> before,
      Health health) {
    this(consumer, stableEnds, every, before, health, System::nanoTime);
  }

  StalledPartitions(
      Consumer<byte[], byte[]> consumer,
      Function<Set<TopicPartition>, Map<TopicPartition, KafkaFuture<Long>>> stableEnds,
      Duration every,
      Map<TopicPartition, Rescue> before,
      Health health,
      LongSupplier now) {
    this.consumer = consumer;
    this.stableEnds = stableEnds;
    this.every = every;
    this.before = before;
    this.health = health;
    this.now = now;
    this.askedAt = now.getAsLong();
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
      readyUnlessOneStood();
      return;
    }
    if (asked.isEmpty() && now.getAsLong() - askedAt >= every.toNanos()) {
      askedAt = now.getAsLong();
      asked = stableEnds.apply(read);
    }
  }

  /**
   * A poll brought records of these: they do not stand still, whatever was said of them. Where a
   * poll always brings some, nobody would {@link #look} to see that.
   */
  void moved(Set<TopicPartition> polled) {
    standing.keySet().removeAll(polled);
    before.keySet().removeAll(polled);
    readyUnlessOneStood();
  }

  private void take(Map<TopicPartition, KafkaFuture<Long>> answers, Set<TopicPartition> read) {
    standing.keySet().retainAll(read);
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
      Rescue rescue = before.get(partition);
      if (rescue != null && position.get() != UNKNOWN && position.get() != rescue.position()) {
        before.remove(partition); // it has moved since
        rescue = null;
      }
      Standing last = standing.get(partition);
      int times = last != null && last.position() == position.get() ? last.times() + 1 : 1;
      standing.put(partition, new Standing(position.get(), times));
      if (times == STANDS) {
        describe(partition, position.get(), end.get());
      }
      if (times >= TIMES) {
        String sentence =
            partition
                + " is not read: it stands at "
                + (position.get() == UNKNOWN ? "an unknown offset" : "offset " + position.get())
                + " though records up to offset "
                + end.get()
                + " wait";
        long at = now.getAsLong();
        if (rescue == null) {
          before.put(partition, Rescue.first(position.get(), at));
          newly = Optional.of(sentence);
        } else if (rescue.mayBeTriedAgain(at)) {
          before.put(partition, rescue.again(position.get(), at));
          newly = Optional.of(sentence);
        } else {
          stalled = Optional.of(sentence);
        }
      }
    }
    if (newly.isPresent()) {
      throw new FatalClientException(newly.get());
    }
    if (stalled.isPresent()) {
      health.notReady(PART, stalled.get() + ", for new clients, too");
    } else {
      readyUnlessOneStood();
    }
  }

  /**
   * What others own now is theirs to tell of. It is not forgotten for that: new clients, too, begin
   * without partitions.
   */
  private void readyUnlessOneStood() {
    if (Collections.disjoint(before.keySet(), consumer.assignment())) {
      health.ready(PART);
    }
  }

  /** What the client says of itself, to find out afterwards how it came to stand. */
  private void describe(TopicPartition partition, long position, long end) {
    ConsumerGroupMetadata member = consumer.groupMetadata();
    LOG.warn(
        "{} stands at {} of {}; assigned: {}, paused: {}, member {} in generation {}",
        partition,
        position == UNKNOWN ? "an unknown offset" : position,
        end,
        consumer.assignment(),
        consumer.paused(),
        member.memberId(),
        member.generationId());
  }

  /** What was answered about a partition, if it was. */
  static Optional<Long> end(
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
