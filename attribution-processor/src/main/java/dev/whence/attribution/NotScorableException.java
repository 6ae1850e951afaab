package dev.whence.attribution;

/** A conversation that this scorer and these options can not score; becomes UNSUPPORTED. */
final class NotScorableException extends Exception {
  private static final long serialVersionUID = 1L;

  private final String code;
  private final String sentence;

  NotScorableException(String code, String sentence) {
    super(sentence);
    this.code = code;
    this.sentence = sentence;
  }

  String code() {
    return code;
  }

  String sentence() {
    return sentence;
  }
}
