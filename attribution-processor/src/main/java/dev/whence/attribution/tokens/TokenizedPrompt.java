package dev.whence.attribution.tokens;

import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A prompt as tokens, from which spans of characters can be cut.
 *
 * <p>Removal is deletion of characters from the rendered text, tokenised anew; nothing else is the
 * truth. Short prompts are tokenised anew as a whole. In a long one only a window around the cut
 * is, if {@link CutWindow} has found the tokenizer to be local.
 */
public final class TokenizedPrompt {
  private final Tokenizer tokenizer;
  private final String text;
  private final Encoding encoding;
  private final CutWindow window;
  private final Optional<Span> reasoning;
  private final ReasoningTokens reasoningTokens;

  /**
   * A prompt without reasoning.
   *
   * @param window decides about windows for this tokenizer
   */
  public TokenizedPrompt(Tokenizer tokenizer, String text, CutWindow window) {
    this(tokenizer, text, window, Optional.empty());
  }

  /**
   * @param window decides about windows for this tokenizer
   * @param reasoning where the response's reasoning stands in the text; whatever is cut stands
   *     before it
   */
  public TokenizedPrompt(
      Tokenizer tokenizer, String text, CutWindow window, Optional<Span> reasoning) {
    this(tokenizer, text, tokenizer.encode(text), window, reasoning);
  }

  private TokenizedPrompt(
      Tokenizer tokenizer,
      String text,
      Encoding encoding,
      CutWindow window,
      Optional<Span> reasoning) {
    this.tokenizer = tokenizer;
    this.text = text;
    this.encoding = encoding;
    this.window = window;
    this.reasoning = reasoning;
    this.reasoningTokens = reasoningIn(encoding, reasoning);
  }

  public String text() {
    return text;
  }

  /** Tokens of the full prompt. */
  public Encoding encoding() {
    return encoding;
  }

  public int length() {
    return encoding.length();
  }

  /** The tokens of the reasoning; none of them if there is none. */
  public ReasoningTokens reasoning() {
    return reasoningTokens;
  }

  /**
   * The first token whose log-probability is wanted: that of the reasoning, else the first after
   * the prompt.
   */
  public int scoredFrom() {
    return reasoningTokens.from();
  }

  /** The same prompt, of whose reasoning nothing is wanted. */
  public TokenizedPrompt withoutReasoning() {
    return reasoning.isEmpty()
        ? this
        : new TokenizedPrompt(tokenizer, text, encoding, window, Optional.empty());
  }

  private static ReasoningTokens reasoningIn(Encoding encoding, Optional<Span> reasoning) {
    if (reasoning.isEmpty()) {
      return ReasoningTokens.none(encoding.length());
    }
    int from = firstAtOrAfter(encoding.starts(), reasoning.get().start());
    while (from > 0 && encoding.ends()[from - 1] > reasoning.get().start()) {
      from--;
    }
    // The first token of all follows from nothing, so it has no log-probability.
    from = Math.min(Math.max(1, from), encoding.length());
    return new ReasoningTokens(
        from, Math.max(from, firstAtOrAfter(encoding.starts(), reasoning.get().end())));
  }

  /** The text without some spans. */
  public String textWithout(List<Span> cuts) {
    return CutWindow.without(text, 0, text.length(), cuts);
  }

  /**
   * The prompt without some spans.
   *
   * @param cuts sorted and disjoint ranges of the text
   */
  public AblatedPrompt without(List<Span> cuts) {
    List<Span> joined = joined(cuts);
    requireBeforeReasoning(joined);
    boolean one = joined.size() == 1; // of several a run left out can not be told from changed ones
    if (!joined.isEmpty() && window.nextIsWorthwhile(text.length())) {
      int[] ids = window.cut(tokenizer, text, encoding, joined);
      if (ids != null) {
        AblatedPrompt windowed = AblatedPrompt.of(encoding.ids(), ids);
        if (keepsReasoning(windowed)) {
          AblatedPrompt found = windowed.with(reasoningTokens.shift(ids.length - length()));
          return one ? found : found.notCounted();
        }
      }
    }
    Encoding left = tokenizer.encode(textWithout(joined));
    AblatedPrompt whole =
        AblatedPrompt.of(encoding.ids(), left.ids())
            .with(reasoningIn(left, reasoningWithout(cuts)));
    return one ? whole : whole.notCounted();
  }

  /**
   * Whether the tokens from the reasoning on are shared, and so stand for the same text, and the
   * first of them still follows from something. Where the prompt's first token has a character of
   * the reasoning they say nothing of it: other tokens can stand for that text after the cut.
   */
  private boolean keepsReasoning(AblatedPrompt ablated) {
    boolean firstIsReasoning =
        reasoning.isPresent() && encoding.ends()[0] > reasoning.get().start();
    return !firstIsReasoning
        && ablated.sharedSuffix() >= length() - reasoningTokens.from()
        && ablated.ids().length - length() + reasoningTokens.from() > 0;
  }

  /** Where the reasoning stands in the text without some spans. */
  private Optional<Span> reasoningWithout(List<Span> cuts) {
    int removed = cuts.stream().mapToInt(Span::length).sum();
    return reasoning.map(span -> span.shift(-removed));
  }

  private void requireBeforeReasoning(List<Span> cuts) {
    if (reasoning.isPresent()
        && !cuts.isEmpty()
        && cuts.get(cuts.size() - 1).end() > reasoning.get().start()) {
      throw new IllegalArgumentException(
          "a cut at "
              + cuts.get(cuts.size() - 1)
              + " is not before the reasoning at "
              + reasoning.get());
    }
  }

  /** The prompt that is left without some spans, to cut further. */
  public TokenizedPrompt pruned(List<Span> cuts) {
    requireBeforeReasoning(cuts);
    return new TokenizedPrompt(tokenizer, textWithout(cuts), window, reasoningWithout(cuts));
  }

  /** Number of tokens that start in a span: an estimate of what a cut removes. */
  public int tokensIn(Span span) {
    return firstAtOrAfter(encoding.starts(), span.end())
        - firstAtOrAfter(encoding.starts(), span.start());
  }

  /** Index of the first token that starts at or after a position. */
  public int tokenAt(int position) {
    return firstAtOrAfter(encoding.starts(), position);
  }

  private static List<Span> joined(List<Span> cuts) {
    List<Span> joined = new ArrayList<>();
    for (Span cut : cuts) {
      if (cut.isEmpty()) {
        continue;
      }
      int last = joined.size() - 1;
      if (last >= 0 && joined.get(last).end() == cut.start()) {
        joined.set(last, new Span(joined.get(last).start(), cut.end()));
      } else {
        joined.add(cut);
      }
    }
    return joined;
  }

  /** First index whose value is at least {@code position}; the values do not decrease. */
  public static int firstAtOrAfter(int[] values, int position) {
    int low = 0;
    int high = values.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (values[middle] < position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
