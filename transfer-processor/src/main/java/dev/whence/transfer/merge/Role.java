package dev.whence.transfer.merge;

/** The part that a model has in a transfer. */
public enum Role {
  BASE("base"),
  FINE_TUNED("fine-tuned"),
  TARGET("target");

  private final String word;

  Role(String word) {
    this.word = word;
  }

  /** As in options, events and messages. */
  public String word() {
    return word;
  }
}
