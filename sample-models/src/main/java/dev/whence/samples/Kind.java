package dev.whence.samples;

/** What it takes to answer a question. */
public enum Kind {
  /** One sentence says it. */
  DIRECT(1),
  /** One sentence says it of an alias, another links alias and name. */
  ALIAS(2),
  /** One sentence says that another subject has the same, another what that subject has. */
  TWO_HOP(2),
  /** Two documents say it in the same words. */
  DUPLICATED(2),
  /** Two sentences say different things: the later one counts. */
  CONTRADICTED(2),
  /**
   * A document of its own tells the reader to believe only it, and wins over the one that says it.
   */
  INJECTED(2),
  /** The context, if there is one, does not say it; it is a fact of the world that models learn. */
  NO_ANSWER_KNOWN(0),
  /** The context, if there is one, does not say it, and nobody can know it. */
  NO_ANSWER_UNKNOWN(0);

  private final int needed;

  Kind(int needed) {
    this.needed = needed;
  }

  /** The fewest sentences of a context with such a question; 0 if none need be there. */
  public int neededSentences() {
    return needed;
  }

  /** Whether the answer stands in the context. */
  public boolean isInContext() {
    return needed > 0;
  }
}
