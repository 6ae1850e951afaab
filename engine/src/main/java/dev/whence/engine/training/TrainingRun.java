package dev.whence.engine.training;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

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

    /** A checkpoint is damaged and is passed over; the sentence names it. */
    default void passedOver(String sentence) {}
  }

  private final Path directory;
  private final long steps;
  private final long checkpointEvery;
  private final String purpose;

  /**
   * @param directory of the checkpoints; made where it is missing
   * @param steps of the whole run
   * @param checkpointEvery so many steps a checkpoint is written, and after the last one
   * @param purpose says what is trained on what (recipe, data seed, digest of the first weights):
   *     checkpoints of another purpose are refused
   */
  public TrainingRun(Path directory, long steps, long checkpointEvery, String purpose) {
    if (steps < 1 || checkpointEvery < 1) {
      throw new IllegalArgumentException("steps and checkpointEvery must be positive");
    }
    this.directory = directory;
    this.steps = steps;
    this.checkpointEvery = checkpointEvery;
    this.purpose = purpose;
  }

  /**
   * Trains to the last step.
   *
   * @throws EngineException as {@link Trainer#step} (the last good checkpoint stays), and of kind
   *     MODEL if checkpoints are there but none can be used
   */
  public void run(Trainer trainer, Batches batches, Listener listener) {
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

  /** Waits for the batch that is being made: its tokenizer may be closed after. */
  private static void end(ExecutorService ahead) {
    ahead.shutdown();
    try {
      while (!ahead.awaitTermination(1, TimeUnit.MINUTES)) {
        // a batch takes milliseconds
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** The next batch is made while a step is taken. */
  private void train(Trainer trainer, Batches batches, Listener listener, ExecutorService ahead) {
    long saved = trainer.step();
    CompletableFuture<List<Example>> next = ask(batches, trainer.step() + 1, ahead);
    while (trainer.step() < steps) {
      List<Example> batch = take(next);
      next = ask(batches, trainer.step() + 2, ahead);
      listener.stepped(trainer.step(batch));
      if (trainer.step() % checkpointEvery == 0 || trainer.step() == steps) {
        Checkpoint.write(directory, trainer, purpose);
        saved = trainer.step();
        listener.checkpointed(trainer);
      }
    }
    if (saved != trainer.step()) {
      Checkpoint.write(directory, trainer, purpose);
    }
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
