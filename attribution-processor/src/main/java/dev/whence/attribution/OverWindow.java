package dev.whence.attribution;

/** What becomes of a prompt that does not fit into the model's window with its response. */
public enum OverWindow {
  /** It is UNSUPPORTED, with the sizes. */
  REFUSE,

  /**
   * Whole sources are left out until the rest fits, those first that have least in common with
   * question, reasoning and response (BM25), of equal ones the one that stands first in the prompt.
   * Sources cut out of instructions and questions stay, unless the context pattern found them. What
   * is left out has no score, and all numbers are of the shorter prompt.
   */
  DROP_SOURCES
}
