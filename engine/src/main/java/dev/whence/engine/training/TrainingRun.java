package dev.whence.engine.training;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.files.FileProblem;
import dev.whence.files.WriterLock;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Takes a trainer from where its checkpoints stand to the last step. What a batch holds depends on
 * its step only, so that a run that was cut off goes on to the same parameters, bit for bit.
 */
public final class TrainingRun {
  /** The batches of a run. */
  public interface Batches {
    /**
     * The batch of a step: the same for the same step, whenever it is asked for. Called by a thread
     * of the run's own, while the step before is taken.
     *
     * @param step from 1
     */
    List<Example> batch(long step);
  }

  /** Who looks on. */
  public interface Listener {
    /** A step was taken. */
    void stepped(StepReport report);

    /** A checkpoint was written; the trainer may be looked at, not changed. */
    default void checkpointed(Trainer trainer) {}

    /** The run goes on from a checkpoint. */
    default void resumed(long step) {}

    /** After that: the trainer stands at that step, and may be looked at, not changed. */
    default void restored(Trainer trainer) {}

    /** A checkpoint is damaged and is passed over, or can not be deleted; the sentence names it. */
    default void passedOver(String sentence) {}
  }

  /** However many steps lie between two checkpoints: no more work than this is lost. */
  private static final Duration MOST_LOST = Duration.ofMinutes(5);

  private static final String LOCK = "in-use.lock";

  private final LongSupplier nanoTime;
  private final Path directory;
  private final long steps;
  private final long checkpointEvery;
  private final String purpose;

  /**
   * @param directory of the checkpoints; made where it is missing
   * @param steps of the whole run
   * @param checkpointEvery so many steps a checkpoint is written, and after the last one; besides,
   *     one every five minutes, of which the listener is not told
   * @param purpose says what is trained on what (recipe, data seed, digest of the first weights):
   *     checkpoints of another purpose are refused
   */
  public TrainingRun(Path directory, long steps, long checkpointEvery, String purpose) {
    this(directory, steps, checkpointEvery, purpose, System::nanoTime);
  }

  TrainingRun(
      Path directory, long steps, long checkpointEvery, String purpose, LongSupplier nanoTime) {
    if (steps < 1 || checkpointEvery < 1) {
      throw new IllegalArgumentException("steps and checkpointEvery must be positive");
    }
    this.directory = directory;
    this.steps = steps;
    this.checkpointEvery = checkpointEvery;
    this.purpose = purpose;
    this.nanoTime = nanoTime;
  }

  /**
   * Trains to the last step.
   *
   * @throws EngineException as {@link Trainer#step} (the last good checkpoint stays), and of kind
   *     MODEL if checkpoints are there but none can be used, ENVIRONMENT if another run is at it
   */
  public void run(Trainer trainer, Batches batches, Listener listener) {
    run(trainer, batches, listener, () -> {});
  }

  /**
   * The same, and then what is made of the trainer, before another run may begin.
   *
   * @param done writes the model
   */
  public void run(Trainer trainer, Batches batches, Listener listener, Runnable done) {
    try {
      Files.createDirectories(directory);
      if (!WriterLock.alone(
          directory.resolve(LOCK),
          () -> {
            alone(trainer, batches, listener);
            done.run();
          })) {
        throw new EngineException(
            Kind.ENVIRONMENT,
            "Another training writes to " + directory + ": wait for it, or choose another output.");
      }
    } catch (IOException e) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          directory + " could not be written " + FileProblem.unwritten(e, directory) + ".",
          e);
    }
  }

  private void alone(Trainer trainer, Batches batches, Listener listener) {
    resume(trainer, listener);
    ExecutorService ahead =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread thread = new Thread(task, "training-batches");
              thread.setDaemon(true);
              return thread;
            });
    try {
      train(trainer, batches, listener, ahead);
    } finally {
      end(ahead);
    }
  }

  /** Waits for the batch that is being made: its tokenizer and teacher may be closed after. */
  private static void end(ExecutorService ahead) {
    ahead.shutdown();
    boolean interrupted = false;
    for (boolean ended = false; !ended; ) {
      try {
        ended = ahead.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** The next batch is made while a step is taken. */
  private void train(Trainer trainer, Batches batches, Listener listener, ExecutorService ahead) {
    long saved = trainer.step();
    long savedAt = nanoTime.getAsLong();
    CompletableFuture<List<Example>> next = ask(batches, trainer.step() + 1, ahead);
    while (trainer.step() < steps) {
      List<Example> batch = take(next);
      next = ask(batches, trainer.step() + 2, ahead);
      listener.stepped(trainer.step(batch));
      boolean due = trainer.step() % checkpointEvery == 0 || trainer.step() == steps;
      if (due || nanoTime.getAsLong() - savedAt >= MOST_LOST.toNanos()) {
        save(trainer, listener);
        saved = trainer.step();
        savedAt = nanoTime.getAsLong();
      }
      if (due) {
        listener.checkpointed(trainer);
      }
    }
    if (saved != trainer.step()) {
      save(trainer, listener);
    }
  }

  private void save(Trainer trainer, Listener listener) {
    Checkpoint.write(directory, trainer, purpose).forEach(listener::passedOver);
  }

  private CompletableFuture<List<Example>> ask(Batches batches, long step, ExecutorService ahead) {
    return step > steps
        ? CompletableFuture.completedFuture(List.of())
        : CompletableFuture.supplyAsync(() -> batches.batch(step), ahead);
  }

  private static List<Example> take(CompletableFuture<List<Example>> batch) {
    try {
      return batch.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw e;
    }
  }

  private void resume(Trainer trainer, Listener listener) {
    List<Checkpoint> checkpoints = Checkpoint.list(directory);
    for (Checkpoint checkpoint : checkpoints) {
      if (checkpoint.isWhole()) {
        checkpoint.restore(trainer, purpose);
        listener.resumed(checkpoint.step());
        listener.restored(trainer);
        return;
      }
      listener.passedOver(
          "The checkpoint of step "
              + checkpoint.step()
              + " under "
              + directory
              + " was cut short or altered; an earlier one is used.");
    }
    if (!checkpoints.isEmpty()) {
      throw new EngineException(
          Kind.MODEL,
          "No checkpoint under " + directory + " is whole; delete the directory to start anew.");
    }
  }
}
