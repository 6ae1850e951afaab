package dev.whence.runtime.worker;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * The records that were polled and are not yet committed, by partition. Owned by the poll thread. A
 * partition that is revoked or lost is struck here at once, so that what a transaction covers is
 * always what this member still owns; a partition that went and came back comes back empty.
 */
final class Holding {
  private final Map<TopicPartition, Held> partitions = new LinkedHashMap<>();
  private final Set<TopicPartition> urgent = new HashSet<>();

  private static final class Held {
    final Deque<SourceRecord> records = new ArrayDeque<>();
    final Map<Long, Finished> waiting = new HashMap<>();
    final Map<Long, Optional<Integer>> epochs = new HashMap<>();
    final Map<Long, BatchRun.Unread> unread = new HashMap<>();
    Attempt attempt;

    /** Where the records that are not held yet begin; empty where nobody knows. */
    Optional<OffsetAndMetadata> after;

    /** Records before this offset were read with care, and one of them is not committed; or -1. */
    long carefulTo = -1;

    Held(Attempt attempt, Optional<OffsetAndMetadata> after) {
      this.attempt = attempt;
      this.after = after;
    }

    /** What is known about the records from an offset on. */
    Attempt attemptFrom(long offset) {
      return carefulTo >= 0 && offset >= carefulTo ? attempt.withMemory() : attempt;
    }

    /** False for a record of a partition that went and came back: it was struck. */
    boolean holds(SourceRecord record) {
      return epochs.containsKey(record.offset());
    }
  }

  /** A partition was assigned; what its committed offset says about the records after it. */
  void assign(TopicPartition partition, Attempt attempt) {
    partitions.put(partition, new Held(attempt, Optional.empty()));
  }

  /** The records of a partition that come next begin here. */
  void startsAt(TopicPartition partition, OffsetAndMetadata offset) {
    Held held = partitions.get(partition);
    if (held != null) {
      held.after = Optional.of(offset);
    }
  }

  /** The records of this partition, which was assigned, come before those of others. */
  void comesFirst(TopicPartition partition) {
    urgent.add(partition);
  }

  /** Another member owns these from now on. */
  void strike(Iterable<TopicPartition> gone) {
    gone.forEach(
        partition -> {
          partitions.remove(partition);
          urgent.remove(partition);
        });
  }

  void add(ConsumerRecords<byte[], byte[]> polled) {
    for (TopicPartition partition : polled.partitions()) {
      Held held = partitions.get(partition);
      if (held == null) {
        throw new IllegalStateException(partition + " has records but was never assigned");
      }
      for (ConsumerRecord<byte[], byte[]> record : polled.records(partition)) {
        held.records.add(SourceRecord.of(record));
        held.epochs.put(record.offset(), record.leaderEpoch());
      }
      held.after = Optional.ofNullable(polled.nextOffsets().get(partition));
    }
  }

  /** Records that were read with care; what is too large of them is not there to be run. */
  void add(TopicPartition partition, CarefulReading.Read read, CarefulReading careful) {
    Held held = held(partition);
    for (UnpackedBatch.Unpacked one : read.records()) {
      SourceRecord record = one.record();
      held.records.add(record);
      held.epochs.put(record.offset(), read.next().leaderEpoch());
      if (one.tooLarge().isPresent()) {
        long bytes = one.tooLarge().getAsLong();
        held.unread.put(
            record.offset(), new BatchRun.Unread(careful.tooLarge(record, bytes), bytes));
      }
    }
    held.after = Optional.of(read.next());
    if (read.ended()) {
      held.carefulTo = read.next().offset();
      passed(held);
    }
  }

  /** Care is over once all that was read with care is committed: before, it may be read again. */
  private static void passed(Held held) {
    if (held.carefulTo >= 0
        && (held.records.isEmpty() || held.records.getFirst().offset() >= held.carefulTo)) {
      held.attempt = held.attempt.withMemory();
      held.carefulTo = -1;
    }
  }

  /** Where the consumer reads on, as far as that is known. */
  Optional<Long> after(TopicPartition partition) {
    return Optional.ofNullable(partitions.get(partition))
        .flatMap(held -> held.after)
        .map(OffsetAndMetadata::offset);
  }

  /**
   * What to commit before a process halts for want of memory: where its partitions stand, and from
   * where it read on. What a failed poll had in its hands is not held and will be read again.
   *
   * @param reading offsets that are read next, by partition
   */
  Map<TopicPartition, OffsetAndMetadata> outOfMemory(Map<TopicPartition, Long> reading) {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    reading.forEach(
        (partition, from) -> {
          Held held = partitions.get(partition);
          if (held == null) {
            return;
          }
          Attempt attempt = held.attempt.outOfMemory(from);
          if (!held.records.isEmpty()) {
            offsets.put(partition, at(held, held.records.getFirst().offset(), attempt));
          } else if (held.after.isPresent()) {
            OffsetAndMetadata after = held.after.get();
            offsets.put(
                partition,
                new OffsetAndMetadata(
                    after.offset(), after.leaderEpoch(), attempt.metadata(after.offset())));
          }
        });
    return offsets;
  }

  int size() {
    return partitions.values().stream().mapToInt(held -> held.records.size()).sum();
  }

  /** Keys, values and headers, in bytes. */
  long bytes() {
    long bytes = 0;
    for (Held held : partitions.values()) {
      for (SourceRecord record : held.records) {
        bytes += record.bytes();
      }
    }
    return bytes;
  }

  /** How many records that have not been run come before those of others. */
  int urgentFresh() {
    return urgent.stream()
        .map(this::held)
        .mapToInt(held -> held.records.size() - held.waiting.size())
        .sum();
  }

  /** Whether all records that have not been run come before those of others. */
  boolean onlyUrgent() {
    int urgentFresh = urgentFresh();
    return urgentFresh > 0
        && partitions.values().stream()
                .mapToInt(held -> held.records.size() - held.waiting.size())
                .sum()
            == urgentFresh;
  }

  /** Those that come first before the others. */
  private List<Map.Entry<TopicPartition, Held>> inTurn() {
    List<Map.Entry<TopicPartition, Held>> inTurn = new ArrayList<>(partitions.entrySet());
    inTurn.sort(Comparator.comparing(entry -> !urgent.contains(entry.getKey())));
    return inTurn;
  }

  /** Partitions of which there are records here. */
  Set<TopicPartition> held() {
    Set<TopicPartition> those = new HashSet<>();
    partitions.forEach(
        (partition, held) -> {
          if (!held.records.isEmpty()) {
            those.add(partition);
          }
        });
    return those;
  }

  /** Whether there are records that have not been run. */
  boolean hasFresh() {
    return partitions.values().stream().anyMatch(held -> held.records.size() > held.waiting.size());
  }

  boolean hasWaiting() {
    return partitions.values().stream().anyMatch(held -> !held.waiting.isEmpty());
  }

  /**
   * The next records to run, those that come first before the others. A partition on which a
   * process died gives one record at a time, and only when the others have nothing left; a record
   * that waits for a decision comes along.
   *
   * @param alone whether those that come first come alone, as long as there are some; else they
   *     take half of the batch, and the others may show whether it is they on which the model fails
   */
  List<BatchRun.Candidate> next(int mostRecords, long mostBytes, boolean alone) {
    List<BatchRun.Candidate> waiting = new ArrayList<>();
    List<BatchRun.Candidate> fresh = new ArrayList<>();
    long bytes = 0;
    int share = alone ? 1 : 2; // the part of a batch that comes first
    boolean urgentOnly = alone && urgentFresh() > 0;
    for (Map.Entry<TopicPartition, Held> entry : inTurn()) {
      Held held = entry.getValue();
      boolean first = urgent.contains(entry.getKey());
      int records = first ? Math.max(1, mostRecords / share) : urgentOnly ? 0 : mostRecords;
      long most = first ? Math.max(1, mostBytes / share) : mostBytes;
      boolean open = fresh.size() < records && bytes < most;
      for (SourceRecord record : held.records) {
        Finished finished = held.waiting.get(record.offset());
        if (finished != null) {
          waiting.add(candidate(entry.getKey(), held, record, Optional.of(finished)));
        } else if (!open || held.attempt.before(record.offset()) > 0) {
          break;
        } else {
          fresh.add(candidate(entry.getKey(), held, record, Optional.empty()));
          bytes += record.bytes();
          open = fresh.size() < records && bytes < most;
        }
      }
    }
    if (fresh.isEmpty()) {
      oneSuspect().ifPresent(fresh::add);
    }
    List<BatchRun.Candidate> all = new ArrayList<>(waiting);
    all.addAll(fresh);
    return all;
  }

  private Optional<BatchRun.Candidate> oneSuspect() {
    for (Map.Entry<TopicPartition, Held> entry : inTurn()) {
      for (SourceRecord record : entry.getValue().records) {
        if (!entry.getValue().waiting.containsKey(record.offset())) {
          return Optional.of(candidate(entry.getKey(), entry.getValue(), record, Optional.empty()));
        }
      }
    }
    return Optional.empty();
  }

  private static BatchRun.Candidate candidate(
      TopicPartition partition, Held held, SourceRecord record, Optional<Finished> finished) {
    return new BatchRun.Candidate(
        partition,
        record,
        held.attempt.before(record.offset()),
        finished,
        Optional.ofNullable(held.unread.get(record.offset())));
  }

  /**
   * The offsets to commit before the candidates are run: where each partition stands, and that its
   * records up to the last candidate are begun once more.
   */
  Map<TopicPartition, OffsetAndMetadata> begun(List<BatchRun.Candidate> candidates) {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    for (BatchRun.Candidate candidate : candidates) {
      Held held = partitions.get(candidate.partition());
      if (held == null || !held.holds(candidate.record()) || candidate.finished().isPresent()) {
        continue;
      }
      long offset = candidate.record().offset();
      Attempt attempt =
          candidate.attemptsBefore() > 0
              ? held.attempt.begunAlone(offset)
              : Attempt.of(1, offset + 1).outOfMemory(held.attempt.outOfMemoryFrom());
      offsets.put(candidate.partition(), at(held, held.records.getFirst().offset(), attempt));
    }
    return offsets;
  }

  /** The offsets as they were before {@link #begun}: nobody died, the work was only given up. */
  Map<TopicPartition, OffsetAndMetadata> notBegun(Set<TopicPartition> which) {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    for (TopicPartition partition : which) {
      Held held = partitions.get(partition);
      if (held != null && !held.records.isEmpty()) {
        offsets.put(partition, at(held, held.records.getFirst().offset(), held.attempt));
      }
    }
    return offsets;
  }

  private static OffsetAndMetadata at(Held held, long offset, Attempt attempt) {
    return new OffsetAndMetadata(
        offset, held.epochs.getOrDefault(offset, Optional.empty()), attempt.metadata(offset));
  }

  /**
   * Keeps what has been run but is not decided, so that it is not run again.
   *
   * @return whether there is one among it on which the model failed, and that was not kept before
   */
  boolean keepWaiting(List<Finished> finished) {
    boolean failedAnew = false;
    for (Finished one : finished) {
      Held held = partitions.get(partition(one.record()));
      if (held != null && held.holds(one.record())) {
        boolean isNew = held.waiting.put(one.record().offset(), one) == null;
        failedAnew |= isNew && one.undecided();
      }
    }
    return failedAnew;
  }

  /** Forgets what was not decided: it is to be run again. */
  void forgetWaiting() {
    partitions.values().forEach(held -> held.waiting.clear());
  }

  /** Everything that waits for a decision, in order of each partition. */
  List<Finished> waiting() {
    List<Finished> all = new ArrayList<>();
    for (Held held : partitions.values()) {
      for (SourceRecord record : held.records) {
        Finished finished = held.waiting.get(record.offset());
        if (finished == null) {
          break;
        }
        all.add(finished);
      }
    }
    return all;
  }

  /** Those of these candidates that this member still owns, in order. */
  List<BatchRun.Candidate> stillOwned(List<BatchRun.Candidate> candidates) {
    return candidates.stream()
        .filter(
            candidate -> {
              Held held = partitions.get(candidate.partition());
              return held != null && held.holds(candidate.record());
            })
        .toList();
  }

  /** Those of these records that this member still owns, by partition, in order. */
  Map<TopicPartition, List<Finished>> stillOwned(Map<TopicPartition, List<Finished>> finished) {
    Map<TopicPartition, List<Finished>> owned = new LinkedHashMap<>(finished);
    owned
        .entrySet()
        .removeIf(
            entry -> {
              Held held = partitions.get(entry.getKey());
              return held == null || !held.holds(entry.getValue().get(0).record());
            });
    return owned;
  }

  /** The offset to commit once the given records of a partition are done. */
  OffsetAndMetadata offsetAfter(TopicPartition partition, List<Finished> done) {
    Held held = held(partition);
    Optional<OffsetAndMetadata> after = held.after;
    if (done.size() == held.records.size() && after.isPresent()) {
      long offset = after.get().offset();
      return new OffsetAndMetadata(
          offset, after.get().leaderEpoch(), held.attemptFrom(offset).metadata(offset));
    }
    long last = done.get(done.size() - 1).record().offset();
    return new OffsetAndMetadata(
        last + 1,
        held.epochs.getOrDefault(last, Optional.empty()),
        held.attemptFrom(last + 1).metadata(last + 1));
  }

  /** The given records, the first ones of the partition, are committed. */
  void committed(TopicPartition partition, List<Finished> done) {
    Held held = held(partition);
    for (Finished finished : done) {
      SourceRecord first = held.records.removeFirst();
      if (first.offset() != finished.record().offset()) {
        throw new IllegalStateException(
            "committed " + finished.record() + " while " + first + " is not done");
      }
      held.waiting.remove(first.offset());
      held.epochs.remove(first.offset());
      held.unread.remove(first.offset());
    }
    passed(held);
  }

  /** Lets go of a partition's records; returns where to read them again. */
  Optional<OffsetAndMetadata> letGo(TopicPartition partition) {
    Held held = partitions.get(partition);
    if (held == null || held.records.isEmpty()) {
      return Optional.empty();
    }
    long first = held.records.getFirst().offset();
    held.records.clear();
    held.waiting.clear();
    held.unread.clear();
    held.carefulTo = -1;
    held.after =
        Optional.of(
            new OffsetAndMetadata(first, held.epochs.getOrDefault(first, Optional.empty()), ""));
    held.epochs.clear();
    return held.after;
  }

  /** What was committed about a partition's records when it was assigned. */
  Attempt attempt(TopicPartition partition) {
    return held(partition).attempt;
  }

  private Held held(TopicPartition partition) {
    Held held = partitions.get(partition);
    if (held == null) {
      throw new IllegalStateException(partition + " is not owned");
    }
    return held;
  }

  static TopicPartition partition(SourceRecord record) {
    return new TopicPartition(record.topic(), record.partition());
  }
}
