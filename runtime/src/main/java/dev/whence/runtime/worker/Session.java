package dev.whence.runtime.worker;

import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.health.WorkerMetrics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The life of one consumer and one producer: the poll loop. {@link Intake} polls, {@link Commits}
 * commits; here is decided what comes next.
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
  private static final String READING_PART = "reading";

  private static final Duration LAG_EVERY = Duration.ofSeconds(1);

  private final WorkerOptions options;
  private final FailurePolicy failures;
  private final Consumer<byte[], byte[]> consumer;
  private final Intake intake;
  private final Commits commits;
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
  private final BrokerWatch brokers;
  private final QueueLag lag;
  private Optional<BatchRun> running = Optional.empty();

  /** Whether this session may still have records; its consumer's end changes nothing for others. */
  private boolean open = true;

  /** When the model failed last, as long as a record waits for the verdict on it. */
  private Optional<Long> waitingSince = Optional.empty();

  /** Whether partitions were set aside and the model has worked on nothing since. */
  private boolean nothingWorks;

  private long lagKnownAt;

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
    this.brokers = brokers;
    this.lag = lag;
    this.intake =
        new Intake(
            options,
            consumer,
            holding,
            partitions,
            careful,
            stalled,
            trouble,
            health,
            metrics,
            halt,
            this::mayBegin);
    this.commits =
        new Commits(
            options,
            consumer,
            new TransactionWriter(
                producer, options.deadLetterTopic(), consumer::groupMetadata, hook),
            holding,
            partitions,
            metrics,
            intake::pollPaused);
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
        intake.pollPaused(Intake.shorter(backoff.left(), Intake.IDLE_POLL));
      } else if (holding.hasFresh() && !roomToProveModel()) {
        if (!intake.pollUrgent() || holding.urgentFresh() > 0) {
          if (mayBegin()) {
            runBatch();
          }
        } else {
          intake.pollUrgentOnly(Intake.IDLE_POLL);
        }
      } else if (waitedLongEnough()) {
        partitions.pause();
        decideWaiting();
      } else {
        if (holding.size() == 0) {
          readyUnlessNothingWorks();
        }
        intake.pollForMore();
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

  private void runBatch() {
    partitions.pause();
    List<BatchRun.Candidate> candidates =
        holding.next(
            options.batch().records(),
            options.batch().bytes(),
            !trouble.othersWouldTell(System.nanoTime()));
    try {
      if (!commits.begun(candidates)) {
        return;
      }
    } catch (EnvironmentException e) {
      environmentFailed(String.valueOf(e.getMessage()));
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
  private void setAside(Map<TopicPartition, BatchRun.Wait> which, boolean othersWork) {
    partitions.handBack();
    if (!othersWork && which.values().stream().anyMatch(wait -> !wait.reading())) {
      // Nothing shows that the model works, so nothing that it failed on is decided.
      holding.forgetWaiting();
      nothingWorks = true;
    }
    which.forEach(
        (partition, wait) -> {
          metrics.environmentFailed();
          LOG.warn("{}: {}; it waits for {}", partition, wait.why(), failures.backoffMost());
          if (!othersWork && !wait.reading()) {
            health.notReady(PART, wait.why());
          }
          holding
              .letGo(partition)
              .ifPresent(
                  first -> partitions.setAside(partition, first, wait, failures.backoffMost()));
        });
    waitingSince = holding.hasWaiting() ? waitingSince : Optional.empty();
  }

  /** The others go on, and it may last for ever: nothing but readiness shows that one stands. */
  private void sayWhatIsNotReadOn() {
    Map<TopicPartition, String> standing = partitions.asideForReading();
    if (standing.isEmpty()) {
      health.ready(READING_PART);
    } else {
      health.notReady(
          READING_PART,
          standing.entrySet().stream()
              .map(one -> one.getKey() + " can not be read on: " + one.getValue())
              .sorted()
              .collect(Collectors.joining("; ")));
    }
  }

  /** Ready, unless the model is suspected, or partitions wait and nothing has worked since. */
  private void readyUnlessNothingWorks() {
    nothingWorks &= partitions.anyAsideForTheModel();
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
        intake.pollPaused(Intake.shorter(lifecycle.graceLeft(), Intake.IDLE_POLL));
      } else {
        lookAround();
        intake.pollPaused(Intake.IDLE_POLL);
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

  /** Commits what is decided and keeps what is not. */
  private void commitAndGoOn(List<Finished> decided, List<Finished> waiting) {
    if (!decided.isEmpty()) {
      commits.results(decided);
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

  private void environmentFailed(String reason) {
    partitions.handBack();
    holding.forgetWaiting();
    waitingSince = Optional.empty();
    metrics.environmentFailed();
    Duration pause = backoff.begin();
    health.notReady(PART, reason);
    LOG.warn("{}; trying again in {} ms", reason, pause.toMillis());
  }

  private void lookAround() {
    brokers.look();
    sayWhatIsNotReadOn();
    long now = System.nanoTime();
    if (now - lagKnownAt < LAG_EVERY.toNanos()) {
      return;
    }
    lagKnownAt = now;
    metrics.queue(lag.unread(holding::after), holding.size());
  }
}
