package dev.whence.engine;

import dev.whence.conversation.Conversation;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.Tokenizer;
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
    RenderedPrompt rendered = scorer.template().render(prompt);
    Tokenizer tokenizer = scorer.tokenizer();
    Set<Integer> endTokens = new HashSet<>(scorer.config().endTokens());
    if (!rendered.endToken().isEmpty() && tokenizer.idOf(rendered.endToken()) >= 0) {
      endTokens.add(tokenizer.idOf(rendered.endToken()));
    }
    int[] ids =
        generator.generate(tokenizer.encode(rendered.text()).ids(), maxNewTokens, endTokens);
    boolean ended = ids.length > 0 && endTokens.contains(ids[ids.length - 1]);
    return prompt.answeredBy(
        scorer.description().model(), tokenizer.decode(ids, true), ended ? "stop" : "length");
  }
}
