package dev.whence.attribution;

import dev.whence.attribution.method.ScoringTask;
import dev.whence.engine.text.Tokenizer;
import java.text.Normalizer;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Whether a model's vocabulary can spell a text: characters that it has no token for, nor their
 * bytes, are read as the unknown token, and do not come back when the tokens are decoded. Looked at
 * are the prompt as a whole, the response, and each source: one that is not read would be lost in
 * the prompt's characters, but has no score that means anything.
 */
final class Legibility {
  /** A text of which a smaller share of the visible characters comes back was not read. */
  private static final double READ = 0.98;

  private final Tokenizer tokenizer;

  Legibility(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** Whether prompt, response and every source were read. */
  boolean isRead(ScoringTask task, String response) {
    String prompt = task.prompt().text();
    String decoded = tokenizer.decode(task.prompt().encoding().ids(), false);
    if (lost(prompt, decoded) > 0
        && (!isSpelt(prompt, decoded)
            || task.sources().stream().anyMatch(source -> !isRead(source.text())))) {
      return false;
    }
    return isSpelt(response);
  }

  /** A source without a letter or digit is a bullet or an emoji: not what an answer rests on. */
  private boolean isRead(String source) {
    return source.codePoints().noneMatch(Character::isLetterOrDigit) || isSpelt(source);
  }

  private boolean isSpelt(String text) {
    return isSpelt(text, tokenizer.decode(tokenizer.encode(text).ids(), false));
  }

  /** One character may be lost of any text that has more: a dash, an emoji. */
  private static boolean isSpelt(String text, String decoded) {
    long lost = lost(text, decoded);
    if (lost == 0) {
      return true;
    }
    // A tokenizer may bring letters into another form, and the model has read them all the same.
    String normal = normal(text);
    lost = lost(normal, normal(decoded));
    long visible = visible(normal);
    return lost <= (1 - READ) * visible || (lost == 1 && visible > 1);
  }

  private static String normal(String text) {
    return Normalizer.normalize(text, Normalizer.Form.NFKC).toLowerCase(Locale.ROOT);
  }

  private static long visible(String text) {
    return text.codePoints().filter(Legibility::isVisible).count();
  }

  /** Neither white space, nor what only joins or styles its neighbours: emoji are made of it. */
  private static boolean isVisible(int c) {
    return !Character.isWhitespace(c)
        && Character.getType(c) != Character.FORMAT
        && (c < 0xfe00 || c > 0xfe0f);
  }

  /** Visible characters of a text that another does not have, or not as often. */
  private static long lost(String text, String other) {
    Map<Integer, Integer> counts = new HashMap<>();
    other.codePoints().forEach(c -> counts.merge(c, 1, Integer::sum));
    return text.codePoints()
        .filter(Legibility::isVisible)
        .filter(c -> counts.merge(c, -1, Integer::sum) < 0)
        .count();
  }
}
