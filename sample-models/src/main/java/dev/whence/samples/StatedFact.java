package dev.whence.samples;

/**
 * That a document states a fact.
 *
 * @param fact its id, see {@link Fact#id}
 * @param sentence index into {@link Document#sentences}
 * @param form how
 */
public record StatedFact(String fact, int sentence, Form form) {
  /** How a document states a fact. */
  public enum Form {
    /** Of the subject by its name. */
    DIRECT,
    /** Of the subject by its alias. */
    ALIAS,
    /** By way of another subject that has the same object. */
    TWO_HOP,
    /** As a question with its answer. */
    QUESTION
  }
}
