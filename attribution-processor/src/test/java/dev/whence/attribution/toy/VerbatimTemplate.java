package dev.whence.attribution.toy;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.RenderedPrompt.Segment;
import java.util.ArrayList;
import java.util.List;

/**
 * As {@link ToyTemplate}, but every message stands as it was written, white space and all.
 *
 * @param lastFirst whether the messages stand in the opposite order
 */
public record VerbatimTemplate(boolean lastFirst) implements PromptTemplate {
  @Override
  public RenderedPrompt render(Conversation conversation) {
    StringBuilder text = new StringBuilder("<s>");
    List<Segment> segments = new ArrayList<>();
    int messages = conversation.messages().size();
    for (int i = 0; i < messages; i++) {
      int m = lastFirst ? messages - 1 - i : i;
      Message message = conversation.messages().get(m);
      text.append("<|user|>");
      for (Part part : message.parts()) {
        if (!part.text().isEmpty()) {
          Span whole = new Span(0, part.text().length());
          segments.add(new Segment(part, m, whole, whole.shift(text.length())));
        }
        text.append(part.text());
      }
      text.append("<|end|>");
    }
    return new RenderedPrompt(text.toString(), segments, "<|end|>");
  }
}
