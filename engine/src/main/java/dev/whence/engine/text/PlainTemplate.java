package dev.whence.engine.text;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * No template: for base models and for raw prompts.
 *
 * <p>The text is the contents of all messages in order, nothing between them; roles, names, tools
 * and tool calls leave no trace in it. If the model's own tokenizer begins every text with a
 * beginning-of-sequence token, that token is put in front unless the text begins with it already.
 * Where the tokenizer puts a space before the first word of a text, but not behind that token
 * ({@code Metaspace} with the scheme {@code first}), the space is written out: such a tokenizer
 * reads the text before it puts the token in front. The end token is eos_token. A response with
 * reasoning is UNSUPPORTED: nothing says how the model would have set its reasoning apart.
 */
public final class PlainTemplate implements PromptTemplate {
  private final SpecialTokens special;
  private final boolean losesSpace;

  /**
   * @param tokenizer says what it makes of a text behind the begin token
   */
  public PlainTemplate(SpecialTokens special, Tokenizer tokenizer) {
    this.special = special;
    this.losesSpace =
        special.addsBegin()
            && !Arrays.equals(
                tokenizer.encode("a").ids(),
                tokenizer.encodeContinuation(special.begin(), "a").ids());
  }

  @Override
  public RenderedPrompt render(Conversation conversation) {
    if (!conversation.reasoning().isEmpty()) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "the response has reasoning, but the model has no chat template that says where reasoning"
              + " stands");
    }
    return withoutReasoning(conversation);
  }

  RenderedPrompt withoutReasoning(Conversation conversation) {
    String content =
        conversation.messages().stream().map(Message::content).collect(Collectors.joining());
    boolean begins = special.addsBegin() && !content.startsWith(special.begin());
    StringBuilder text = new StringBuilder(begins ? special.begin() : "");
    if (begins && losesSpace && !content.startsWith(" ") && !content.isEmpty()) {
      text.append(' ');
    }
    List<RenderedPrompt.Segment> segments = new ArrayList<>();
    List<Message> messages = conversation.messages();
    for (int i = 0; i < messages.size(); i++) {
      for (Part part : messages.get(i).parts()) {
        if (!part.text().isEmpty()) {
          Span whole = new Span(0, part.text().length());
          segments.add(new RenderedPrompt.Segment(part, i, whole, whole.shift(text.length())));
          text.append(part.text());
        }
      }
    }
    return new RenderedPrompt(text.toString(), segments, special.end());
  }
}
