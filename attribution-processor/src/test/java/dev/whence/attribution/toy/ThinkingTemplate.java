package dev.whence.attribution.toy;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.RenderedPrompt;
import java.time.Instant;
import java.util.Optional;

/**
 * The template of a reasoning model around another one: the prompt opens the reasoning, as
 * DeepSeek-R1's does, and holds it with what closes it where the record has some.
 */
public record ThinkingTemplate(PromptTemplate plain, String open, String close)
    implements PromptTemplate {
  /** Tags around {@link ToyTemplate}. */
  public ThinkingTemplate() {
    this(new ToyTemplate(), "<think>\n", "\n</think>\n\n");
  }

  @Override
  public RenderedPrompt render(Conversation conversation) {
    RenderedPrompt prompt = plain.render(withoutReasoning(conversation));
    String opened = prompt.text() + open;
    String reasoning = conversation.reasoning();
    if (reasoning.isEmpty()) {
      return new RenderedPrompt(opened, prompt.segments(), prompt.endToken());
    }
    return new RenderedPrompt(
        opened + reasoning + close,
        prompt.segments(),
        prompt.endToken(),
        Optional.of(new Span(opened.length(), opened.length() + reasoning.length())));
  }

  private static Conversation withoutReasoning(Conversation of) {
    return of.toBuilder().occurredAt(Instant.EPOCH).reasoning("").build();
  }
}
