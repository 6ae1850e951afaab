package dev.whence.samples.recipes;

import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.Teacher;
import dev.whence.engine.training.Teacher.Lesson;
import dev.whence.engine.training.TrainingRun;
import dev.whence.samples.TrainingText;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.BiConsumer;
import java.util.function.LongFunction;
import java.util.function.LongUnaryOperator;

/**
 * Batches of a mixture of texts. A batch is filled up to a number of tokens: for each next text a
 * source is drawn by its share. What is in the batch of a step depends on seed and step only, and
 * on the curriculum's stage at that step.
 */
public final class Mixture implements TrainingRun.Batches {
  /** The most texts that a batch can have. */
  private static final long TEXTS_PER_STEP = 100_000;

  /** Where texts come from. */
  sealed interface Source {
    /** How often it is drawn, in proportion to the others. */
    double share();

    /** How its tokens count. */
    TokenWeights weights();

    /**
     * A text.
     *
     * @param index never the same twice
     * @param random to draw with where there are not so many
     */
    TrainingText text(long index, SplittableRandom random);

    /** Whether the likelihood of its texts is learnt from a teacher. */
    default boolean isTaught() {
      return false;
    }
  }

  /** As many texts as there are indices, none of them twice. */
  record Endless(double share, TokenWeights weights, LongFunction<TrainingText> texts)
      implements Source {
    @Override
    public TrainingText text(long index, SplittableRandom random) {
      return texts.apply(index);
    }
  }

  /** A corpus, drawn with replacement. */
  record Finite(double share, TokenWeights weights, List<TrainingText> texts) implements Source {
    Finite {
      texts = List.copyOf(texts);
    }

    @Override
    public TrainingText text(long index, SplittableRandom random) {
      return texts.get(random.nextInt(texts.size()));
    }
  }

  /**
   * Texts whose likelihood is learnt from a teacher, whatever it is: as many as there are indices.
   */
  record Taught(double share, TokenWeights weights, LongFunction<TrainingText> texts)
      implements Source {
    @Override
    public TrainingText text(long index, SplittableRandom random) {
      return texts.apply(index);
    }

    @Override
    public boolean isTaught() {
      return true;
    }
  }

  /**
   * What is read from some step on.
   *
   * @param fromStep first step, from 1
   * @param batchTokens of a step
   * @param sources by share
   */
  record Stage(long fromStep, int batchTokens, List<Source> sources) {
    Stage {
      sources = List.copyOf(sources);
      if (sources.isEmpty()) {
        throw new IllegalArgumentException("a stage has no source");
      }
    }
  }

  private final List<Stage> stages;
  private final long seed;
  private final Tokenizer tokenizer;
  private final int longest;
  private final LongUnaryOperator original;
  private final Optional<Teacher> teacher;

  /**
   * @param stages by first step, the first one from step 1 on
   * @param longest a text of more tokens is left out
   */
  Mixture(List<Stage> stages, long seed, Tokenizer tokenizer, int longest) {
    this(
        stages,
        seed,
        tokenizer,
        longest,
        LongUnaryOperator.identity(),
        /* teacher= */ Optional.empty());
  }

  private Mixture(
      List<Stage> stages,
      long seed,
      Tokenizer tokenizer,
      int longest,
      LongUnaryOperator original,
      Optional<Teacher> teacher) {
    this.stages = List.copyOf(stages);
    this.seed = seed;
    this.tokenizer = tokenizer;
    this.longest = longest;
    this.original = original;
    this.teacher = teacher;
    if (stages.isEmpty() || stages.get(0).fromStep() != 1) {
      throw new IllegalArgumentException("the first stage must begin at step 1");
    }
  }

  /**
   * The same batches at other steps.
   *
   * @param other which step's batch stands at a step
   */
  Mixture atSteps(LongUnaryOperator other) {
    return new Mixture(
        stages,
        seed,
        tokenizer,
        longest,
        step -> original.applyAsLong(other.applyAsLong(step)),
        teacher);
  }

  /** The same with a teacher for the sources that want one. */
  Mixture taughtBy(Teacher one) {
    return new Mixture(stages, seed, tokenizer, longest, original, Optional.of(one));
  }

  /**
   * A text of a batch.
   *
   * @param text with its questions and answers
   * @param weights how its tokens count
   * @param taught whether its likelihood is learnt from a teacher
   */
  public record Drawn(TrainingText text, TokenWeights weights, boolean taught) {}

  @Override
  public List<Example> batch(long step) {
    List<Example> batch = new ArrayList<>();
    List<Integer> taught = new ArrayList<>();
    List<Lesson> lessons = new ArrayList<>();
    draw(
        step,
        (drawn, lesson) -> {
          if (drawn.taught()) {
            taught.add(batch.size());
            lessons.add(lesson);
          }
          batch.add(new Example(lesson.encoding().ids(), lesson.lossWeights()));
        });
    if (!taught.isEmpty()) {
      Teacher asked =
          teacher.orElseThrow(
              () -> new IllegalStateException("step " + step + " is learnt from a teacher"));
      List<Example> told = asked.teach(lessons);
      for (int i = 0; i < told.size(); i++) {
        batch.set(taught.get(i), told.get(i));
      }
    }
    return batch;
  }

  /** Tokens of a step's batch and how they count, as a text that changes with any of them. */
  String fingerprint(long step) {
    StringBuilder batch = new StringBuilder();
    draw(
        step,
        (drawn, lesson) ->
            batch
                .append(Arrays.hashCode(lesson.encoding().ids()))
                .append(' ')
                .append(Arrays.hashCode(lesson.lossWeights()))
                .append(drawn.taught() ? " taught " : " "));
    return batch.toString();
  }

  /** The texts of a step's batch, in its order. */
  public List<Drawn> texts(long step) {
    List<Drawn> batch = new ArrayList<>();
    draw(step, (drawn, lesson) -> batch.add(drawn));
    return batch;
  }

  private void draw(long at, BiConsumer<Drawn, Lesson> taken) {
    long step = original.applyAsLong(at);
    Stage stage = stages.get(0);
    for (Stage later : stages) {
      if (later.fromStep() <= step) {
        stage = later;
      }
    }
    SplittableRandom random = new SplittableRandom(seed * 0x9e37_79b9_7f4a_7c15L ^ step);
    int tokens = 0;
    for (long drawn = 0; tokens < stage.batchTokens(); drawn++) {
      Source source = draw(stage.sources(), random);
      TrainingText text = source.text(step * TEXTS_PER_STEP + drawn, random);
      Encoding encoding = tokenizer.encode(text.text());
      if (encoding.length() <= longest) {
        TokenWeights weights = source.weights();
        taken.accept(
            new Drawn(text, weights, source.isTaught()),
            new Lesson(text.text(), encoding, weights.of(text).of(encoding)));
        tokens += encoding.length();
      }
    }
  }

  private static Source draw(List<Source> sources, SplittableRandom random) {
    double left = random.nextDouble() * sources.stream().mapToDouble(Source::share).sum();
    for (Source source : sources) {
      left -= source.share();
      if (left < 0) {
        return source;
      }
    }
    return sources.get(sources.size() - 1);
  }
}
