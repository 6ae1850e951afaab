package dev.whence.samples;

import java.util.List;

/**
 * The numbers of questions with context.
 *
 * @param seed of everything that is drawn
 * @param split which names throw-away worlds have: RESERVED in evaluation
 * @param mix kinds of questions
 * @param minQuestions a dialogue asks so many questions at least about one context, as far as its
 *     sentences go
 * @param maxQuestions and at most
 * @param againstMemoryShare share of the contexts about entities that the model knows, with other
 *     facts than those that it knows
 * @param emptyShare share of the questions without an answer that have no context at all
 * @param memoryContextShare share of the contexts of NO_ANSWER_KNOWN that state other facts of the
 *     world that the model knows; the others are about a throw-away world
 * @param asked whether NO_ANSWER_KNOWN asks the facts that fine-tuning may ask, or else the others
 * @param minDocuments NO_ANSWER_KNOWN asks facts that at least so many documents state
 * @param context what else stands in a context
 */
public record QuestionOptions(
    long seed,
    NameSplit split,
    List<KindShare> mix,
    int minQuestions,
    int maxQuestions,
    double againstMemoryShare,
    double emptyShare,
    double memoryContextShare,
    boolean asked,
    int minDocuments,
    ContextOptions context) {
  public QuestionOptions {
    mix = List.copyOf(mix);
    check(mix, context, minQuestions, maxQuestions);
    for (double share : List.of(againstMemoryShare, emptyShare, memoryContextShare)) {
      if (!(share >= 0 && share <= 1)) {
        throw new IllegalArgumentException("a share is from 0 to 1, not " + share);
      }
    }
    if (minDocuments < 1) {
      throw new IllegalArgumentException(
          "minDocuments must be at least 1: nobody knows facts that no document states");
    }
  }

  static void check(List<KindShare> mix, ContextOptions context, int least, int most) {
    if (mix.isEmpty() || least < 1 || most < least) {
      throw new IllegalArgumentException(
          "there must be a kind of question, and 1 <= min <= max questions, not "
              + least
              + " to "
              + most
              + " of "
              + mix);
    }
    for (KindShare share : mix) {
      int needed = share.kind().neededSentences();
      if (needed > context.maxSentences()) {
        throw new IllegalArgumentException(
            share.kind()
                + " needs "
                + needed
                + " sentences, a context has at most "
                + context.maxSentences());
      }
    }
  }

  /** For fine-tuning: names that may be seen, all kinds but that which nobody can answer. */
  public static QuestionOptions training(long seed) {
    return new QuestionOptions(
        seed,
        NameSplit.TRAINING,
        List.of(
            new KindShare(Kind.DIRECT, 4),
            new KindShare(Kind.ALIAS, 2),
            new KindShare(Kind.TWO_HOP, 2),
            new KindShare(Kind.DUPLICATED, 1),
            new KindShare(Kind.CONTRADICTED, 2),
            new KindShare(Kind.INJECTED, 2),
            new KindShare(Kind.NO_ANSWER_KNOWN, 4)),
        1,
        8,
        0.1,
        0.3,
        0.5,
        true,
        1,
        ContextOptions.ofSentences(3, 40));
  }

  /**
   * For evaluation: 5 to 40 sentences about unseen worlds with reserved names, half as large as the
   * world that models learn; all kinds as often.
   */
  public static QuestionOptions evaluation(long seed, Kind... kinds) {
    return new QuestionOptions(
        seed,
        NameSplit.RESERVED,
        KindShare.equal(kinds),
        1,
        1,
        0,
        0.5,
        0.5,
        false,
        1,
        ContextOptions.ofSentences(5, 40).withEntities(new Sizes(60, 20, 15, 15)));
  }

  /** The same with contexts of other lengths. */
  public QuestionOptions withSentences(int least, int most) {
    return withContext(context.withSentences(least, most));
  }

  public QuestionOptions withContext(ContextOptions other) {
    return new QuestionOptions(
        seed,
        split,
        mix,
        minQuestions,
        maxQuestions,
        againstMemoryShare,
        emptyShare,
        memoryContextShare,
        asked,
        minDocuments,
        other);
  }

  public QuestionOptions withMix(List<KindShare> other, int least, int most) {
    return new QuestionOptions(
        seed,
        split,
        other,
        least,
        most,
        againstMemoryShare,
        emptyShare,
        memoryContextShare,
        asked,
        minDocuments,
        context);
  }

  /**
   * The same with other questions about the world that the model knows.
   *
   * @param against {@link #againstMemoryShare}
   */
  public QuestionOptions withMemory(double against, boolean otherAsked, int documents) {
    return new QuestionOptions(
        seed,
        split,
        mix,
        minQuestions,
        maxQuestions,
        against,
        emptyShare,
        memoryContextShare,
        otherAsked,
        documents,
        context);
  }
}
