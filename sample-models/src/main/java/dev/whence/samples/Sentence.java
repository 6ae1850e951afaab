package dev.whence.samples;

/** One sentence, with what it says. */
sealed interface Sentence {
  String text();

  /** Says a fact outright, of the subject's name or of its alias. */
  record Statement(String text, Fact fact, boolean byAlias) implements Sentence {}

  /** Says a fact by way of another subject that has the same object. */
  record Hop(String text, Fact fact, Entity via) implements Sentence {}

  /** Says that a name and an alias are of one person. */
  record Link(String text, Entity person) implements Sentence {}

  /** Tells the reader to believe a statement and nothing else. */
  record Injection(String text, Statement statement) implements Sentence {}

  /** Says nothing about anybody. */
  record Filler(String text) implements Sentence {}
}
