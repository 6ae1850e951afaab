package dev.whence.engine.training;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.nio.file.Path;
import java.util.List;

/**
 * Takes a trainer from where its checkpoints stand to the last step. What a batch holds depends on
 * its step only, so that a run that was cut off goes on to the same parameters, bit for bit.
 */
public final class TrainingRun {
  /** The batches of a run. */
  public interface Batches {
    /**
     * The batch of a step: the same for the same step, whenever it is asked for.
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
    long saved = trainer.step();
    while (trainer.step() < steps) {
      listener.stepped(trainer.step(batches.batch(trainer.step() + 1)));
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

  private void resume(Trainer trainer, Listener listener) {
    List<Checkpoint> checkpoints = Checkpoint.list(directory);
    for (Checkpoint checkpoint : checkpoints) {
      if (checkpoint.isWhole()) {
        checkpoint.restore(trainer, purpose);
        listener.resumed(checkpoint.step());
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
