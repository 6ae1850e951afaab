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

/** {@code <s><|user|>...<|end|>} for every message; trims each message as most templates do. */
public final class ToyTemplate implements PromptTemplate {
  @Override
  public RenderedPrompt render(Conversation conversation) {
    StringBuilder text = new StringBuilder(conversation.isRaw() ? "" : "<s>");
    List<Segment> segments = new ArrayList<>();
    for (int m = 0; m < conversation.messages().size(); m++) {
      Message message = conversation.messages().get(m);
      String content = message.content();
      int from = 0;
      int to = content.length();
      if (!conversation.isRaw()) {
        text.append("<|user|>");
        while (from < to && Character.isWhitespace(content.charAt(from))) {
          from++;
        }
        while (to > from && Character.isWhitespace(content.charAt(to - 1))) {
          to--;
        }
      }
      int at = 0;
      for (Part part : message.parts()) {
        int length = part.text().length();
        int start = Math.min(Math.max(from - at, 0), length);
        int end = Math.max(start, Math.min(to - at, length));
        if (length > 0) {
          Span kept = new Span(start, end);
          segments.add(
              new Segment(part, m, kept, kept.shift(Math.max(at - from, -start) + text.length())));
        }
        at += part.text().length();
      }
      text.append(content, from, to);
      if (!conversation.isRaw()) {
        text.append("<|end|>");
      }
    }
    return new RenderedPrompt(text.toString(), segments, conversation.isRaw() ? "" : "<|end|>");
  }
}
