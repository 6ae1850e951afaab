package dev.whence.influence.lexical;

import dev.whence.influence.InfluenceException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Candidates that are ranked again beside those of the scan.
 *
 * @param documents so many of the whole index, by BM25; 0: none
 */
public record Preselection(int documents) {
  public static final Preselection NONE = new Preselection(0);

  private static final Pattern FORM = Pattern.compile("bm25:([0-9]{1,5})");
  private static final int MOST = 10_000;

  /**
   * Reads {@code bm25:N}, or {@code none}.
   *
   * @throws InfluenceException if it is neither
   */
  public static Preselection parse(String text) {
    if (text.equals("none")) {
      return NONE;
    }
    Matcher matcher = FORM.matcher(text);
    int documents = matcher.matches() ? Integer.parseInt(matcher.group(1)) : 0;
    if (documents < 1 || documents > MOST) {
      throw new InfluenceException(
          "\""
              + text
              + "\" is no preselection: write bm25:N with N from 1 to "
              + MOST
              + ", or none.");
    }
    return new Preselection(documents);
  }

  public boolean isNone() {
    return documents == 0;
  }

  /** As {@link #parse} reads it. */
  public String text() {
    return isNone() ? "none" : "bm25:" + documents;
  }

  /** Added to a method's name: empty, or {@code ", bm25:50"}. */
  public String suffix() {
    return isNone() ? "" : ", " + text();
  }
}
