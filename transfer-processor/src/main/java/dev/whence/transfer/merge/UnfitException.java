package dev.whence.transfer.merge;

/** An element of a tensor that the policies refuse: noted, while other tensors are looked at. */
final class UnfitException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  UnfitException(String sentence) {
    super(sentence);
  }

  String sentence() {
    return String.valueOf(getMessage());
  }
}
