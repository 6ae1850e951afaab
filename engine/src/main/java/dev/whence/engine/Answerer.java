package dev.whence.engine;

import dev.whence.conversation.Conversation;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.Tokenizer;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;

/**
 * Answers a conversation's prompt greedily, as an application with this model would: for samples,
 * benchmarks and tests.
 */
public final class Answerer {
  private final LocalScorer scorer;
  private final Generator generator;

  /**
   * @param scorer stays the caller's to close
   */
  public Answerer(LocalScorer scorer) {
    this.scorer = scorer;
    this.generator = new Generator(scorer);
  }

  /**
   * The conversation with the model's answer as its response, the scorer's model as its model, and
   * {@code finishReason} "stop" if the model ended the answer itself, else "length".
   *
   * @param maxNewTokens the answer is cut off there
   * @throws EngineException of kind UNSUPPORTED if the template fails or the prompt and the limit
   *     exceed the model's positions
   */
  public Conversation answer(Conversation prompt, int maxNewTokens) {
    // What was thought for an earlier answer is no part of the prompt.
    RenderedPrompt rendered = scorer.template().render(prompt.answeredBy("", "", ""));
    Tokenizer tokenizer = scorer.tokenizer();
    Set<Integer> endTokens = new HashSet<>(scorer.config().endTokens());
    if (!rendered.endToken().isEmpty() && tokenizer.idOf(rendered.endToken()) >= 0) {
      endTokens.add(tokenizer.idOf(rendered.endToken()));
    }
    int[] before = tokenizer.encode(rendered.text()).ids();
    int[] ids = generator.generate(before, maxNewTokens, endTokens);
    boolean ended = ids.length > 0 && endTokens.contains(ids[ids.length - 1]);
    int[] said = ended ? Arrays.copyOf(ids, ids.length - 1) : ids;
    return prompt.answeredBy(
        scorer.description().model(), text(tokenizer, before, said), ended ? "stop" : "length");
  }

  /**
   * The text of tokens behind a prompt. Decoded apart from it they would lose a leading space where
   * the tokenizer puts one before every text.
   */
  static String text(Tokenizer tokenizer, int[] prompt, int[] ids) {
    int[] whole = Arrays.copyOf(prompt, prompt.length + ids.length);
    System.arraycopy(ids, 0, whole, prompt.length, ids.length);
    String before = tokenizer.decode(prompt, true);
    String text = tokenizer.decode(whole, true);
    return text.startsWith(before)
        ? text.substring(before.length())
        : tokenizer.decode(ids, true); // the decoder wrote the prompt otherwise
  }
}
