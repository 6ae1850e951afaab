package dev.whence.attribution.tokens;

import dev.whence.attribution.source.WhiteSpace;
import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A response as tokens, each of which belongs to one statement.
 *
 * <p>A token belongs to the statement of its first character that is not white space; one that is
 * all white space belongs with the character that follows it, at the end of the response to the
 * last statement. The end token belongs to the last statement. So every token is counted exactly
 * once and sums over statements are sums over the response.
 */
public final class TokenizedResponse {
  private final String text;
  private final int[] ids;
  private final int[] statementOf;
  private final List<Span> statements;
  private final List<Span> spans;
  private final boolean endToken;

  private TokenizedResponse(
      String text, int[] ids, List<Span> spans, boolean endToken, List<Span> statements) {
    this.text = text;
    this.ids = ids;
    this.spans = spans;
    this.endToken = endToken;
    this.statements =
        statements.isEmpty() ? List.of(new Span(0, text.length())) : List.copyOf(statements);
    this.statementOf = new int[ids.length];
    int visible = 0;
    for (int i = 0; i < ids.length; i++) {
      // Starts do not decrease, so white space is walked over once, however many tokens it has.
      visible =
          WhiteSpace.firstVisible(text, Math.max(visible, spans.get(i).start()), text.length());
      statementOf[i] = statementAt(this.statements, visible);
    }
    if (endToken) {
      statementOf[ids.length - 1] = this.statements.size() - 1;
    }
  }

  /**
   * Encodes a response apart from its prompt, as generation did.
   *
   * @param prompt the text before it
   * @param response the answer's text
   * @param endToken id of the token that ended the turn, or -1 if none is scored
   * @param statements sorted, disjoint ranges of the response; an empty list stands for one
   *     statement that is the whole response
   */
  public static TokenizedResponse of(
      Tokenizer tokenizer, String prompt, String response, int endToken, List<Span> statements) {
    Encoding encoding = tokenizer.encodeContinuation(prompt, response);
    int length = encoding.length() + (endToken >= 0 ? 1 : 0);
    int[] ids = Arrays.copyOf(encoding.ids(), length);
    List<Span> spans = new ArrayList<>(length);
    for (int i = 0; i < encoding.length(); i++) {
      spans.add(new Span(encoding.starts()[i], encoding.ends()[i]));
    }
    if (endToken >= 0) {
      ids[length - 1] = endToken;
      spans.add(new Span(response.length(), response.length()));
    }
    return new TokenizedResponse(response, ids, List.copyOf(spans), endToken >= 0, statements);
  }

  /**
   * The same tokens in other statements.
   *
   * @param other as in {@link #of}
   */
  public TokenizedResponse in(List<Span> other) {
    return new TokenizedResponse(text, ids, spans, endToken, other);
  }

  /** The last statement that starts at or before a position; the first if all start later. */
  private static int statementAt(List<Span> statements, int position) {
    int low = 0;
    int high = statements.size() - 1;
    while (low < high) {
      int middle = (low + high + 1) >>> 1;
      if (statements.get(middle).start() <= position) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  public String text() {
    return text;
  }

  /** Number of scored tokens, the end token included. */
  public int length() {
    return ids.length;
  }

  /** Token ids; not to be written to. */
  public int[] ids() {
    return ids;
  }

  public boolean hasEndToken() {
    return endToken;
  }

  public List<Span> statements() {
    return statements;
  }

  /** The statement that each token belongs to; not to be written to. */
  public int[] statementOf() {
    return statementOf;
  }

  /** How many tokens belong to each statement. */
  public int[] tokensByStatement() {
    int[] counts = new int[statements.size()];
    for (int statement : statementOf) {
      counts[statement]++;
    }
    return counts;
  }

  /** Where each token stands in the response; the end token is an empty span at its end. */
  public List<Span> spans() {
    return spans;
  }

  /**
   * Sums log-probabilities of the response's tokens by statement.
   *
   * @param logProbs one per token, nats
   * @return one per statement, nats
   */
  public double[] byStatement(double[] logProbs) {
    if (logProbs.length != ids.length) {
      throw new IllegalArgumentException(
          logProbs.length + " log-probabilities for " + ids.length + " response tokens");
    }
    double[] sums = new double[statements.size()];
    for (int i = 0; i < ids.length; i++) {
      sums[statementOf[i]] += logProbs[i];
    }
    return sums;
  }
}
