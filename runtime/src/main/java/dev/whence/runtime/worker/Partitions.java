package dev.whence.runtime.worker;

import dev.whence.runtime.config.Start;
import dev.whence.runtime.health.WorkerMetrics;
import dev.whence.runtime.kafka.UrgentPartitions;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows the group: gives each assigned partition its start, strikes what goes. Called by the
 * consumer inside poll, on the poll thread.
 */
final class Partitions implements ConsumerRebalanceListener {
  private static final Logger LOG = LoggerFactory.getLogger(Partitions.class);
  private static final Duration LOOK_UP = Duration.ofSeconds(30);

  /** As often may the assignment change while it is paused or resumed. */
  private static final int CHANGES = 10;

  private static final Duration HAND_BACK = Duration.ofSeconds(5);

  /**
   * For so long others wait for urgent records that are, or may be, there and do not come: where
   * the leader of a partition is away, say.
   */
  private static final Duration MOST_WAIT_FOR_URGENT = Duration.ofSeconds(5);

  private final Consumer<byte[], byte[]> consumer;
  private final Holding holding;
  private final Start start;
  private final WorkerMetrics metrics;
  private final OwnMarks marks;
  private final CarefulReading careful;
  private final boolean urgentFirst;
  private final java.util.function.Consumer<Set<TopicPartition>> onStruck;
  private final java.util.function.Consumer<Set<Integer>> onChange;
  private final Set<Integer> owned = new TreeSet<>();

  /** Is told of nothing, and says nothing, where the group starts at the earliest offsets. */
  private final GroupBeginning beginning = new GroupBeginning();

  /** Partitions whose committed metadata says that their records are begun. */
  private final Set<TopicPartition> begun = new HashSet<>();

  /** Partitions that wait by themselves. */
  private final Map<TopicPartition, Aside> aside = new HashMap<>();

  /** Partitions that can not be read with care just now, and until when they wait. */
  private final Map<TopicPartition, Long> unreadable = new HashMap<>();

  /** Partitions that are read before the others, and for how long they were waited for, in ns. */
  private final Map<TopicPartition, Long> urgent = new HashMap<>();

  private boolean busy;

  /** Until when a partition waits, and why. */
  private record Aside(long until, BatchRun.Wait reason) {}

  /** Whether the client is just telling of an assignment; guarded by this. */
  private boolean told;

  Partitions(
      Consumer<byte[], byte[]> consumer,
      Holding holding,
      Start start,
      WorkerMetrics metrics,
      OwnMarks marks,
      CarefulReading careful,
      boolean urgentFirst,
      java.util.function.Consumer<Set<TopicPartition>> onStruck,
      java.util.function.Consumer<Set<Integer>> onChange) {
    this.consumer = consumer;
    this.holding = holding;
    this.start = start;
    this.metrics = metrics;
    this.marks = marks;
    this.careful = careful;
    this.urgentFirst = urgentFirst;
    this.onStruck = onStruck;
    this.onChange = onChange;
  }

  /** Nothing is read from now on, also not of partitions that are assigned later. */
  void pause() {
    busy = true;
    forAssigned(consumer::pause);
  }

  /**
   * Lets the consumer read on.
   *
   * @param enough of these enough is held, for now
   */
  void resume(Set<TopicPartition> enough) {
    busy = false;
    Set<TopicPartition> not = notRead();
    not.addAll(enough);
    forAssigned(
        assigned -> {
          Set<TopicPartition> going = new HashSet<>(assigned);
          going.removeAll(not);
          consumer.resume(going);
        });
  }

  /** Partitions that the consumer is not to read: they wait, or are read with care. */
  Set<TopicPartition> notRead() {
    Set<TopicPartition> not = waiting();
    not.addAll(careful.partitions());
    return not;
  }

  /** A partition is read by the consumer again. */
  void carefulNoMore(TopicPartition partition, OffsetAndMetadata next) {
    var unused = seek(partition, next);
  }

  /**
   * With the consumer protocol a partition may have gone meanwhile.
   *
   * @return whether it is still here
   */
  private boolean seek(TopicPartition partition, OffsetAndMetadata offset) {
    try {
      consumer.seek(partition, offset);
      return true;
    } catch (IllegalStateException e) {
      LOG.debug("{} is no longer assigned", partition);
      return false;
    }
  }

  /**
   * Says where this process ran out of memory, for the next one; what can not be said is logged.
   */
  void markOutOfMemory(Map<TopicPartition, Long> reading) {
    var unused = commitQuietly(holding.outOfMemory(reading), "where the memory ran out");
  }

  /**
   * Lets only urgent partitions be read, if there are any.
   *
   * @return whether there are
   */
  boolean resumeUrgent() {
    if (urgent.isEmpty()) {
      return false;
    }
    busy = true; // what is assigned meanwhile is for later
    Set<TopicPartition> not = notRead();
    forAssigned(
        assigned -> {
          Set<TopicPartition> first = new HashSet<>(assigned);
          first.removeIf(partition -> !urgent.containsKey(partition));
          first.removeAll(not);
          consumer.pause(assigned);
          consumer.resume(first);
        });
    return true;
  }

  /** Whether urgent partitions have, or may have, records that were not polled. */
  boolean urgentUnread() {
    Set<TopicPartition> not = notRead();
    boolean unread = false;
    for (Map.Entry<TopicPartition, Long> one : urgent.entrySet()) {
      OptionalLong lag = lag(one.getKey());
      if (lag.isPresent() && lag.getAsLong() <= 0) {
        one.setValue(0L);
      } else if (!not.contains(one.getKey())) {
        unread |= one.getValue() < MOST_WAIT_FOR_URGENT.toNanos();
      }
    }
    return unread;
  }

  /** Urgent records were waited for, and came of these partitions. */
  void waitedForUrgent(Duration time, Set<TopicPartition> came) {
    urgent.replaceAll(
        (partition, before) -> came.contains(partition) ? 0 : before + time.toNanos());
  }

  private OptionalLong lag(TopicPartition partition) {
    try {
      return consumer.currentLag(partition);
    } catch (IllegalStateException e) {
      LOG.debug("{} is no longer assigned", partition);
      return OptionalLong.of(0);
    }
  }

  /** Reads a partition again from an offset, but not before a pause; the others go on. */
  void setAside(
      TopicPartition partition, OffsetAndMetadata from, BatchRun.Wait wait, Duration pause) {
    try {
      consumer.pause(Set.of(partition));
      consumer.seek(partition, from);
      takeCare(partition, from.offset());
      aside.put(partition, new Aside(System.nanoTime() + pause.toNanos(), wait));
    } catch (IllegalStateException e) {
      LOG.debug("{} is no longer assigned", partition);
    }
  }

  /** A partition that is read with care, and can not be read now, waits; the others go on. */
  void letWait(TopicPartition partition, Duration pause) {
    unreadable.put(partition, System.nanoTime() + pause.toNanos());
  }

  /** A partition was read with care. */
  void waitsNoMore(TopicPartition partition) {
    unreadable.remove(partition);
  }

  /** Partitions that could not be read with care when it was tried last. */
  Set<TopicPartition> unreadable() {
    return Set.copyOf(unreadable.keySet());
  }

  /** Whether partitions were set aside, not for reading alone, that have not gone on since. */
  boolean anyAsideForTheModel() {
    return aside.values().stream().anyMatch(one -> !one.reason().reading());
  }

  /** Why partitions were set aside that could not be read on, and have not gone on since. */
  Map<TopicPartition, String> asideForReading() {
    Map<TopicPartition, String> those = new HashMap<>();
    aside.forEach(
        (partition, one) -> {
          if (one.reason().reading()) {
            those.put(partition, one.reason().why());
          }
        });
    return those;
  }

  /** Partitions whose pause is not over. */
  Set<TopicPartition> waiting() {
    long now = System.nanoTime();
    Set<TopicPartition> waiting = new HashSet<>();
    aside.forEach(
        (partition, one) -> {
          if (now - one.until() < 0) {
            waiting.add(partition);
          }
        });
    unreadable.forEach(
        (partition, until) -> {
          if (now - until < 0) {
            waiting.add(partition);
          }
        });
    return waiting;
  }

  /** With the consumer protocol a partition may go between the two calls: then once more. */
  private void forAssigned(java.util.function.Consumer<Set<TopicPartition>> what) {
    for (int tried = 1; ; tried++) {
      try {
        what.accept(consumer.assignment());
        return;
      } catch (IllegalStateException e) {
        if (tried == CHANGES) {
          throw e;
        }
        LOG.debug("the assignment changed meanwhile");
      }
    }
  }

  /** What to commit so that these partitions are begun; they may be so even if that fails. */
  Map<TopicPartition, OffsetAndMetadata> marked(Map<TopicPartition, OffsetAndMetadata> offsets) {
    begun.addAll(offsets.keySet());
    Map<TopicPartition, OffsetAndMetadata> marked = new HashMap<>();
    signed(offsets)
        .forEach(
            (partition, offset) ->
                marked.put(partition, marks.mark(partition, offset, holding.attempt(partition))));
    return marked;
  }

  /** What to commit of a group, whose commits also say how it began. */
  Map<TopicPartition, OffsetAndMetadata> signed(Map<TopicPartition, OffsetAndMetadata> offsets) {
    return beginning.signed(offsets);
  }

  void ended(Set<TopicPartition> partitions) {
    begun.removeAll(partitions);
    marks.gone(partitions);
    aside.keySet().removeAll(partitions);
  }

  /**
   * A transaction ended in doubt. If it took effect, handing the partitions back would commit their
   * first offsets over it and double the whole batch; if not, another process that owns them next
   * finds one attempt more than there was, which costs little.
   */
  void leaveBegun() {
    begun.clear();
  }

  /**
   * Lets a poll return early, from another thread. Not while the client tells of an assignment: a
   * wake-up would end one of its calls there, the client would take the assignment for failed, and
   * it never reads such partitions again (seen with Kafka 4.2.1). The poll returns by itself soon.
   */
  synchronized void wake() {
    if (!told) {
      consumer.wakeup();
    }
  }

  private synchronized void told(boolean now) {
    told = now;
  }

  @Override
  public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
    told(true);
    try {
      assign(assigned);
    } finally {
      told(false);
    }
  }

  private void assign(Collection<TopicPartition> assigned) {
    if (assigned.isEmpty()) {
      if (owned.isEmpty()) {
        onChange.accept(Set.of()); // an earlier session may have had some
      }
      return;
    }
    Set<TopicPartition> partitions = new HashSet<>(assigned);
    partitions.forEach(partition -> owned.add(partition.partition()));
    onChange.accept(Set.copyOf(owned));
    Map<TopicPartition, OffsetAndMetadata> committed =
        awake(() -> consumer.committed(partitions, LOOK_UP));
    if (start == Start.LATEST) {
      beginning.learn(committed.values());
    }
    Map<TopicPartition, OffsetAndMetadata> first = new HashMap<>();
    for (TopicPartition partition : partitions) {
      OffsetAndMetadata offset = committed.get(partition);
      careful.drop(partition);
      if (offset == null) {
        holding.assign(partition, Attempt.NONE);
        first.put(partition, new OffsetAndMetadata(0));
      } else {
        Attempt attempt = marks.read(partition, offset);
        if (attempt.before(offset.offset()) > 0) {
          LOG.warn(
              "a process died {} times on records of {} from offset {} to {}: they run one by one",
              attempt.count(),
              partition,
              offset.offset(),
              attempt.to());
        }
        holding.assign(partition, attempt);
        holding.startsAt(partition, offset);
        consumer.seek(partition, offset);
        if (attempt.lackedMemory()) {
          LOG.warn(
              "a process ran out of memory while it read {} from offset {}: it is read with care",
              partition,
              attempt.outOfMemoryFrom());
          careful.begin(partition, offset.offset(), attempt.outOfMemoryFrom());
        }
      }
    }
    if (!first.isEmpty()) {
      begin(first);
    }
    if (urgentFirst) {
      letComeFirst(partitions);
    }
    if (busy) {
      consumer.pause(partitions);
    } else {
      // The poll that tells of them would return their records, too, before urgent ones were asked
      // for; the next one lets them be read, if it may.
      Set<TopicPartition> later = new HashSet<>(partitions);
      later.removeIf(partition -> urgent.isEmpty() || urgent.containsKey(partition));
      partitions.retainAll(careful.partitions());
      later.addAll(partitions);
      consumer.pause(later);
    }
  }

  private void letComeFirst(Set<TopicPartition> partitions) {
    for (TopicPartition partition : partitions) {
      if (UrgentPartitions.holds(partition.partition())) {
        urgent.put(partition, 0L);
        holding.comesFirst(partition);
      }
    }
  }

  /** Where nothing was ever committed; committed at once, so that a restart starts there too. */
  private void begin(Map<TopicPartition, OffsetAndMetadata> first) {
    Set<TopicPartition> partitions = first.keySet();
    Set<TopicPartition> atEnd = start == Start.LATEST ? knownAtTheBeginning(partitions) : Set.of();
    Set<TopicPartition> atBegin = new HashSet<>(partitions);
    atBegin.removeAll(atEnd);
    Map<TopicPartition, Long> offsets = new HashMap<>();
    if (!atBegin.isEmpty()) {
      offsets.putAll(awake(() -> consumer.beginningOffsets(atBegin, LOOK_UP)));
    }
    if (!atEnd.isEmpty()) {
      offsets.putAll(awake(() -> consumer.endOffsets(atEnd, LOOK_UP)));
    }
    first.replaceAll((partition, unused) -> new OffsetAndMetadata(known(offsets, partition)));
    first.entrySet().removeIf(entry -> !seek(entry.getKey(), entry.getValue()));
    first.forEach(holding::startsAt);
    if (urgentFirst && !atBegin.isEmpty()) {
      // The client takes any offset that it looks up for the partition's end (4.2.1): else it would
      // say of a backlog that nothing is unread.
      var unused = awake(() -> consumer.endOffsets(atBegin, LOOK_UP));
    }
    LOG.info("no committed offset, start {}: starting at {}", start, offsets);
    if (start == Start.EARLIEST) {
      var unused = commitQuietly(first, "the first offsets");
    } else {
      // Unless this is committed, a restart would start later and skip what came meanwhile.
      commit(first);
    }
  }

  /**
   * Those of these that the topic had when the group began to read it, if it is not beginning now.
   */
  private Set<TopicPartition> knownAtTheBeginning(Set<TopicPartition> partitions) {
    String topic = partitions.iterator().next().topic();
    Set<TopicPartition> all = new HashSet<>(partitions); // what the client knows may be older
    awake(() -> consumer.partitionsFor(topic, LOOK_UP))
        .forEach(info -> all.add(new TopicPartition(topic, info.partition())));
    Map<TopicPartition, OffsetAndMetadata> committed =
        awake(() -> consumer.committed(all, LOOK_UP));
    beginning.learnAll(committed.values(), all.size());
    Set<TopicPartition> known = new HashSet<>(partitions);
    known.removeIf(partition -> !beginning.knew(partition));
    return known;
  }

  @Override
  public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
    told(true);
    try {
      revoke(revoked);
    } finally {
      told(false);
    }
  }

  private void revoke(Collection<TopicPartition> revoked) {
    Set<TopicPartition> partitions = new HashSet<>(revoked);
    Set<TopicPartition> handBack = new HashSet<>(begun);
    handBack.retainAll(partitions);
    Map<TopicPartition, OffsetAndMetadata> offsets = holding.notBegun(handBack);
    if (!offsets.isEmpty()) {
      // Else the next owner would think that this process died on them.
      var unused = commitQuietly(offsets, "the offsets handed back");
    }
    strike(partitions);
  }

  @Override
  public void onPartitionsLost(Collection<TopicPartition> lost) {
    strike(new HashSet<>(lost));
  }

  private void strike(Set<TopicPartition> partitions) {
    begun.removeAll(partitions);
    aside.keySet().removeAll(partitions);
    partitions.forEach(careful::drop);
    urgent.keySet().removeAll(partitions);
    unreadable.keySet().removeAll(partitions);
    holding.strike(partitions);
    onStruck.accept(partitions);
    partitions.forEach(partition -> owned.remove(partition.partition()));
    if (!partitions.isEmpty()) {
      onChange.accept(Set.copyOf(owned));
    }
  }

  private boolean commitQuietly(Map<TopicPartition, OffsetAndMetadata> offsets, String what) {
    try {
      commit(offsets);
      return true;
    } catch (KafkaException e) {
      LOG.warn("{} could not be committed: {}", what, TransactionWriter.describe(e));
      return false;
    }
  }

  private void commit(Map<TopicPartition, OffsetAndMetadata> offsets) {
    awake(
        () -> {
          consumer.commitSync(signed(offsets), HAND_BACK);
          return true;
        });
  }

  /** The work was given up, but nobody died: says so in the committed metadata. */
  void handBack() {
    Map<TopicPartition, OffsetAndMetadata> offsets = holding.notBegun(begun);
    if (offsets.isEmpty() || commitQuietly(offsets, "the offsets of a batch that was given up")) {
      begun.clear();
    }
  }

  /**
   * The client looked for committed offsets by itself and found none. With the consumer protocol it
   * does so beside {@link #onPartitionsAssigned}, which has set the positions meanwhile.
   */
  void withoutOffset(Set<TopicPartition> partitions) {
    Map<TopicPartition, OffsetAndMetadata> first = new HashMap<>();
    for (TopicPartition partition : partitions) {
      try {
        var unused = awake(() -> consumer.position(partition, LOOK_UP));
      } catch (NoOffsetForPartitionException e) {
        first.put(partition, new OffsetAndMetadata(0));
      } catch (IllegalStateException e) {
        LOG.debug("{} is no longer assigned", partition);
      }
    }
    if (!first.isEmpty()) {
      begin(first);
    }
  }

  /**
   * Goes on where the log begins, and counts what is gone. A log that ends before it lost what was
   * read of it, or is another one: as where it was {@link #truncated}.
   */
  void outOfRange(Map<TopicPartition, Long> positions) {
    Map<TopicPartition, Long> begins =
        awake(() -> consumer.beginningOffsets(positions.keySet(), LOOK_UP));
    Map<TopicPartition, Long> ends = awake(() -> consumer.endOffsets(positions.keySet(), LOOK_UP));
    positions.forEach(
        (partition, position) -> {
          long begin = known(begins, partition);
          if (position < begin) {
            metrics.expired(begin - position);
            LOG.error(
                "{}: retention deleted offsets {} to {} before they were read",
                partition,
                position,
                begin);
            if (seek(partition, new OffsetAndMetadata(begin))) {
              aside.remove(partition); // what it waited for is gone
              holding.startsAt(partition, new OffsetAndMetadata(begin));
            }
          } else {
            // It may have grown again since, by other records.
            long end = Math.min(position, known(ends, partition));
            readAgain(partition, position, new OffsetAndMetadata(end));
          }
        });
  }

  /**
   * A leader was elected that lacks the end of a log as it was read: other records have these
   * offsets now, and are read. What is held is let go of as a whole, to be read again as far as it
   * is still there.
   *
   * @param positions where the consumer stands
   * @param divergent where the log parts from what was read, as far as that is known; else the log
   *     is read from its beginning
   */
  void truncated(
      Map<TopicPartition, Long> positions, Map<TopicPartition, OffsetAndMetadata> divergent) {
    Set<TopicPartition> unknown = new HashSet<>(positions.keySet());
    unknown.removeAll(divergent.keySet());
    Map<TopicPartition, Long> begins =
        unknown.isEmpty() ? Map.of() : awake(() -> consumer.beginningOffsets(unknown, LOOK_UP));
    positions.forEach(
        (partition, position) -> {
          OffsetAndMetadata parts = divergent.get(partition);
          readAgain(
              partition,
              position,
              parts == null ? new OffsetAndMetadata(known(begins, partition)) : parts);
        });
  }

  private void readAgain(TopicPartition partition, long position, OffsetAndMetadata parts) {
    onStruck.accept(Set.of(partition)); // of a batch that is running, too
    OffsetAndMetadata next =
        holding
            .letGo(partition)
            .map(OffsetAndMetadata::offset)
            .filter(first -> first < parts.offset())
            .map(OffsetAndMetadata::new)
            .orElse(parts);
    LOG.error(
        "{}: the log is another one from offset {} on, and was read up to {}: an election cut it off,"
            + " or the topic was made anew; reading on from {}",
        partition,
        parts.offset(),
        position,
        next.offset());
    try {
      consumer.seek(partition, next);
      aside.remove(partition); // what it waited for may be gone
      holding.startsAt(partition, next);
      takeCare(partition, next.offset());
    } catch (IllegalStateException e) {
      LOG.debug("{} is no longer assigned", partition);
    }
  }

  /** Where memory was short a partition is read with care, not by the consumer. */
  private void takeCare(TopicPartition partition, long offset) {
    Attempt attempt = holding.attempt(partition);
    if (attempt.lackedMemory()) {
      consumer.pause(Set.of(partition));
      careful.begin(partition, offset, attempt.outOfMemoryFrom());
    }
  }

  private static long known(Map<TopicPartition, Long> offsets, TopicPartition partition) {
    Long offset = offsets.get(partition);
    if (offset == null) {
      throw new KafkaException("the broker says nothing about the offsets of " + partition);
    }
    return offset;
  }

  /** Calls the consumer again if a wake-up meant for a poll hit this call. */
  static <T> T awake(Supplier<T> call) {
    WakeupException last = new WakeupException();
    for (int tried = 0; tried < 10; tried++) {
      try {
        return call.get();
      } catch (WakeupException e) {
        last = e;
      }
    }
    throw last;
  }
}
