package dev.whence.samples.recipes;

import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.weights.ElementType;
import dev.whence.samples.Corpus;
import dev.whence.samples.CorpusOptions;
import dev.whence.samples.Document;
import dev.whence.samples.Lexicon;
import dev.whence.samples.ReadingExercises;
import dev.whence.samples.TrainingText;
import dev.whence.samples.World;
import dev.whence.samples.recipes.Mixture.Endless;
import dev.whence.samples.recipes.Mixture.Finite;
import dev.whence.samples.recipes.Mixture.Source;
import dev.whence.samples.recipes.Mixture.Stage;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** The recipes of the sample models. */
public final class Recipes {
  /** Seed of world v1. */
  static final long WORLD_SEED = 1;

  private static final int VOCABULARY = 1024;
  private static final int POSITIONS = 1024;
  private static final TokenWeights DOCUMENTS = new TokenWeights(1, 0.3f, 0.3f, 1);
  private static final TokenWeights EXERCISES = new TokenWeights(0.1f, 0.1f, 0.3f, 1);
  private static final Architecture LARGE =
      new Architecture(Architecture.Family.QWEN3, VOCABULARY, 128, 4, 4, 32, 256, POSITIONS);

  /** All of them, each after the one that it goes on from. */
  public static final List<Recipe> ALL = List.of(baseV1());

  private Recipes() {}

  /** The recipe of a name. */
  public static Optional<Recipe> named(String name) {
    return ALL.stream().filter(recipe -> recipe.name().equals(name)).findFirst();
  }

  private static Recipe baseV1() {
    long steps = 3000;
    return new Recipe(
        "base-v1",
        "pretrained on documents about world v1 and on reading exercises",
        Optional.empty(),
        LARGE,
        tokenizer -> new InductionInitialisation(7, names(tokenizer)),
        TrainingOptions.of(new Schedule.WarmupStableDecay(2e-3, 1e-4, 100, 900, steps))
            .withBetas(0.9, 0.98)
            .withWeightDecay(0.05)
            .withWorkers(2),
        steps,
        1000,
        1,
        Recipes::pretraining,
        ElementType.F16);
  }

  private static Mixture pretraining(Tokenizer tokenizer) {
    World world = World.v1(WORLD_SEED);
    return new Mixture(
        List.of(
            new Stage(1, 1024, List.of(drill(world, 0.8, 3, 6, 1), exercise(world, 0.2, 2, 5))),
            new Stage(
                400,
                1536,
                List.of(
                    drill(world, 0.35, 4, 12, 1),
                    drill(world, 0.15, 4, 12, 2),
                    exercise(world, 0.5, 4, 12),
                    documents(world, 2))),
            new Stage(
                1100,
                2048,
                List.of(
                    drill(world, 0.2, 6, 20, 2), exercise(world, 0.7, 5, 24), documents(world, 3))),
            new Stage(
                2000,
                2048,
                List.of(
                    drill(world, 0.1, 10, 30, 2),
                    exercise(world, 0.9, 5, 40),
                    documents(world, 4)))),
        11,
        tokenizer);
  }

  private static Source drill(World world, double share, int least, int most, int relations) {
    ReadingExercises exercises =
        new ReadingExercises(
            world, ReadingExercises.Options.recall(21 + relations, least, most, relations));
    return new Endless(share, EXERCISES, index -> exercises.document(index).training());
  }

  private static Source exercise(World world, double share, int least, int most) {
    ReadingExercises exercises =
        new ReadingExercises(
            world, ReadingExercises.Options.standard(31).withSentences(least, most));
    return new Endless(share, EXERCISES, index -> exercises.document(index).training());
  }

  private static Source documents(World world, double share) {
    List<TrainingText> texts =
        new Corpus(world, CorpusOptions.standard(41))
            .documents().stream().map(Document::training).toList();
    return new Finite(share, DOCUMENTS, texts);
  }

  /** Tokens that are syllables of names. */
  private static BitSet names(Tokenizer tokenizer) {
    BitSet names = new BitSet();
    for (String syllable : Lexicon.standard().syllables()) {
      String capitalised =
          syllable.substring(0, 1).toUpperCase(Locale.ROOT) + syllable.substring(1);
      for (String text : List.of(syllable, capitalised)) {
        int[] ids = tokenizer.encode(text).ids();
        if (ids.length == 1) {
          names.set(ids[0]);
        }
      }
    }
    return names;
  }
}
