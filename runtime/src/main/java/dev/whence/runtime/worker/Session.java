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
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.InvalidOffsetException;
import org.apache.kafka.clients.consumer.LogTruncationException;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The life of one consumer and one producer: the poll loop.
 *
 * <pre>
 * poll -> hold -> pause -> commit "begun" -> model thread runs the batch
 *                                             | meanwhile: poll, paused; strike what is revoked
 *                 resume <- commit results, dead letters and offsets in one short transaction
 * </pre>
 *
 * <p>Where a stage has urgent partitions, these are polled first, and others only where nothing
 * waits in them: an urgent record is run after the batch that is running when it can be read,
 * unless it takes longer than that to come from the broker.
 *
 * <p>Invariants: records are held until their results are committed or their partition is gone;
 * what a transaction covers is held at that moment; model work happens in no poll and in no
 * transaction, and is not repeated for an aborted transaction. Everything here runs on the poll
 * thread.
 */
final class Session {
  private static final Logger LOG = LoggerFactory.getLogger(Session.class);
  private static final String PART = "environment";
  private static final int TRIES = 5;

  private static final Duration IDLE_POLL = Duration.ofSeconds(1);
  private static final String CAREFUL_PART = "careful reading";
  private static final Duration CAREFUL_POLL = Duration.ofMillis(100);

  /** Between two polls, which keep this member in its group. */
  private static final Duration LONGEST_CAREFUL_READING = Duration.ofSeconds(1);

  /**
   * For so long others wait, before each batch, for urgent records that nobody knows of. A poll
   * that waits for nothing may see nothing of what has come: the client asks and answers on a
   * thread of its own.
   */
  private static final Duration URGENT_POLL = Duration.ofMillis(50);

  private static final Duration LAG_EVERY = Duration.ofSeconds(1);
  private static final Duration COMMIT_OFFSETS = Duration.ofSeconds(10);

  private final WorkerOptions options;
  private final FailurePolicy failures;
  private final Consumer<byte[], byte[]> consumer;
  private final TransactionWriter writer;
  private final Holding holding = new Holding();
  private final Partitions partitions;
  private final Function<List<BatchRun.Candidate>, BatchRun> batches;
  private final ModelThread model;
  private final BetweenBatches betweenBatches;
  private final ModelTrouble trouble;
  private final Lifecycle lifecycle;
  private final Health health;
  private final WorkerMetrics metrics;
  private final Backoff backoff;
  private final Halt halt;
  private final CarefulReading careful;
  private final BrokerWatch brokers;
  private final StalledPartitions stalled;
  private final QueueLag lag;
  private Optional<BatchRun> running = Optional.empty();

  /** Whether this session may still have records; its consumer's end changes nothing for others. */
  private boolean open = true;

  /** When the model failed last, as long as a record waits for the verdict on it. */
  private Optional<Long> waitingSince = Optional.empty();

  /** Whether partitions were set aside and the model has worked on nothing since. */
  private boolean nothingWorks;

  private long lagKnownAt;
  private int carefulTurn;

  Session(
      WorkerOptions options,
      Consumer<byte[], byte[]> consumer,
      Producer<byte[], byte[]> producer,
      Function<List<BatchRun.Candidate>, BatchRun> batches,
      ModelThread model,
      BetweenBatches betweenBatches,
      ModelTrouble trouble,
      Lifecycle lifecycle,
      Health health,
      WorkerMetrics metrics,
      Backoff backoff,
      Halt halt,
      CarefulReading careful,
      BrokerWatch brokers,
      StalledPartitions stalled,
      QueueLag lag,
      OwnMarks marks,
      TransactionHook hook,
      java.util.function.Consumer<Set<Integer>> onAssignment,
      boolean urgentFirst) {
    this.options = options;
    this.failures = options.failures();
    this.consumer = consumer;
    this.writer =
        new TransactionWriter(producer, options.deadLetterTopic(), consumer::groupMetadata, hook);
    this.partitions =
        new Partitions(
            consumer,
            holding,
            options.start(),
            metrics,
            marks,
            careful,
            urgentFirst,
            struck -> running.ifPresent(run -> run.strike(struck)),
            owned -> {
              if (open) {
                onAssignment.accept(owned);
              }
            });
    this.batches = batches;
    this.model = model;
    this.betweenBatches = betweenBatches;
    this.trouble = trouble;
    this.lifecycle = lifecycle;
    this.health = health;
    this.metrics = metrics;
    this.backoff = backoff;
    this.halt = halt;
    this.careful = careful;
    this.brokers = brokers;
    this.stalled = stalled;
    this.lag = lag;
  }

  /** Lets a poll return early. Any thread. */
  void wake() {
    partitions.wake();
  }

  /**
   * Runs until the worker stops.
   *
   * @throws FatalClientException if only new clients can go on
   */
  void run() {
    consumer.subscribe(List.of(options.sourceTopic()), partitions);
    try {
      loop();
    } finally {
      open = false;
    }
  }

  private void loop() {
    while (!lifecycle.stopping()) {
      lookAround();
      if (betweenBatches.waiting()) {
        partitions.pause();
        runBetweenBatches();
      } else if (!backoff.left().isZero()) {
        partitions.pause();
        pollPaused(min(backoff.left(), IDLE_POLL));
      } else if (holding.hasFresh() && !roomToProveModel()) {
        if (!pollUrgent() || holding.urgentFresh() > 0) {
          if (mayBegin()) {
            runBatch();
          }
        } else {
          pollUrgentOnly(IDLE_POLL);
        }
      } else if (waitedLongEnough()) {
        partitions.pause();
        decideWaiting();
      } else {
        pollForMore();
        if (holding.hasFresh() && mayBegin()) {
          runBatch();
        }
      }
    }
  }

  /** A stage hears of partitions before their records, and what stops begins nothing. */
  private boolean mayBegin() {
    return !lifecycle.stopping() && !betweenBatches.waiting();
  }

  /** Whether one more record could show that a model works that failed on all it was given. */
  private boolean roomToProveModel() {
    return trouble.modelSuspected()
        && (holding.size() < options.batch().records() || holding.onlyUrgent())
        && waitingSince.isEmpty();
  }

  private boolean waitedLongEnough() {
    return holding.hasWaiting()
        && waitingSince.isPresent()
        && System.nanoTime() - waitingSince.get() > failures.undecidedFor().toNanos();
  }

  /** Nothing has shown that the model works, nor that it is broken: the records are bad ones. */
  private void decideWaiting() {
    commitAndGoOn(holding.waiting(), List.of());
  }

  /**
   * Holds the urgent records that are there, before others are run or polled. Where too many are
   * held behind one that waits for a decision, no more are read before, urgent or not.
   *
   * @return whether the others have to wait: for those, or for some that are known to come
   */
  private boolean pollUrgent() {
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
  private boolean pollUrgentOnly(Duration longest) {
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

  private void pollForMore() {
    Duration longest = IDLE_POLL;
    if (holding.size() > 0) {
      longest = min(IDLE_POLL, failures.undecidedFor());
    }
    if (holding.size() == 0) {
      readyUnlessNothingWorks();
    }
    try {
      if (!careful.partitions().isEmpty()) {
        readWithCare();
        longest = holding.hasFresh() ? Duration.ZERO : min(longest, CAREFUL_POLL);
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
        && mayBegin()
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

  private void runBatch() {
    partitions.pause();
    List<BatchRun.Candidate> candidates =
        holding.next(
            options.batch().records(),
            options.batch().bytes(),
            !trouble.othersWouldTell(System.nanoTime()));
    if (!commitBegun(candidates)) {
      return;
    }
    // Polls between two tries of that may have told of partitions that went.
    List<BatchRun.Candidate> owned = holding.stillOwned(candidates);
    if (owned.isEmpty()) {
      return;
    }
    BatchRun run = batches.apply(owned);
    running = Optional.of(run);
    CompletableFuture<BatchRun.Ended> future = model.submit(run::run);
    try {
      if (!awaitModel(future, Optional.of(run))) {
        LOG.warn("the running record did not end within {}: given up", options.shutdownGrace());
        partitions.handBack();
        return;
      }
    } finally {
      running = Optional.empty();
      // Where the clients have failed, the records will be read again: no need to run the rest.
      run.stop();
    }
    BatchRun.Ended ended = result(future);
    List<Finished> decided = new ArrayList<>();
    List<Finished> waiting = new ArrayList<>();
    Set<TopicPartition> stopped = new HashSet<>();
    for (Finished finished : ended.finished()) {
      TopicPartition partition = Holding.partition(finished.record());
      if (finished.undecided() || stopped.contains(partition)) {
        stopped.add(partition);
        waiting.add(finished);
      } else {
        decided.add(finished);
      }
    }
    commitAndGoOn(decided, waiting);
    if (!ended.waiting().isEmpty()) {
      setAside(ended.waiting(), decided.stream().anyMatch(Finished::showsThatTheModelWorks));
    }
    if (ended.environment().isPresent()) {
      environmentFailed(ended.environment().get());
    } else if (waitedLongEnough()) {
      decideWaiting(); // also where records that need no model never cease to come
    }
  }

  /** Where the environment fails on one record again and again, its partition waits by itself. */
  private void setAside(Map<TopicPartition, String> which, boolean othersWork) {
    partitions.handBack();
    if (!othersWork) {
      // Nothing shows that the model works, so nothing that it failed on is decided.
      holding.forgetWaiting();
      nothingWorks = true;
    }
    which.forEach(
        (partition, why) -> {
          metrics.environmentFailed();
          LOG.warn("{}: {}; it waits for {}", partition, why, failures.backoffMost());
          if (!othersWork) {
            health.notReady(PART, why);
          }
          holding
              .letGo(partition)
              .ifPresent(first -> partitions.setAside(partition, first, failures.backoffMost()));
        });
    waitingSince = holding.hasWaiting() ? waitingSince : Optional.empty();
  }

  /** Ready, unless the model is suspected, or partitions wait and nothing has worked since. */
  private void readyUnlessNothingWorks() {
    nothingWorks &= partitions.anyAside();
    if (!trouble.modelSuspected() && !nothingWorks) {
      health.ready(PART);
    }
  }

  private static BatchRun.Ended result(CompletableFuture<BatchRun.Ended> future) {
    try {
      return future.join();
    } catch (CompletionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      return new BatchRun.Ended(
          List.of(),
          Optional.of("the stage failed outside a record: " + Failure.describe(cause)),
          Map.of());
    }
  }

  /**
   * Polls, paused, until the model thread is done. A poll takes part in rebalances and heartbeats;
   * without it the group would take this member for dead.
   *
   * @return false if the worker is stopping and its grace is over
   */
  private boolean awaitModel(CompletableFuture<?> future, Optional<BatchRun> run) {
    var unused = future.whenComplete((result, thrown) -> partitions.wake());
    while (!future.isDone()) {
      if (lifecycle.stopping()) {
        run.ifPresent(BatchRun::stop);
        if (lifecycle.graceIsOver()) {
          return false;
        }
        pollPaused(min(lifecycle.graceLeft(), IDLE_POLL));
      } else {
        lookAround();
        pollPaused(IDLE_POLL);
      }
    }
    return true;
  }

  private void runBetweenBatches() {
    CompletableFuture<Boolean> future =
        model.submit(
            () -> {
              betweenBatches.run();
              return true;
            });
    if (awaitModel(future, Optional.empty())) {
      var unused =
          future.exceptionally(
              thrown -> {
                LOG.error("between two batches: {}", Failure.describe(thrown));
                return false;
              });
    }
  }

  /** Says, before the model sees the records, that they are begun once more. */
  private boolean commitBegun(List<BatchRun.Candidate> candidates) {
    for (int tried = 0; tried < TRIES; tried++) {
      Map<TopicPartition, OffsetAndMetadata> begun = holding.begun(candidates);
      if (begun.isEmpty()) {
        return candidates.stream().anyMatch(candidate -> candidate.finished().isPresent());
      }
      Map<TopicPartition, OffsetAndMetadata> marked = partitions.marked(begun);
      try {
        Partitions.awake(
            () -> {
              consumer.commitSync(marked, COMMIT_OFFSETS);
              return true;
            });
        return true;
      } catch (CommitFailedException | RebalanceInProgressException e) {
        pollPaused(Duration.ofMillis(tried * 100L));
      } catch (RetriableException e) {
        environmentFailed("offsets could not be committed: " + TransactionWriter.describe(e));
        return false;
      } catch (KafkaException e) {
        throw new FatalClientException(
            "offsets could not be committed: " + TransactionWriter.describe(e),
            /* fenced= */ false,
            /* inDoubt= */ false,
            e);
      }
    }
    return false;
  }

  /** Commits what is decided and keeps what is not. */
  private void commitAndGoOn(List<Finished> decided, List<Finished> waiting) {
    if (!decided.isEmpty()) {
      commit(decided);
      backoff.reset();
    }
    boolean failedAnew = holding.keepWaiting(waiting);
    if (!holding.hasWaiting()) {
      waitingSince = Optional.empty();
    } else if (failedAnew || waitingSince.isEmpty()) {
      waitingSince = Optional.of(System.nanoTime());
    }
    nothingWorks &= decided.stream().noneMatch(Finished::showsThatTheModelWorks);
    readyUnlessNothingWorks();
  }

  /**
   * Commits what is still owned.
   *
   * @throws FatalClientException if it can not be committed
   */
  private void commit(List<Finished> decided) {
    Map<TopicPartition, List<Finished>> byPartition = new LinkedHashMap<>();
    for (Finished finished : decided) {
      byPartition
          .computeIfAbsent(Holding.partition(finished.record()), unused -> new ArrayList<>())
          .add(finished);
    }
    for (int tried = 0; tried < TRIES; tried++) {
      Map<TopicPartition, List<Finished>> owned = holding.stillOwned(byPartition);
      if (owned.isEmpty()) {
        return;
      }
      Map<TopicPartition, OffsetAndMetadata> offsets = new LinkedHashMap<>();
      List<Finished> all = new ArrayList<>();
      owned.forEach(
          (partition, finished) -> {
            offsets.put(partition, holding.offsetAfter(partition, finished));
            all.addAll(finished);
          });
      long began = System.nanoTime();
      switch (write(all, offsets)) {
        case COMMITTED -> {
          owned.forEach(holding::committed);
          partitions.ended(owned.keySet());
          report(all, Duration.ofNanos(System.nanoTime() - began));
          return;
        }
        case ABORTED -> {
          metrics.aborted();
          // Gives a rebalance the chance to take what is no longer ours.
          pollPaused(Duration.ofMillis(tried * 100L));
        }
        case NO_MEMBER -> pollPaused(Duration.ofMillis(100 + tried * 100L));
      }
    }
    metrics.givenUp();
    partitions.handBack();
    // New clients read again what a topic takes, too: it may have been changed.
    throw new FatalClientException("results could not be committed in " + TRIES + " tries");
  }

  /** One transaction. Where it ended in doubt, nothing is said any more about its offsets. */
  private TransactionWriter.Try write(
      List<Finished> all, Map<TopicPartition, OffsetAndMetadata> offsets) {
    try {
      return writer.write(all, partitions.signed(offsets));
    } catch (FatalClientException e) {
      if (e.inDoubt()) {
        partitions.leaveBegun();
      } else {
        partitions.handBack();
      }
      throw e;
    } catch (RuntimeException e) {
      partitions.leaveBegun();
      throw e;
    }
  }

  private void environmentFailed(String reason) {
    partitions.handBack();
    holding.forgetWaiting();
    waitingSince = Optional.empty();
    metrics.environmentFailed();
    Duration pause = backoff.begin();
    health.notReady(PART, reason);
    LOG.warn("{}; trying again in {} ms", reason, pause.toMillis());
  }

  private void report(List<Finished> all, Duration commit) {
    long now = System.currentTimeMillis();
    metrics.batch(all.size(), commit);
    for (Finished finished : all) {
      metrics.finished(finished.record().timestamp(), now, finished.modelNanos());
      try {
        finished.whenCommitted().run();
      } catch (RuntimeException e) {
        // The results are committed: nothing may be undone because they could not be counted.
        LOG.warn("{} could not be counted: {}", finished.record(), Failure.describe(e));
      }
      finished
          .deadLetter()
          .ifPresent(
              dead -> {
                metrics.deadLetter(dead.code());
                LOG.warn(
                    "{} went to {}: {}", finished.record(), options.deadLetterTopic(), dead.code());
              });
    }
  }

  private void pollPaused(Duration timeout) {
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
      return polled(consumer, timeout);
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

  private void lookAround() {
    brokers.look();
    long now = System.nanoTime();
    if (now - lagKnownAt < LAG_EVERY.toNanos()) {
      return;
    }
    lagKnownAt = now;
    metrics.queue(lag.unread(holding::after), holding.size());
  }

  private static Duration min(Duration a, Duration b) {
    return a.compareTo(b) < 0 ? a : b;
  }
}
