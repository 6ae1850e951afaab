package dev.whence.runtime.worker;

import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.WorkerMetrics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.InvalidOffsetException;
import org.apache.kafka.clients.consumer.LogTruncationException;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How records come into a session: by polls, urgent ones first, and one partition after the other
 * with care where a process ran out of memory. Everything here runs on the poll thread.
 */
final class Intake {
  private static final Logger LOG = LoggerFactory.getLogger(Intake.class);
  private static final String CAREFUL_PART = "careful reading";

  /** So long a poll waits where nothing else is to be done. */
  static final Duration IDLE_POLL = Duration.ofSeconds(1);

  private static final Duration CAREFUL_POLL = Duration.ofMillis(100);

  /** Between two polls, which keep this member in its group. */
  private static final Duration LONGEST_CAREFUL_READING = Duration.ofSeconds(1);

  /**
   * For so long others wait, before each batch, for urgent records that nobody knows of. A poll
   * that waits for nothing may see nothing of what has come: the client asks and answers on a
   * thread of its own.
   */
  private static final Duration URGENT_POLL = Duration.ofMillis(50);

  private final WorkerOptions options;
  private final FailurePolicy failures;
  private final Consumer<byte[], byte[]> consumer;
  private final Holding holding;
  private final Partitions partitions;
  private final CarefulReading careful;
  private final StalledPartitions stalled;
  private final ModelTrouble trouble;
  private final Health health;
  private final WorkerMetrics metrics;
  private final Halt halt;

  /** Asked between two pieces of what is read with care. */
  private final BooleanSupplier mayGoOn;

  private int carefulTurn;

  Intake(
      WorkerOptions options,
      Consumer<byte[], byte[]> consumer,
      Holding holding,
      Partitions partitions,
      CarefulReading careful,
      StalledPartitions stalled,
      ModelTrouble trouble,
      Health health,
      WorkerMetrics metrics,
      Halt halt,
      BooleanSupplier mayGoOn) {
    this.options = options;
    this.failures = options.failures();
    this.consumer = consumer;
    this.holding = holding;
    this.partitions = partitions;
    this.careful = careful;
    this.stalled = stalled;
    this.trouble = trouble;
    this.health = health;
    this.metrics = metrics;
    this.halt = halt;
    this.mayGoOn = mayGoOn;
  }

  /**
   * Holds the urgent records that are there, before others are run or polled. Where too many are
   * held behind one that waits for a decision, no more are read before, urgent or not.
   *
   * @return whether the others have to wait: for those, or for some that are known to come
   */
  boolean pollUrgent() {
    if (holding.hasWaiting() && holdsTooMuch()) {
      return holding.urgentFresh() > 0;
    }
    if (!partitions.resumeUrgent()) {
      return false;
    }
    boolean came = true;
    // Beside others that are held already, so not more than twice a batch in all.
    while (came
        && holding.urgentFresh() < options.batch().records()
        && holding.bytes() < 2 * options.batch().bytes()) {
      came = pollUrgentOnly(URGENT_POLL);
    }
    return holding.urgentFresh() > 0 || partitions.urgentUnread();
  }

  /** Returns whether something came. */
  boolean pollUrgentOnly(Duration longest) {
    long began = System.nanoTime();
    try {
      ConsumerRecords<byte[], byte[]> polled = poll(longest);
      partitions.waitedForUrgent(Duration.ofNanos(System.nanoTime() - began), polled.partitions());
      holding.add(polled);
      return !polled.isEmpty();
    } catch (OutOfMemoryError e) {
      throw outOfMemory(e);
    }
  }

  /** Holds what comes within a poll, up to a batch. */
  void pollForMore() {
    Duration longest = IDLE_POLL;
    if (holding.size() > 0) {
      longest = shorter(IDLE_POLL, failures.undecidedFor());
    }
    try {
      if (!careful.partitions().isEmpty()) {
        readWithCare();
        longest = holding.hasFresh() ? Duration.ZERO : shorter(longest, CAREFUL_POLL);
      } else {
        health.ready(CAREFUL_PART);
      }
      if (!trouble.othersWouldTell(System.nanoTime()) && pollUrgent()) {
        if (holding.urgentFresh() == 0) {
          var unused = pollUrgentOnly(longest);
        }
        return;
      }
      Set<TopicPartition> enough = holdsTooMuch() ? holding.held() : Set.of();
      partitions.resume(enough);
      ConsumerRecords<byte[], byte[]> polled = poll(longest);
      if (polled.isEmpty()) {
        Set<TopicPartition> read = new HashSet<>(consumer.assignment());
        read.removeAll(partitions.notRead());
        read.removeAll(enough);
        stalled.look(read);
      }
      while (!polled.isEmpty()) {
        holding.add(polled);
        // A revocation inside the poll may have taken all of it again.
        if (isFull()) {
          return;
        }
        polled = poll(Duration.ZERO);
      }
    } catch (OutOfMemoryError e) {
      throw outOfMemory(e);
    }
  }

  private boolean isFull() {
    return holding.size() >= options.batch().records()
        || holding.bytes() >= options.batch().bytes();
  }

  /**
   * Whether no more is to be read of what has records here that wait. There is room beside a batch,
   * and for as many records as it takes to tell a bad one from a broken model.
   */
  private boolean holdsTooMuch() {
    return holding.size() >= 2 * Math.max(options.batch().records(), failures.modelFailures())
        || holding.bytes() >= 2 * options.batch().bytes();
  }

  /** Reads on where a process ran out of memory, as far as there is room, each in its turn. */
  private void readWithCare() {
    Set<TopicPartition> waiting = partitions.waiting();
    List<TopicPartition> read = new ArrayList<>(careful.partitions());
    read.removeAll(waiting);
    read.sort(Comparator.comparing(TopicPartition::toString));
    Collections.rotate(read, carefulTurn++);
    long began = System.nanoTime();
    for (TopicPartition partition : read) {
      try {
        readWithCare(partition, began);
        partitions.waitsNoMore(partition);
      } catch (EnvironmentException e) {
        metrics.environmentFailed();
        LOG.warn("{}; it waits for {}", e.getMessage(), failures.backoffMost());
        partitions.letWait(partition, failures.backoffMost());
      }
    }
    sayWhatIsUnreadable();
  }

  /** The others go on, so nothing but readiness shows that one stands still. */
  private void sayWhatIsUnreadable() {
    Set<TopicPartition> unreadable = partitions.unreadable();
    if (unreadable.isEmpty()) {
      health.ready(CAREFUL_PART);
    } else {
      health.notReady(CAREFUL_PART, "not read since a process ran out of memory: " + unreadable);
    }
  }

  private void readWithCare(TopicPartition partition, long began) {
    long stands = -1;
    while (!isFull()
        && mayGoOn.getAsBoolean()
        && System.nanoTime() - began < LONGEST_CAREFUL_READING.toNanos()) {
      CarefulReading.Read some =
          careful.read(
              partition,
              options.batch().records() - holding.size(),
              options.batch().bytes() - holding.bytes());
      holding.add(partition, some, careful);
      long next = some.next().offset();
      if (some.ended()) {
        partitions.carefulNoMore(partition, some.next());
        return;
      }
      if (some.records().isEmpty() && next == stands) {
        return;
      }
      stands = next;
    }
  }

  /**
   * The consumer has lost its place in the batch, so this process can not read on; the heap is full
   * or was, so it should not. The committed offsets say to the next one where to take care.
   */
  private IllegalStateException outOfMemory(OutOfMemoryError error) {
    Map<TopicPartition, Long> reading = new LinkedHashMap<>();
    try {
      Set<TopicPartition> read = new HashSet<>(consumer.assignment());
      read.removeAll(partitions.notRead());
      for (TopicPartition partition : read) {
        // All of them: the client does not say of which it was, and the lag that it knows may be
        // older.
        position(partition).ifPresent(offset -> reading.put(partition, offset));
      }
      partitions.markOutOfMemory(reading);
    } catch (RuntimeException | OutOfMemoryError e) {
      LOG.error("where the memory ran out could not be committed: {}", Failure.describe(e));
    }
    halt.halt(
        "out of memory while reading "
            + reading
            + " (partition=offset)"
            + (careful.partitions().isEmpty() ? "" : ", and with care " + careful.partitions())
            + ": a record there may be too large once decompressed; the next"
            + " process reads these partitions with care");
    return new IllegalStateException("out of memory while reading " + reading, error);
  }

  /** Where the consumer stands in a partition, or, where it has no position, what comes next. */
  private Optional<Long> position(TopicPartition partition) {
    try {
      return Optional.of(consumer.position(partition, Duration.ofMillis(100)));
    } catch (KafkaException | IllegalStateException e) {
      LOG.debug("{} has no position: {}", partition, Failure.describe(e));
      return holding.after(partition);
    }
  }

  /** A poll that keeps this member in its group while nothing is read. */
  void pollPaused(Duration timeout) {
    try {
      if (!poll(timeout).isEmpty()) {
        throw new IllegalStateException(
            "the consumer returned records of paused partitions; going on could lose them");
      }
    } catch (OutOfMemoryError e) {
      halt.halt("out of memory"); // no records are read here: what has begun may be the reason
      throw e;
    }
  }

  private ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
    try {
      ConsumerRecords<byte[], byte[]> polled = polled(consumer, timeout);
      if (!polled.isEmpty()) {
        stalled.moved(polled.partitions());
      }
      return polled;
    } catch (WakeupException e) {
      return ConsumerRecords.empty();
    } catch (NoOffsetForPartitionException e) {
      partitions.withoutOffset(e.partitions());
      return ConsumerRecords.empty();
    } catch (LogTruncationException e) {
      partitions.truncated(e.offsetOutOfRangePartitions(), e.divergentOffsets());
      return ConsumerRecords.empty();
    } catch (OffsetOutOfRangeException e) {
      partitions.outOfRange(e.offsetOutOfRangePartitions());
      return ConsumerRecords.empty();
    }
  }

  /**
   * One poll of the client. With the group protocol "consumer" it may throw IllegalStateException
   * where a leader changes while it collects records: its two threads then do not agree on whether
   * there is a position. The committed offsets say where to go on.
   *
   * @throws FatalClientException if only new clients can go on
   */
  static ConsumerRecords<byte[], byte[]> polled(
      Consumer<byte[], byte[]> consumer, Duration timeout) {
    try {
      return consumer.poll(timeout);
    } catch (WakeupException | InvalidOffsetException e) {
      throw e;
    } catch (KafkaException | IllegalStateException e) {
      throw new FatalClientException(
          "the consumer can not go on: " + TransactionWriter.describe(e),
          /* fenced= */ false,
          /* inDoubt= */ false,
          e);
    }
  }

  static Duration shorter(Duration a, Duration b) {
    return a.compareTo(b) < 0 ? a : b;
  }
}
