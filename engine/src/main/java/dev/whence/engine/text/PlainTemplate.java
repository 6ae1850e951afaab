package dev.whence.engine.text;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;

/**
 * No template: for base models and for raw prompts.
 *
 * <p>The text is the contents of all messages in order, nothing between them; roles, names, tools
 * and tool calls have no trace in it. If the model's own tokenizer begins every text with a
 * beginning-of-sequence token, that token is put in front unless the text has it already. The
 * reasoning, if any, follows as it stands, as a base model would have gone on. The end token is
 * eos_token.
 */
public final class PlainTemplate implements PromptTemplate {
  private final SpecialTokens special;

  public PlainTemplate(SpecialTokens special) {
    this.special = special;
  }

  @Override
  public RenderedPrompt render(Conversation conversation) {
    StringBuilder text = new StringBuilder();
    List<RenderedPrompt.Segment> segments = new ArrayList<>();
    String content = conversation.parts().findFirst().map(Part::text).orElse("");
    if (special.addsBegin() && !startsWithBegin(conversation, content)) {
      text.append(special.begin());
    }
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
    text.append(conversation.reasoning());
    return new RenderedPrompt(text.toString(), segments, special.end());
  }

  private boolean startsWithBegin(Conversation conversation, String first) {
    return first.startsWith(special.begin())
        || (first.length() < special.begin().length()
            && conversation.messages().get(0).content().startsWith(special.begin()));
  }
}
