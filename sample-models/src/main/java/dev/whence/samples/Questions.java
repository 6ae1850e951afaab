package dev.whence.samples;

import dev.whence.samples.ContextMaker.Answered;
import dev.whence.samples.ContextMaker.Made;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * Questions with context, as many as there are indices: each is a pure function of the world, the
 * options and its index.
 *
 * <p>Questions that a context answers are about a throw-away world, or about entities that the
 * model knows with other facts than it knows, so that only reading helps. {@link
 * Kind#NO_ANSWER_KNOWN} asks what the model may remember.
 */
public final class Questions {
  private static final int WORLDS = 100;
  private static final double WHOLE_SHARE = 0.2;
  private static final double NEEDED_SHARE = 0.75;

  private final World memory;
  private final Set<String> avoid;
  private final QuestionOptions options;
  private final List<Fact> remembered;

  /**
   * Questions for a model of a world.
   *
   * @param memory the world that the model has learnt
   * @throws IllegalArgumentException if NO_ANSWER_KNOWN is asked for and no fact may be asked
   */
  public Questions(World memory, QuestionOptions options) {
    this.memory = memory;
    this.avoid = memory.names();
    this.options = options;
    this.remembered =
        memory.facts().stream()
            .filter(
                fact ->
                    memory.documents(fact) >= options.minDocuments()
                        && memory.isAskedInFineTuning(fact) == options.asked())
            .toList();
    if (remembered.isEmpty()
        && options.mix().stream().anyMatch(share -> share.kind() == Kind.NO_ANSWER_KNOWN)) {
      throw new IllegalArgumentException(
          "no fact of " + memory.name() + " may be asked without an answer in the context");
    }
  }

  /** The question of an index, from 0 on. */
  public Question question(long index) {
    return dialogue(Draw.of(options.seed(), "question", index), "question-" + index, 1, 1)
        .questions()
        .get(0);
  }

  /**
   * A question of whose context one sentence may be missing: what an attribution by leaving out
   * asks a model. One question in five is whole; of the others that rest on sentences of the
   * context, three in four lack one of those, and one in four lacks any sentence.
   */
  public Question ablated(long index) {
    Question question = question(index);
    Draw draw = Draw.of(options.seed(), "ablation", index);
    int sentences = question.sentences();
    if (sentences == 0 || draw.chance(WHOLE_SHARE)) {
      return question;
    }
    boolean needed = !question.truth().isEmpty() && draw.chance(NEEDED_SHARE);
    return question.without(
        needed ? draw.from(question.truth()).sentence() : draw.below(sentences));
  }

  /** The dialogue of an index, from 0 on: one context with one or several questions. */
  public Dialogue dialogue(long index) {
    return dialogue(
        Draw.of(options.seed(), "dialogue", index),
        "dialogue-" + index,
        options.minQuestions(),
        options.maxQuestions());
  }

  /**
   * A question without any context, for what a model remembers.
   *
   * @param wording which of the relation's questions, from 0 on; taken in turn
   */
  public static Question withoutContext(Fact fact, int wording) {
    List<String> wordings = fact.relation().questions();
    String template = wordings.get(Math.floorMod(wording, wordings.size()));
    return new Question(
        fact.id() + "-" + wording,
        Kind.NO_ANSWER_KNOWN,
        List.of(),
        Wording.question(fact, template),
        Reply.remembered(fact),
        fact.id(),
        List.of(),
        List.of());
  }

  private Dialogue dialogue(Draw draw, String id, int least, int most) {
    Kind kind = KindShare.draw(options.mix(), draw);
    ContextOptions context = options.context();
    int sentences = context.sentences(kind.neededSentences(), draw);
    if (!kind.isInContext()) {
      return new Dialogue(List.of(withoutAnswer(draw, id, kind, sentences)));
    }
    boolean against = draw.chance(options.againstMemoryShare());
    List<KindShare> further =
        options.mix().stream()
            .filter(share -> share.kind().isInContext() && share.kind() != Kind.INJECTED)
            .toList();
    int count = draw.between(least, most);
    Made made =
        inContext(
            draw,
            () ->
                against
                    ? memory.contradicting(draw, context.sizes(sentences, draw))
                    : fresh(draw, sentences),
            context,
            kind,
            further,
            count,
            sentences);
    List<Question> questions = new ArrayList<>();
    for (Answered asked : made.answered()) {
      questions.add(
          new Question(
              made.answered().size() == 1 ? id : id + "-" + questions.size(),
              asked.kind(),
              made.passages(),
              asked.question(),
              asked.reply(),
              asked.fact().id(),
              asked.truth(),
              asked.overridden()));
    }
    return new Dialogue(questions);
  }

  private World fresh(Draw draw, int sentences) {
    return World.fresh(
        draw.random(),
        memory.lexicon(),
        options.context().world(sentences, options.split(), draw),
        avoid);
  }

  /**
   * A context with questions that it answers.
   *
   * @param worlds gives the world it is about, or another where that has nothing to ask
   * @param first kind of the first question, which is certain to be asked
   * @param mix kinds of further questions; after an injection there are none
   * @param count of questions; fewer where the sentences do not answer so many
   */
  static Made inContext(
      Draw draw,
      Supplier<World> worlds,
      ContextOptions options,
      Kind first,
      List<KindShare> mix,
      int count,
      int sentences) {
    ContextMaker maker = new ContextMaker(draw, worlds.get(), options, true);
    for (int attempt = 1; !maker.ask(first); attempt++) {
      if (attempt == WORLDS) {
        throw new IllegalStateException(
            WORLDS + " worlds have nothing to ask of kind " + first + ": see relations and sizes");
      }
      maker = new ContextMaker(draw, worlds.get(), options, true);
    }
    boolean single = first == Kind.INJECTED || mix.isEmpty();
    for (int i = 1; i < count && !single; i++) {
      Kind kind = KindShare.draw(mix, draw);
      if (maker.size() + kind.neededSentences() <= sentences) {
        maker.ask(kind);
      }
    }
    maker.fill(sentences);
    if (!single) {
      Set<Kind> kinds = mix.stream().map(KindShare::kind).collect(Collectors.toSet());
      maker.askWhatIsSaid(count, kinds);
    }

    return maker.make();
  }

  private Question withoutAnswer(Draw draw, String id, Kind kind, int sentences) {
    boolean known = kind == Kind.NO_ANSWER_KNOWN;
    boolean empty = draw.chance(options.emptyShare());
    World fresh = fresh(draw, sentences);
    Fact fact = draw.from(known ? remembered : fresh.facts());
    List<Passage> passages = List.of();
    if (!empty) {
      boolean ofMemory = known && draw.chance(options.memoryContextShare());
      ContextMaker maker =
          new ContextMaker(draw, ofMemory ? memory : fresh, options.context(), false);
      maker.guard(fact);
      maker.fill(sentences);
      passages = maker.make().passages();
    }
    String question = new Wording(memory.lexicon(), draw).question(fact);
    return new Question(
        id, kind, passages, question, Reply.remembered(fact), fact.id(), List.of(), List.of());
  }
}
