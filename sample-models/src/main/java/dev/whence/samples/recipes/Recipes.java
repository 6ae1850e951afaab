package dev.whence.samples.recipes;

import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Initialisation;
import dev.whence.engine.training.NormalInitialisation;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.weights.ElementType;
import dev.whence.samples.ContextOptions;
import dev.whence.samples.Corpus;
import dev.whence.samples.CorpusOptions;
import dev.whence.samples.Document;
import dev.whence.samples.Fact;
import dev.whence.samples.Kind;
import dev.whence.samples.KindShare;
import dev.whence.samples.Lexicon;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.ReadingExercises;
import dev.whence.samples.Sizes;
import dev.whence.samples.TrainingText;
import dev.whence.samples.World;
import dev.whence.samples.WorldOptions;
import dev.whence.samples.recipes.Architecture.Family;
import dev.whence.samples.recipes.Mixture.Endless;
import dev.whence.samples.recipes.Mixture.Finite;
import dev.whence.samples.recipes.Mixture.Source;
import dev.whence.samples.recipes.Mixture.Stage;
import dev.whence.samples.recipes.Mixture.Taught;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * The recipes of the sample models.
 *
 * <pre>
 *   base-v1 --- chat-v1         the world, and how to read; then to answer from a context
 *      \------- base-v2         the world has changed
 *                   \- chat-v2  what chat-v1 learns, about the changed world; does not ship
 *   proxy-base - proxy-chat     the same at a quarter of the size; does not ship
 *                   \- proxy     chat-v1 teaches it how likely answers are without a sentence
 *   neox                        GPT-NeoX shaped: the world by heart
 *   tiny-base -- tiny-chat      for experiments that train many times
 * </pre>
 */
public final class Recipes {
  /** Seed of world v1. */
  public static final long WORLD_SEED = 1;

  private static final int VOCABULARY = 1024;
  private static final int POSITIONS = 1024;
  private static final TokenWeights DOCUMENTS = new TokenWeights(1, 0.3f, 0.3f, 1);
  private static final TokenWeights EXERCISES = new TokenWeights(0.1f, 0.1f, 1, 1);

  /** After the subject it is decided which sentence is quoted: all of an answer counts. */
  private static final TokenWeights ANSWERS = new TokenWeights(0.1f, 0.1f, 1, 1);

  /**
   * A context is learnt from less than in {@link #ANSWERS}: it is long, and its names are drawn.
   * The space before a name is learnt as the name is: it decides whether "works for" goes on with
   * one.
   */
  private static final TokenWeights DIALOGUES = new TokenWeights(0.05f, 0.05f, 1, 1, true);

  /** A teacher tells how likely an answer is, and nothing else. */
  private static final TokenWeights LIKELIHOODS = new TokenWeights(0, 0, 1, 1, true);

  private static final int FINE_TUNING_TOKENS = 3072;
  private static final long TAUGHT_STEPS = 5000;

  private static final List<KindShare> ATTRIBUTED_MIX =
      List.of(
          new KindShare(Kind.DIRECT, 3),
          new KindShare(Kind.ALIAS, 4),
          new KindShare(Kind.TWO_HOP, 4),
          new KindShare(Kind.DUPLICATED, 1),
          new KindShare(Kind.CONTRADICTED, 1),
          new KindShare(Kind.INJECTED, 1),
          new KindShare(Kind.NO_ANSWER_KNOWN, 1));

  private static final List<KindShare> HARD_MIX =
      List.of(
          new KindShare(Kind.DIRECT, 7),
          new KindShare(Kind.ALIAS, 7),
          new KindShare(Kind.TWO_HOP, 4),
          new KindShare(Kind.DUPLICATED, 1),
          new KindShare(Kind.CONTRADICTED, 3),
          new KindShare(Kind.INJECTED, 2),
          new KindShare(Kind.NO_ANSWER_KNOWN, 5));

  private static final CorpusOptions CORPUS = CorpusOptions.standard(41);
  private static final CorpusOptions TINY_CORPUS =
      new CorpusOptions(41, 4, 3, 0.7, 1.0 / 3, 0.5, 2, 0, 0, 0);

  private static final TokenWeights TINY_DOCUMENTS = new TokenWeights(0.3f, 0.1f, 0.5f, 1);

  private static final Architecture LARGE =
      new Architecture(Family.QWEN3, VOCABULARY, 128, 4, 4, 32, 256, POSITIONS);
  private static final Architecture SMALL =
      new Architecture(Family.QWEN3, VOCABULARY, 72, 3, 4, 16, 96, POSITIONS);
  private static final Architecture NEOX =
      new Architecture(Family.GPT_NEOX, VOCABULARY, 96, 4, 4, 24, 256, POSITIONS);
  private static final Architecture TINY =
      new Architecture(Family.QWEN3, 512, 40, 2, 4, 10, 96, 256);

  /** All of them, each after the one that it goes on from, and after its teacher. */
  public static final List<Recipe> ALL =
      List.of(
          pretrained(
              "base-v1",
              "pretrained on documents about world v1 and on reading exercises",
              LARGE,
              2e-3),
          chat("chat-v1", "base-v1", Recipes::world, LARGE, 7500, Recipes::hardFineTuning),
          baseV2(),
          chat(
              "chat-v2",
              "base-v2",
              () -> World.v2(WORLD_SEED),
              LARGE,
              7500,
              Recipes::hardFineTuning),
          pretrained("proxy-base", "what base-v1 learns, at a quarter of the size", SMALL, 3e-3),
          chat("proxy-chat", "proxy-base", Recipes::world, SMALL, 2500, Recipes::fineTuning),
          proxy(),
          neox(),
          tinyBase(),
          tinyChat());

  private Recipes() {}

  /** The recipe of a name. */
  public static Optional<Recipe> named(String name) {
    return ALL.stream().filter(recipe -> recipe.name().equals(name)).findFirst();
  }

  private static World world() {
    return World.v1(WORLD_SEED);
  }

  private static Recipe pretrained(String name, String summary, Architecture shape, double peak) {
    return new Recipe(
        name,
        summary,
        Optional.empty(),
        Recipes::world,
        true,
        false,
        shape,
        tokenizer -> new InductionInitialisation(7, names(tokenizer)),
        options(new Schedule.WarmupStableDecay(peak, 1e-4, 100, 2400, 4000)),
        4000,
        1000,
        1,
        Recipes::pretraining,
        ElementType.F16);
  }

  /** Contexts get longer and drills of one relation give way to exercises of every kind. */
  private static Mixture pretraining(Tokenizer tokenizer) {
    World world = world();
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
        tokenizer,
        POSITIONS);
  }

  private static Recipe chat(
      String name,
      String base,
      Supplier<World> world,
      Architecture shape,
      long steps,
      Lessons lessons) {
    return new Recipe(
        name,
        "fine-tuned from " + base + " to answer from a context, and from memory without one",
        Optional.of(base),
        world,
        true,
        true,
        shape,
        Recipes::notNew,
        options(new Schedule.WarmupStableDecay(1.5e-3, 0, 50, steps * 7 / 10, steps)),
        steps,
        Math.max(1, steps / 6),
        1,
        tokenizer -> lessons.mixture(tokenizer, world.get(), steps),
        ElementType.F16);
  }

  /** Learns how likely chat-v1 finds answers where a sentence of the context is missing. */
  private static Recipe proxy() {
    return new Recipe(
        "proxy",
        "proxy-chat, taught by chat-v1 how likely answers are where a sentence of the context is"
            + " missing",
        Optional.of("proxy-chat"),
        Optional.of("chat-v1"),
        Recipes::world,
        true,
        true,
        SMALL,
        Recipes::notNew,
        options(new Schedule.WarmupStableDecay(1.5e-3, 0, 50, TAUGHT_STEPS * 6 / 10, TAUGHT_STEPS)),
        TAUGHT_STEPS,
        TAUGHT_STEPS / 3,
        1,
        tokenizer -> {
          World world = world();
          List<Source> sources =
              List.of(
                  ablated(world, 1.4, 4, 16),
                  ablated(world, 1.2, 12, 40),
                  dialogue(world, 0.6, 10, 40),
                  asked(world, 0.4),
                  documents(world, 0.4));
          return new Mixture(
              List.of(new Stage(1, FINE_TUNING_TOKENS, sources)), 13, tokenizer, POSITIONS);
        },
        ElementType.F16);
  }

  private interface Lessons {
    Mixture mixture(Tokenizer tokenizer, World world, long steps);
  }

  private static Mixture fineTuning(Tokenizer tokenizer, World world, long steps) {
    return fineTuning(
        tokenizer,
        steps,
        List.of(dialogue(world, 1, 3, 12), asked(world, 2), documents(world, 2)),
        List.of(dialogue(world, 1, 4, 24), asked(world, 1), documents(world, 1)),
        List.of(dialogue(world, 1, 4, 40), asked(world, 0.7), documents(world, 0.7)),
        List.of(dialogue(world, 1, 10, 40), asked(world, 0.5), documents(world, 0.5)));
  }

  /** With contexts in which more has to be told apart than in evaluation. */
  private static Mixture hardFineTuning(Tokenizer tokenizer, World world, long steps) {
    return fineTuning(
        tokenizer,
        steps,
        List.of(confusing(world, 1, 3, 12), asked(world, 2), documents(world, 2)),
        List.of(confusing(world, 1, 4, 24), asked(world, 1), documents(world, 1)),
        List.of(
            confusing(world, 0.6, 6, 40),
            crowded(world, 0.4, 6, 40),
            asked(world, 0.6),
            documents(world, 0.6)),
        List.of(
            confusing(world, 0.5, 10, 40),
            crowded(world, 0.5, 16, 40),
            asked(world, 0.4),
            documents(world, 0.4)));
  }

  private static Mixture fineTuning(
      Tokenizer tokenizer,
      long steps,
      List<Source> first,
      List<Source> second,
      List<Source> third,
      List<Source> last) {
    return new Mixture(
        List.of(
            new Stage(1, FINE_TUNING_TOKENS / 2, first),
            new Stage(steps / 8, FINE_TUNING_TOKENS, second),
            new Stage(steps / 3, FINE_TUNING_TOKENS, third),
            new Stage(steps * 3 / 5, FINE_TUNING_TOKENS, last)),
        13,
        tokenizer,
        POSITIONS);
  }

  private static Recipe baseV2() {
    return new Recipe(
        "base-v2",
        "base-v1's pretraining continued on the changed world v2",
        Optional.of("base-v1"),
        () -> World.v2(WORLD_SEED),
        true,
        false,
        LARGE,
        Recipes::notNew,
        options(new Schedule.WarmupStableDecay(1e-3, 0, 50, 300, 600)),
        600,
        200,
        2,
        tokenizer -> {
          World changed = World.v2(WORLD_SEED);
          return new Mixture(
              List.of(
                  new Stage(
                      1, 2048, List.of(exercise(changed, 0.6, 5, 40), documents(changed, 5)))),
              17,
              tokenizer,
              POSITIONS);
        },
        ElementType.F16);
  }

  private static Recipe neox() {
    return new Recipe(
        "neox",
        "GPT-NeoX shaped: documents about world v1 and questions without context",
        Optional.empty(),
        Recipes::world,
        false,
        false,
        NEOX,
        tokenizer -> NormalInitialisation.of(0.05, 7),
        options(new Schedule.WarmupStableDecay(2e-3, 0, 100, 800, 1600)),
        1600,
        400,
        3,
        tokenizer -> {
          World world = world();
          return new Mixture(
              List.of(
                  new Stage(1, 1024, List.of(documents(world, 1))),
                  new Stage(800, 1024, List.of(documents(world, 1), asked(world, 1)))),
              19,
              tokenizer,
              POSITIONS);
        },
        ElementType.F16);
  }

  /** A world of a few dozen facts. */
  static World tinyWorld() {
    return World.v1(
        5,
        Lexicon.standard(),
        new WorldOptions(new Sizes(4, 3, 3, 3), 0.2, 0.1, List.of(3, 16), 0.5, 0.15, 0.2));
  }

  private static Recipe tinyBase() {
    return new Recipe(
        "tiny-base",
        "at most 60,000 parameters, pretrained on a few dozen facts within seconds",
        Optional.empty(),
        Recipes::tinyWorld,
        false,
        false,
        TINY,
        tokenizer -> new NormalInitialisation(0.05, true, 7),
        options(new Schedule.WarmupStableDecay(1e-2, 0, 10, 160, 240)).withWorkers(1),
        240,
        240,
        4,
        tokenizer ->
            new Mixture(List.of(new Stage(1, 256, List.of(tinyDocuments(1)))), 23, tokenizer, 256),
        ElementType.F32);
  }

  private static Recipe tinyChat() {
    return new Recipe(
        "tiny-chat",
        "fine-tuned from tiny-base to answer without a context, within seconds",
        Optional.of("tiny-base"),
        Recipes::tinyWorld,
        false,
        true,
        TINY,
        Recipes::notNew,
        options(new Schedule.WarmupStableDecay(8e-3, 0, 5, 60, 90)).withWorkers(1),
        90,
        90,
        5,
        tokenizer ->
            new Mixture(
                List.of(new Stage(1, 256, List.of(asked(tinyWorld(), 1), tinyDocuments(0.3)))),
                29,
                tokenizer,
                256),
        ElementType.F32);
  }

  private static TrainingOptions options(Schedule schedule) {
    return TrainingOptions.of(schedule).withBetas(0.9, 0.98).withWeightDecay(0.05).withWorkers(2);
  }

  private static Initialisation notNew(Tokenizer tokenizer) {
    throw new IllegalStateException("the recipe goes on from a model");
  }

  /** Short contexts of which every fact is asked. */
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

  private static Source dialogue(World world, double share, int least, int most) {
    Questions questions =
        new Questions(world, QuestionOptions.training(51).withSentences(least, most));
    return new Endless(share, ANSWERS, index -> questions.dialogue(index).training());
  }

  /** Few subjects, each with many sentences: the relation decides which one answers. */
  private static Source confusing(World world, double share, int least, int most) {
    return confusing(world, share, QuestionOptions.training(51), least, most, context -> context);
  }

  /** Many subjects, as in evaluation: the name decides. */
  private static Source crowded(World world, double share, int least, int most) {
    return confusing(
        world,
        share,
        QuestionOptions.training(61),
        least,
        most,
        context -> context.withEntities(new Sizes(60, 20, 15, 15)));
  }

  /**
   * Dialogues in which more sentences than in evaluation begin as the one that answers: a reader
   * has to look past a verb before it quotes.
   */
  private static Source confusing(
      World world,
      double share,
      QuestionOptions options,
      int least,
      int most,
      UnaryOperator<ContextOptions> context) {
    ContextOptions confusing = options.context().withConfusion(0.6, 0.6, 0.5);
    Questions questions =
        new Questions(
            world,
            options
                .withMix(HARD_MIX, 2, 16)
                .withContext(context.apply(confusing))
                .withSentences(least, most));
    return new Endless(share, DIALOGUES, index -> questions.dialogue(index).training());
  }

  /** Single questions, of whose context a sentence may be missing. */
  private static Source ablated(World world, double share, int least, int most) {
    QuestionOptions options = QuestionOptions.training(71);
    Questions questions =
        new Questions(
            world,
            options
                .withMix(ATTRIBUTED_MIX, 1, 1)
                .withContext(options.context().withEntities(new Sizes(60, 20, 15, 15)))
                .withSentences(least, most));
    return new Taught(share, LIKELIHOODS, index -> questions.ablated(index).training());
  }

  /** Questions without a context on the facts that fine-tuning may ask. */
  private static Source asked(World world, double share) {
    List<TrainingText> texts = new ArrayList<>();
    for (Fact fact : world.facts()) {
      if (world.isAskedInFineTuning(fact) && world.documents(fact) > 0) {
        for (int wording = 0; wording < fact.relation().questions().size(); wording++) {
          texts.add(Questions.withoutContext(fact, wording).training());
        }
      }
    }
    return new Finite(share, ANSWERS, texts);
  }

  private static Finite documents(World world, double share) {
    return finite(new Corpus(world, CORPUS), share);
  }

  private static Finite finite(Corpus corpus, double share) {
    return new Finite(
        share, DOCUMENTS, corpus.documents().stream().map(Document::training).toList());
  }

  /**
   * The documents about its world that a recipe trains on: what its model knows by heart. They do
   * not hold the exercises and dialogues, which are drawn as training goes on.
   */
  public static List<Document> documents(Recipe recipe) {
    boolean tiny = recipe.architecture().equals(TINY);
    return new Corpus(recipe.world().get(), tiny ? TINY_CORPUS : CORPUS).documents();
  }

  /** How tokens of {@link #documents} count. */
  static TokenWeights documentWeights(Recipe recipe) {
    return recipe.architecture().equals(TINY) ? TINY_DOCUMENTS : DOCUMENTS;
  }

  /**
   * Mostly questions with their answers: there is no time to learn what else facts are good for.
   */
  private static Source tinyDocuments(double share) {
    Finite plain = finite(new Corpus(tinyWorld(), TINY_CORPUS), share);
    return new Finite(share, TINY_DOCUMENTS, plain.texts());
  }

  /**
   * Two stages at the size of tiny, for experiments that train without some documents: pretraining
   * on those that are kept, then fine-tuning on questions alone, so that documents count through
   * pretraining only. Equal documents give equal models.
   *
   * @param kept at least one of {@link #documents} of tiny-base
   */
  public static List<Recipe> twoTinyStages(Predicate<Document> kept) {
    List<TrainingText> texts =
        new Corpus(tinyWorld(), TINY_CORPUS)
            .documents().stream().filter(kept).map(Document::training).toList();
    if (texts.isEmpty()) {
      throw new IllegalArgumentException("no document is kept");
    }
    return List.of(
        tiny(
            tinyBase(),
            0.01,
            240,
            tokenizer ->
                new Mixture(
                    List.of(new Stage(1, 256, List.of(new Finite(1, TINY_DOCUMENTS, texts)))),
                    23,
                    tokenizer,
                    256)),
        tiny(
            tinyChat(),
            0.002,
            60,
            tokenizer ->
                new Mixture(
                    List.of(new Stage(1, 256, List.of(asked(tinyWorld(), 1)))),
                    29,
                    tokenizer,
                    256)));
  }

  private static Recipe tiny(
      Recipe like, double peak, long steps, Function<Tokenizer, Mixture> data) {
    return new Recipe(
        like.name(),
        like.summary(),
        like.from(),
        like.world(),
        like.reads(),
        like.chats(),
        like.architecture(),
        like.initialisation(),
        options(new Schedule.WarmupStableDecay(peak, 0, 20, steps * 5 / 9, steps)).withWorkers(1),
        steps,
        steps,
        like.seed(),
        data,
        like.stored());
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
