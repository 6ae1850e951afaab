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
  private final int[] ids;
  private final int[] statementOf;
  private final List<Span> statements;
  private final List<Span> spans;
  private final boolean endToken;

  private TokenizedResponse(
      int[] ids, int[] statementOf, List<Span> statements, List<Span> spans, boolean endToken) {
    this.ids = ids;
    this.statementOf = statementOf;
    this.statements = List.copyOf(statements);
    this.spans = List.copyOf(spans);
    this.endToken = endToken;
  }

  /**
   * Encodes a response apart from its prompt, as generation did.
   *
   * @param response the answer's text
   * @param endToken id of the token that ended the turn, or -1 if none is scored
   * @param statements sorted, disjoint ranges of the response; an empty list stands for one
   *     statement that is the whole response
   */
  public static TokenizedResponse of(
      Tokenizer tokenizer, String response, int endToken, List<Span> statements) {
    List<Span> all =
        statements.isEmpty() ? List.of(new Span(0, response.length())) : List.copyOf(statements);
    Encoding encoding = tokenizer.encode(response);
    int length = encoding.length() + (endToken >= 0 ? 1 : 0);
    int[] ids = Arrays.copyOf(encoding.ids(), length);
    int[] statementOf = new int[length];
    List<Span> spans = new ArrayList<>(length);
    int visible = 0;
    for (int i = 0; i < encoding.length(); i++) {
      // Starts do not decrease, so white space is walked over once, however many tokens it has.
      visible =
          WhiteSpace.firstVisible(
              response, Math.max(visible, encoding.starts()[i]), response.length());
      statementOf[i] = statementAt(all, visible);
      spans.add(new Span(encoding.starts()[i], encoding.ends()[i]));
    }
    if (endToken >= 0) {
      ids[length - 1] = endToken;
      statementOf[length - 1] = all.size() - 1;
      spans.add(new Span(response.length(), response.length()));
    }
    return new TokenizedResponse(ids, statementOf, all, spans, endToken >= 0);
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
