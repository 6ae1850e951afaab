package dev.whence.attribution;

/** A conversation that this scorer and these options can not score; becomes UNSUPPORTED. */
final class NotScorableException extends Exception {
  private static final long serialVersionUID = 1L;

  private final String code;
  private final String sentence;

  NotScorableException(Refusal why, String sentence) {
    this(why.name(), sentence);
  }

  private NotScorableException(String code, String sentence) {
    super(sentence);
    this.code = code;
    this.sentence = sentence;
  }

  /** The same, where it is a proxy that can not score it. */
  NotScorableException ofProxy() {
    return new NotScorableException(
        Refusal.OF_PROXY + code, "The proxy can not score it: " + sentence);
  }

  String code() {
    return code;
  }

  String sentence() {
    return sentence;
  }
}
