package dev.whence.runtime.worker;

import dev.whence.runtime.config.BatchLimits;
import dev.whence.runtime.config.FailurePolicy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One batch on the model thread: runs records in order until the batch is done, its predicted model
 * time is used up, the environment fails, or the worker stops. What is returned belongs to a prefix
 * of the records of each partition; the rest is tried again.
 *
 * <p>Where the environment fails on one record again and again, its partition waits by itself and
 * the others go on; it is the record's own fault once that has lasted long enough ({@link
 * ModelTrouble}). Where no other partition has a record, the next one of this partition shows
 * whether the model works at all; what comes of it is not kept. Where a record can not even be
 * read, its partition waits in the same way, but the record is never held responsible: its schema,
 * say, may be given at any time.
 */
final class BatchRun {
  private static final Logger LOG = LoggerFactory.getLogger(BatchRun.class);

  private final Stage stage;
  private final Finisher finisher;
  private final ModelTrouble trouble;
  private final Watchdog watchdog;
  private final Halt halt;
  private final BatchLimits limits;
  private final FailurePolicy failures;
  private final List<Candidate> candidates;
  private final Set<TopicPartition> struck = ConcurrentHashMap.newKeySet();
  private final LongSupplier now;
  private volatile boolean stop;

  /**
   * A record that is to be run.
   *
   * @param partition it is of
   * @param record the record
   * @param attemptsBefore how often it was begun by a process that died
   * @param finished what it has already become, if it waits for a decision
   * @param unread why it was not read, if it was not
   */
  record Candidate(
      TopicPartition partition,
      SourceRecord record,
      int attemptsBefore,
      Optional<Finished> finished,
      Optional<Unread> unread) {
    /** A record that was read. */
    Candidate(
        TopicPartition partition,
        SourceRecord record,
        int attemptsBefore,
        Optional<Finished> finished) {
      this(partition, record, attemptsBefore, finished, Optional.empty());
    }
  }

  /**
   * A record of which only its place, and maybe its key, was read.
   *
   * @param failure why
   * @param bytes that it has
   */
  record Unread(Failure failure, long bytes) {}

  /**
   * What became of a batch.
   *
   * @param finished for a prefix of each partition's candidates, in order; records of struck
   *     partitions are left out
   * @param environment why the rest could not be run, if it was the environment's fault
   * @param waiting partitions that are to wait by themselves, and why
   */
  record Ended(
      List<Finished> finished, Optional<String> environment, Map<TopicPartition, Wait> waiting) {}

  /**
   * Why a partition is to wait.
   *
   * @param why one sentence
   * @param reading whether a record could not be read, so that nothing was asked of the model
   */
  record Wait(String why, boolean reading) {}

  BatchRun(
      Stage stage,
      Finisher finisher,
      ModelTrouble trouble,
      Watchdog watchdog,
      Halt halt,
      BatchLimits limits,
      FailurePolicy failures,
      List<Candidate> candidates) {
    this(stage, finisher, trouble, watchdog, halt, limits, failures, candidates, System::nanoTime);
  }

  /**
   * @param now in nanoseconds, for how long the environment has failed on a record
   */
  BatchRun(
      Stage stage,
      Finisher finisher,
      ModelTrouble trouble,
      Watchdog watchdog,
      Halt halt,
      BatchLimits limits,
      FailurePolicy failures,
      List<Candidate> candidates,
      LongSupplier now) {
    this.stage = stage;
    this.finisher = finisher;
    this.trouble = trouble;
    this.watchdog = watchdog;
    this.halt = halt;
    this.limits = limits;
    this.failures = failures;
    this.candidates = List.copyOf(candidates);
    this.now = now;
  }

  /** Another member owns these partitions now: their records need not be run. Any thread. */
  void strike(Set<TopicPartition> partitions) {
    struck.addAll(partitions);
  }

  /** Ends the run after the record that is running. Any thread. */
  void stop() {
    stop = true;
  }

  Ended run() {
    List<Finished> done = new ArrayList<>();
    Map<TopicPartition, Wait> waiting = new LinkedHashMap<>();
    Duration predicted = Duration.ZERO;
    boolean first = true;
    boolean probed = false;
    try {
      announce();
    } catch (EnvironmentException e) {
      haltIfOfProcess(e);
      return new Ended(done, Optional.of(String.valueOf(e.getMessage())), waiting);
    }
    for (Candidate candidate : candidates) {
      if (stop) {
        break;
      }
      TopicPartition partition = candidate.partition();
      Wait wait = waiting.get(partition);
      boolean probe = !probed && wait != null && !wait.reading() && noneBut(waiting.keySet());
      if (struck.contains(partition) || (wait != null && !probe)) {
        continue;
      }
      if (candidate.finished().isPresent()) {
        done.add(candidate.finished().get());
        continue;
      }
      boolean givenUp =
          candidate.unread().isPresent() || candidate.attemptsBefore() >= failures.attempts();
      if (probe && givenUp) {
        continue; // it shows nothing of the model, and the one before it is not done
      }
      boolean reading = candidate.unread().isEmpty();
      try {
        if (candidate.unread().isPresent()) {
          done.add(unread(candidate, candidate.unread().get()));
          continue;
        }
        if (givenUp) {
          done.add(exhausted(candidate));
          continue;
        }
        Work work = prepare(candidate);
        reading = false;
        trouble.read(candidate.record());
        predicted = predicted.plus(work.predicted());
        boolean overTime = predicted.compareTo(limits.modelTime()) > 0;
        if (overTime && !first && !trouble.modelSuspected()) {
          break;
        }
        first = false;
        probed |= probe;
        Finished finished = run(candidate, work);
        probed |= finished.showsThatTheModelWorks();
        if (probe) {
          continue; // it only shows whether the model works; its turn comes behind the one before
        }
        done.add(finished);
        if (trouble.inARow() == 0 && !trouble.modelSuspected()) {
          decide(done);
        } else if (trouble.tooMany() && !trouble.modelSuspected()) {
          return suspectModel(done, waiting);
        }
      } catch (EnvironmentException e) {
        haltIfOfProcess(e);
        String why = String.valueOf(e.getMessage());
        if (probe) {
          continue;
        }
        if (!e.isOfScorer()) {
          if (!reading
              || trouble.readingFailed(candidate.record())
                  != ModelTrouble.Verdict.PARTITION_WAITS) {
            return new Ended(done, Optional.of(why), waiting);
          }
          LOG.warn("{} can not be read for now: {}", candidate.record(), why);
          waiting.put(partition, new Wait(why, /* reading= */ true));
          continue;
        }
        switch (trouble.environmentFailed(candidate.record(), now.getAsLong())) {
          case ALL_WAIT -> {
            return new Ended(done, Optional.of(why), waiting);
          }
          case PARTITION_WAITS -> {
            first = true;
            waiting.put(partition, new Wait(why, /* reading= */ false));
          }
          case RECORD_FAILED -> {
            Optional<Finished> failed = failedAlone(candidate, why);
            if (failed.isEmpty()) {
              return new Ended(done, Optional.of(why), waiting);
            }
            done.add(failed.get());
          }
        }
      }
    }
    return trouble.modelSuspected() && done.stream().anyMatch(Finished::undecided)
        ? suspectModel(done, waiting)
        : new Ended(done, Optional.empty(), waiting);
  }

  /**
   * The records of the batch stay begun in the committed offsets: the next process finds them so.
   */
  private void haltIfOfProcess(EnvironmentException e) {
    if (e.isOfProcess()) {
      halt.halt(String.valueOf(e.getMessage()));
      throw new IllegalStateException(e);
    }
  }

  private boolean noneBut(Set<TopicPartition> partitions) {
    return candidates.stream()
        .map(Candidate::partition)
        .allMatch(partition -> partitions.contains(partition) || struck.contains(partition));
  }

  /** Empty if even that can not be said now. */
  private Optional<Finished> failedAlone(Candidate candidate, String why) {
    LOG.warn("{} fails again and again while others work: given up", candidate.record());
    Failure failure =
        new Failure(
            "ENVIRONMENT_FAILED",
            "failed for more than "
                + ModelTrouble.AT_LEAST.toMinutes()
                + " minutes, while other records went through: "
                + why);
    try {
      return Optional.of(
          failed(
              candidate.record(),
              candidate.attemptsBefore() + 1,
              failure,
              /* undecided= */ false,
              0));
    } catch (EnvironmentException e) {
      LOG.warn("{}", e.getMessage());
      return Optional.empty();
    }
  }

  private void announce() {
    List<SourceRecord> coming =
        candidates.stream()
            .filter(candidate -> candidate.finished().isEmpty() && candidate.unread().isEmpty())
            .filter(candidate -> candidate.attemptsBefore() < failures.attempts())
            .filter(candidate -> !struck.contains(candidate.partition()))
            .map(Candidate::record)
            .toList();
    if (coming.isEmpty()) {
      return;
    }
    watchdog.begin("getting ready for a batch", failures.loadTimeout());
    try {
      stage.coming(coming);
    } catch (EnvironmentException e) {
      throw e;
    } catch (RuntimeException | StackOverflowError | AssertionError | LinkageError e) {
      // One of the records may be the reason: each is still prepared, and judged, by itself.
      LOG.warn("the stage could not get ready for a batch: {}", Failure.describe(e));
    } catch (OutOfMemoryError e) {
      throw outOfMemory(e);
    } finally {
      watchdog.end();
    }
  }

  /** The model worked after these had failed: they are bad records. */
  private static void decide(List<Finished> done) {
    done.replaceAll(Finished::decided);
  }

  /** Nothing that failed in the model is given up; what came before the first failure stands. */
  private Ended suspectModel(List<Finished> done, Map<TopicPartition, Wait> waiting) {
    int inARow = (int) done.stream().filter(Finished::undecided).count();
    trouble.suspectModel();
    List<Finished> before = new ArrayList<>();
    for (Finished finished : done) {
      if (finished.undecided()) {
        break;
      }
      before.add(finished);
    }
    return new Ended(
        before,
        Optional.of(
            "the model failed on "
                + inARow
                + " different records in a row and worked on none since"),
        waiting);
  }

  private Finished exhausted(Candidate candidate) {
    Failure failure =
        new Failure(
            "ATTEMPTS_EXHAUSTED",
            "the process died "
                + candidate.attemptsBefore()
                + " times while it worked on this record");
    // The attempt is counted before: a process that dies of the reading, too, leaves it unread.
    if (candidate.attemptsBefore() == failures.attempts()) {
      watchdog.begin("giving up " + candidate.record().place(), failures.hangAtLeast());
      try {
        return finisher.exhausted(candidate.record(), candidate.attemptsBefore(), failure);
      } catch (EnvironmentException e) {
        throw e;
      } catch (RuntimeException | StackOverflowError | AssertionError | LinkageError e) {
        LOG.warn("{} is given up unread: {}", candidate.record(), Failure.describe(e));
      } catch (OutOfMemoryError e) {
        throw outOfMemory(e);
      } finally {
        watchdog.end();
      }
    }
    return failed(candidate.record(), candidate.attemptsBefore(), failure, false, 0);
  }

  private Work prepare(Candidate candidate) {
    watchdog.begin("reading " + candidate.record().place(), failures.hangAtLeast());
    try {
      return stage.prepare(candidate.record());
    } catch (EnvironmentException e) {
      throw e;
    } catch (RuntimeException | StackOverflowError | AssertionError | LinkageError e) {
      return Work.done(new Outcome.Rejected(Failure.unexpected("UNREADABLE", e)));
    } catch (OutOfMemoryError e) {
      throw outOfMemory(e);
    } finally {
      watchdog.end();
    }
  }

  private Finished run(Candidate candidate, Work work) {
    SourceRecord record = candidate.record();
    boolean usesModel = !work.predicted().isZero();
    watchdog.begin("model work on " + record.place(), failures.allowed(work.predicted()));
    long began = System.nanoTime();
    Outcome outcome;
    try {
      outcome = work.run();
    } catch (EnvironmentException e) {
      throw e;
    } catch (RuntimeException | StackOverflowError | AssertionError | LinkageError e) {
      outcome = new Outcome.ModelFailed(Failure.unexpected("MODEL_FAILED", e));
    } catch (OutOfMemoryError e) {
      throw outOfMemory(e);
    } finally {
      watchdog.end();
    }
    long nanos = usesModel ? System.nanoTime() - began : 0;
    int attempt = candidate.attemptsBefore() + 1;
    if (outcome instanceof Outcome.Written written) {
      if (usesModel) {
        trouble.worked(record);
      }
      return finished(
          record,
          () -> finisher.written(record, attempt, written, nanos),
          why -> finisher.failed(record, attempt, why, false, nanos));
    }
    if (outcome instanceof Outcome.Rejected rejected) {
      return failed(record, attempt, rejected.failure(), false, nanos);
    }
    Failure failure = ((Outcome.ModelFailed) outcome).failure();
    LOG.warn("the model failed on {}: {} {}", record, failure.code(), failure.message());
    trouble.failed(record);
    return failed(record, attempt, failure, true, nanos);
  }

  private Finished failed(
      SourceRecord record, int attempt, Failure failure, boolean undecided, long nanos) {
    Function<Failure, Finished> failing =
        why -> finisher.failed(record, attempt, why, undecided, nanos);
    return finished(record, () -> failing.apply(failure), failing);
  }

  private Finished unread(Candidate candidate, Unread unread) {
    Function<Failure, Finished> failing =
        why ->
            finisher.unread(
                candidate.record(),
                candidate.attemptsBefore() + 1,
                new Unread(why, unread.bytes()));
    return finished(candidate.record(), () -> failing.apply(unread.failure()), failing);
  }

  /**
   * Where what is written for a record can not be made, as where a large result is to be shrunk,
   * the record has failed. If not even that can be said, what is thrown is nobody's fault here.
   */
  private Finished finished(
      SourceRecord record, Supplier<Finished> finishing, Function<Failure, Finished> failing) {
    try {
      try {
        return finishing.get();
      } catch (EnvironmentException e) {
        throw e;
      } catch (RuntimeException | StackOverflowError | AssertionError | LinkageError e) {
        LOG.warn("the results of {} can not be made: {}", record, Failure.describe(e));
        return failing.apply(Failure.unexpected("RESULT_FAILED", e));
      }
    } catch (OutOfMemoryError e) {
      throw outOfMemory(e);
    }
  }

  /** A heap that is full may have broken any thread: only a new process is sound. */
  private RuntimeException outOfMemory(OutOfMemoryError error) {
    halt.halt("out of memory");
    return new IllegalStateException("out of memory", error);
  }
}
