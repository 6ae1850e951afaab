package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.MultiStageQuery;

/**
 * How long a response's gradient takes, by its tokens, and both inverses upon it, which take as
 * long for each: reckoned with care until they were measured. Of one model with its factors;
 * several threads may use it.
 */
final class ResponseSeconds {
  /** Multiply-adds in a second that any machine manages. */
  private static final double LEAST_RATE = 1e10;

  private static final double CHARACTERS_PER_TOKEN = 4;

  /** What is left of what was measured after a response was not begun for it. */
  private static final double FADED = 0.98;

  private final LearntRate ofToken;
  private final LearntRate ofInverses;
  private boolean measured;

  /** What is left of what was measured where it is asked whether to begin. */
  private double faded = 1;

  /**
   * Not measured yet.
   *
   * @param parameters of the model: a forward and backward takes three multiply-adds of each
   * @param ofInverses multiply-adds of the inverses
   */
  ResponseSeconds(double parameters, double ofInverses) {
    this.ofToken = new LearntRate(3 * parameters / LEAST_RATE);
    this.ofInverses = new LearntRate(ofInverses / LEAST_RATE);
  }

  static ResponseSeconds of(TappedModel model, MultiStageQuery query) {
    return new ResponseSeconds(model.parameters(), query.multiplyAdds());
  }

  /** About as many tokens as a response has with its prompt, which nobody has counted yet. */
  static double tokens(Conversation conversation) {
    long characters =
        conversation.response().length()
            + conversation.messages().stream()
                .flatMap(message -> message.parts().stream())
                .mapToLong(part -> part.text().length())
                .sum();
    return 1 + characters / CHARACTERS_PER_TOKEN;
  }

  /** What a response of so many tokens, prompt and all, is expected to take. */
  synchronized double of(double tokens) {
    return tokens * ofToken.value() + ofInverses.value();
  }

  /** Whether it has been measured that a response takes longer, and not too often been believed. */
  synchronized boolean isLonger(double tokens, double seconds) {
    return measured && of(tokens) * faded > seconds;
  }

  /** What one took, of so many tokens. */
  synchronized void add(int tokens, double gradient, double inverses) {
    ofToken.add(gradient / Math.max(1, tokens));
    ofInverses.add(inverses);
    measured = true;
    faded = 1;
  }

  /**
   * A response was not begun because it would have taken too long. Once in a while one is to be
   * tried all the same: what was measured may have been the machine's bad hour.
   */
  synchronized void fade() {
    faded *= FADED;
  }
}
