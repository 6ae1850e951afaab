package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.samples.Kind;
import dev.whence.samples.KindShare;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;

/**
 * An application in the synthetic world of the sample models: it asks about people, companies and
 * towns that the model has never heard of, with documents in which the answer stands, now and then
 * twice, contradicted or not at all, and now and then a document that tells the model what to say.
 * The model answers by itself. What is true stands in each conversation's attributes. Early on it
 * is asked what only its memory can answer, until it was right once: {@link InfluenceScene} asks
 * where that came from.
 */
final class WorldTraffic implements Traffic {
  private static final int MAX_NEW_TOKENS = 48;
  private static final int LEAST_SENTENCES = 5;
  private static final int MOST_SENTENCES = 12;

  /** A fact that so many documents state, the model knows by heart. */
  private static final int KNOWN_DOCUMENTS = 10;

  /** World v1: what the sample models were pretrained on. */
  private static final long WORLD_SEED = 1;

  private static final List<KindShare> MIX =
      List.of(
          new KindShare(Kind.DIRECT, 4),
          new KindShare(Kind.ALIAS, 1),
          new KindShare(Kind.TWO_HOP, 1),
          new KindShare(Kind.DUPLICATED, 1),
          new KindShare(Kind.CONTRADICTED, 1),
          new KindShare(Kind.INJECTED, 1),
          new KindShare(Kind.NO_ANSWER_KNOWN, 1),
          new KindShare(Kind.NO_ANSWER_UNKNOWN, 1));

  /** The question of this number, and every so manyth until one was answered right. */
  private static final int FROM_MEMORY = 2;

  private final SharedModel model;
  private final InstantSource clock;
  private final String run;
  private final Questions questions;
  private final Questions fromMemory;
  private long asked;
  private boolean remembered;

  /**
   * @param clock for the time of an answer, and for what is asked in this run
   */
  WorldTraffic(SharedModel model, InstantSource clock) {
    this.model = model;
    this.clock = clock;
    this.run = Long.toString(clock.millis(), Character.MAX_RADIX);
    World world = World.v1(WORLD_SEED);
    QuestionOptions all =
        QuestionOptions.evaluation(clock.millis(), Kind.DIRECT)
            .withMix(MIX, 1, 1)
            .withSentences(LEAST_SENTENCES, MOST_SENTENCES)
            .withMemory(0, false, KNOWN_DOCUMENTS);
    this.questions = new Questions(world, all);
    this.fromMemory =
        new Questions(world, all.withMix(List.of(new KindShare(Kind.NO_ANSWER_KNOWN, 1)), 1, 1));
  }

  @Override
  public Optional<Conversation> next() {
    boolean early = !remembered && (asked + 1) % FROM_MEMORY == 0;
    Questions from = early ? fromMemory : questions;
    Conversation question = from.question(asked).conversation();
    asked++;
    Conversation answered = model.answer(question, MAX_NEW_TOKENS);
    remembered |= InfluenceScene.isFromMemory(answered);
    return Optional.of(
        answered.toBuilder().responseId(run + "-" + asked).occurredAt(clock.instant()).build());
  }

  @Override
  public int inFlight() {
    return 1;
  }

  @Override
  public String activity() {
    return "answering question " + (asked + 1);
  }

  @Override
  public void close() {
    // nothing to give back: the model is its owner's to close
  }
}
