package dev.whence.attribution.tokens;

import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;

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

  /**
   * @param window decides about windows for this tokenizer
   */
  public TokenizedPrompt(Tokenizer tokenizer, String text, CutWindow window) {
    this.tokenizer = tokenizer;
    this.text = text;
    this.encoding = tokenizer.encode(text);
    this.window = window;
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

  /** The text without some spans. */
  public String textWithout(List<Span> cuts) {
    StringBuilder kept = new StringBuilder(text.length());
    int at = 0;
    for (Span cut : cuts) {
      kept.append(text, at, cut.start());
      at = cut.end();
    }
    return kept.append(text, at, text.length()).toString();
  }

  /**
   * The prompt without some spans.
   *
   * @param cuts sorted and disjoint ranges of the text
   */
  public AblatedPrompt without(List<Span> cuts) {
    List<Span> joined = joined(cuts);
    if (joined.size() == 1 && window.worthwhile(text.length())) {
      int[] ids = window.cut(tokenizer, text, encoding, joined.get(0));
      if (ids != null) {
        return AblatedPrompt.of(encoding.ids(), ids);
      }
    }
    AblatedPrompt whole =
        AblatedPrompt.of(encoding.ids(), tokenizer.encode(textWithout(joined)).ids());
    // With several cuts a run of tokens left out can not be told from changed ones.
    return joined.size() == 1
        ? whole
        : new AblatedPrompt(whole.ids(), whole.sharedPrefix(), whole.sharedSuffix(), false);
  }

  /** The prompt that is left without some spans, to cut further. */
  public TokenizedPrompt pruned(List<Span> cuts) {
    return new TokenizedPrompt(tokenizer, textWithout(cuts), window);
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
  static int firstAtOrAfter(int[] values, int position) {
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
