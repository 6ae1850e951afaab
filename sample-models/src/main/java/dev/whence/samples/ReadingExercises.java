package dev.whence.samples;

import dev.whence.samples.ContextMaker.Answered;
import dev.whence.samples.ContextMaker.Made;
import java.util.List;
import java.util.Set;

/**
 * Pretraining documents that teach reading: statements about a throw-away world, then questions
 * with their answers.
 *
 * <pre>
 * {document 1}
 *
 * {document 2}
 *
 * Question: {question}
 * Answer: {value}.
 * Question: {question}
 * Answer: {value}.
 * </pre>
 *
 * <p>There are as many as there are indices: each is a pure function of the options and its index.
 * They state no fact of the world that a model learns, and have none of its names.
 */
public final class ReadingExercises {
  private final Lexicon lexicon;
  private final Set<String> avoid;
  private final Options options;

  /**
   * The numbers of reading exercises.
   *
   * @param seed of everything that is drawn
   * @param minQuestions an exercise has so many questions at least, as far as its sentences go
   * @param maxQuestions and at most
   * @param mix kinds of questions; INJECTED and those without an answer are none of them
   * @param context what else stands in it
   */
  public record Options(
      long seed, int minQuestions, int maxQuestions, List<KindShare> mix, ContextOptions context) {
    public Options {
      mix = List.copyOf(mix);
      QuestionOptions.check(mix, context, minQuestions, maxQuestions);
      for (KindShare share : mix) {
        if (!share.kind().isInContext() || share.kind() == Kind.INJECTED) {
          throw new IllegalArgumentException(share.kind() + " is no kind of reading exercise");
        }
      }
    }

    /** 3 to 40 sentences with up to ten questions. */
    public static Options standard(long seed) {
      return new Options(
          seed,
          2,
          10,
          List.of(
              new KindShare(Kind.DIRECT, 4),
              new KindShare(Kind.ALIAS, 2),
              new KindShare(Kind.TWO_HOP, 2),
              new KindShare(Kind.DUPLICATED, 1),
              new KindShare(Kind.CONTRADICTED, 1)),
          ContextOptions.ofSentences(3, 40));
    }

    /**
     * A first lesson: every fact of a short context is asked, see {@link ContextOptions#recall}.
     */
    public static Options recall(long seed, int least, int most, int relations) {
      return new Options(
          seed,
          most,
          most,
          KindShare.equal(Kind.DIRECT),
          ContextOptions.recall(least, most, relations));
    }

    /** The same with contexts of other lengths, for a curriculum. */
    public Options withSentences(int least, int most) {
      return new Options(seed, minQuestions, maxQuestions, mix, context.withSentences(least, most));
    }
  }

  /**
   * Exercises beside a world.
   *
   * @param world whose names they do not have
   */
  public ReadingExercises(World world, Options options) {
    this.lexicon = world.lexicon();
    this.avoid = world.names();
    this.options = options;
  }

  /** The exercise of an index, from 0 on; its id is {@code exercise-<index>}. */
  public Document document(long index) {
    Draw draw = Draw.of(options.seed(), "exercise", index);
    Kind first = KindShare.draw(options.mix(), draw);
    ContextOptions context = options.context();
    int sentences = context.sentences(first.neededSentences(), draw);
    int questions = draw.between(options.minQuestions(), options.maxQuestions());
    Made made =
        Questions.inContext(
            draw,
            () ->
                World.fresh(
                    draw.random(),
                    lexicon,
                    context.world(sentences, NameSplit.TRAINING, draw),
                    avoid),
            context,
            first,
            options.mix(),
            questions,
            sentences);
    TextBuilder text = new TextBuilder();

    for (Passage passage : made.passages()) {
      text.passage(passage).append(TextBuilder.BETWEEN_DOCUMENTS);
    }
    for (Answered asked : made.answered()) {
      text.questionAndAnswer(asked.question(), asked.reply());
    }
    return new Document("exercise-" + index, text.build(), text.sentences(), List.of());
  }
}
