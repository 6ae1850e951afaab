package dev.whence.attribution;

import dev.whence.conversation.Conversation;
import java.util.Optional;

/**
 * Why a scorer did not score a conversation: the reason codes of UNSUPPORTED results. Where it is
 * the proxy of a method that can not, they begin with {@link #OF_PROXY}.
 */
public enum Refusal {
  /** The prompt has a part without text. */
  MEDIA_PART,
  /** The chat template can not render the prompt. */
  TEMPLATE_UNSUPPORTED,
  /** The response has no token, and no end token is scored. */
  EMPTY_RESPONSE,
  /** The prompt has no token. */
  EMPTY_PROMPT,
  /** Prompt and response are past the model's window. */
  PROMPT_TOO_LONG,
  /** The context pattern backtracks too much on the prompt. */
  CONTEXT_PATTERN_TOO_SLOW,
  /** More sources times statements than a result can hold. */
  MATRIX_TOO_LARGE,
  /** More model time than {@code max-cost}, by any method. */
  COST_OVER_BOUND,
  /** The engine or the server can not do what is asked. */
  SCORER_UNSUPPORTED,
  /** The proxy's vocabulary can not spell the text. */
  PROXY_CANNOT_READ,
  /** The proxy's template leaves out a source that the target's has. */
  PROXY_OTHER_SOURCES;

  /** What the code begins with where it is the proxy that can not. */
  static final String OF_PROXY = "PROXY_";

  /** The refusal of that name, if it is one. */
  public static Optional<Refusal> of(String code) {
    for (Refusal refusal : values()) {
      if (refusal.name().equals(code)) {
        return Optional.of(refusal);
      }
    }
    return Optional.empty();
  }

  /**
   * Whether another model may score what this one has refused. Whoever adds a reason decides it
   * here.
   */
  public boolean isOfModel(Conversation conversation) {
    return switch (this) {
      // The window, the template and the begin token are the model's, the bound is the process's.
      case PROMPT_TOO_LONG, TEMPLATE_UNSUPPORTED, EMPTY_PROMPT, COST_OVER_BOUND -> true;
      // Another engine or server may be able to.
      case SCORER_UNSUPPORTED -> true;
      // A vocabulary may drop characters that another one keeps, and another template may write the
      // end token; but without text and where the model did not stop by itself, nobody has a token.
      case EMPTY_RESPONSE ->
          !conversation.response().isEmpty() || TaskReader.stoppedByItself(conversation);
      // There is no text, whoever reads it.
      case MEDIA_PART -> false;
      // All models have as many sources and statements.
      case MATRIX_TOO_LARGE -> false;
      // All models have to cut the same sources, so by the same pattern, which would be as slow.
      case CONTEXT_PATTERN_TOO_SLOW -> false;
      // Another proxy may, and the model behind it is not asked without one.
      case PROXY_CANNOT_READ, PROXY_OTHER_SOURCES -> true;
    };
  }
}
