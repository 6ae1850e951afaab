package dev.whence.samples.recipes;

import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Initialisation;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.weights.ElementType;
import dev.whence.samples.World;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * How a sample model is made.
 *
 * @param name of the recipe and its model
 * @param summary one sentence
 * @param from the recipe whose model it goes on from; empty: new parameters
 * @param teacher the recipe whose model it learns likelihoods from, besides its texts; empty: none
 * @param world that the model learns, made anew at every call
 * @param reads whether it learns to answer from a context, besides remembering the world
 * @param chats whether it is asked in ChatML; else in documents
 * @param architecture of the model
 * @param initialisation of new parameters, given the tokenizer
 * @param training optimiser, schedule, packing
 * @param steps to take
 * @param checkpointEvery so many steps
 * @param seed of the data
 * @param data the batches, given the model's tokenizer
 * @param stored element type of the weights on disk
 */
public record Recipe(
    String name,
    String summary,
    Optional<String> from,
    Optional<String> teacher,
    Supplier<World> world,
    boolean reads,
    boolean chats,
    Architecture architecture,
    Function<Tokenizer, Initialisation> initialisation,
    TrainingOptions training,
    long steps,
    long checkpointEvery,
    long seed,
    Function<Tokenizer, Mixture> data,
    ElementType stored) {
  public Recipe {
    if (teacher.isPresent() && from.isEmpty()) {
      throw new IllegalArgumentException(name + " has a teacher, but no model to go on from");
    }
  }

  /** Without a teacher. */
  public Recipe(
      String name,
      String summary,
      Optional<String> from,
      Supplier<World> world,
      boolean reads,
      boolean chats,
      Architecture architecture,
      Function<Tokenizer, Initialisation> initialisation,
      TrainingOptions training,
      long steps,
      long checkpointEvery,
      long seed,
      Function<Tokenizer, Mixture> data,
      ElementType stored) {
    this(
        name,
        summary,
        from,
        /* teacher= */ Optional.empty(),
        world,
        reads,
        chats,
        architecture,
        initialisation,
        training,
        steps,
        checkpointEvery,
        seed,
        data,
        stored);
  }

  /** The same with checkpoints, and evaluations, so often. */
  public Recipe withCheckpointEvery(long other) {
    return new Recipe(
        name,
        summary,
        from,
        teacher,
        world,
        reads,
        chats,
        architecture,
        initialisation,
        training,
        steps,
        other,
        seed,
        data,
        stored);
  }

  /**
   * The same in fewer steps: the schedule of the learning rate is compressed, and of the batches
   * those at even distances are taken, so that the curriculum goes as far.
   *
   * @param fewer at least 1, at most {@link #steps}
   * @throws IllegalArgumentException if they are not
   */
  public Recipe shortened(long fewer) {
    if (fewer < 1 || fewer > steps) {
      throw new IllegalArgumentException(
          "recipe " + name + " has " + steps + " steps and can not be done in " + fewer);
    }
    return new Recipe(
        name,
        summary,
        from,
        teacher,
        world,
        reads,
        chats,
        architecture,
        initialisation,
        training.withSchedule(new Schedule.Compressed(training.schedule(), steps, fewer)),
        fewer,
        Math.min(checkpointEvery, fewer),
        seed,
        tokenizer -> data.apply(tokenizer).atSteps(step -> original(step, fewer)),
        stored);
  }

  /** The last step is the last step. */
  private long original(long step, long fewer) {
    return step * steps / fewer;
  }
}
