package dev.whence.engine.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.RenderResult;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A model's chat template, in Jinja, as transformers' apply_chat_template renders it. */
public final class ChatTemplate implements PromptTemplate {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final String source;
  private final SpecialTokens special;
  private final Tokenizer tokenizer;
  private final String model;
  private final PlainTemplate raw;
  private final Jinjava jinjava =
      new Jinjava(
          JinjavaConfig.newBuilder()
              .withTrimBlocks(true)
              .withLstripBlocks(true)
              .withNestedInterpretationEnabled(false)
              .withMaxOutputSize(64L << 20)
              .withLegacyOverrides(
                  LegacyOverrides.newBuilder()
                      .withEvaluateMapKeys(true)
                      .withIterateOverMapKeys(true)
                      .withUsePyishObjectMapper(true)
                      .withUseNaturalOperatorPrecedence(true)
                      .withParseWhitespaceControlStrictly(true)
                      .withAllowAdjacentTextNodes(true)
                      .withUseTrimmingForNotesAndExpressions(true)
                      .withKeepNullableLoopValues(true)
                      .withHandleBackslashInQuotesOnly(true)
                      .build())
              .build());

  private ChatTemplate(String source, SpecialTokens special, Tokenizer tokenizer, String model) {
    this.source = source;
    this.special = special;
    this.tokenizer = tokenizer;
    this.model = model;
    this.raw = new PlainTemplate(special);
  }

  /** A template of a model; the model's name is for messages. */
  public static ChatTemplate of(
      String source, SpecialTokens special, Tokenizer tokenizer, String model) {
    return new ChatTemplate(source, special, tokenizer, model);
  }

  @Override
  public RenderedPrompt render(Conversation conversation) {
    if (conversation.isRaw()) {
      return raw.render(conversation);
    }
    if (!conversation.reasoning().isEmpty()) {
      throw unsupported("can not place the reasoning of a response yet");
    }
    List<Map<String, Object>> messages = new ArrayList<>();
    for (Message message : conversation.messages()) {
      Map<String, Object> map = new LinkedHashMap<>();
      map.put("role", message.role());
      map.put("content", message.content());
      messages.add(map);
    }
    String text = render(messages, true);
    return new RenderedPrompt(text, segments(conversation, text), endToken(messages));
  }

  private String render(List<Map<String, Object>> messages, boolean prompt) {
    Map<String, Object> context = new LinkedHashMap<>(special.named());
    context.put("messages", messages);
    context.put("add_generation_prompt", prompt);
    RenderResult result = jinjava.renderForResult(source, context);
    if (!result.getErrors().isEmpty()) {
      throw unsupported("fails: " + result.getErrors().get(0).getMessage());
    }
    return result.getOutput();
  }

  private List<RenderedPrompt.Segment> segments(Conversation conversation, String text) {
    List<RenderedPrompt.Segment> segments = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < conversation.messages().size(); i++) {
      for (Part part : conversation.messages().get(i).parts()) {
        if (part.text().isEmpty()) {
          continue;
        }
        String kept = part.text().strip();
        int start = part.text().indexOf(kept);
        int at = text.indexOf(part.text(), from);
        Span whole = new Span(0, part.text().length());
        if (at < 0) {
          at = text.indexOf(kept, from);
          whole = new Span(start, start + kept.length());
        }
        if (at < 0) {
          throw unsupported("does not keep segment '" + part.id() + "' as it stands");
        }
        segments.add(new RenderedPrompt.Segment(part, i, whole, new Span(at, at + whole.length())));
        from = at + whole.length();
      }
    }
    return segments;
  }

  private String endToken(List<Map<String, Object>> messages) {
    List<Map<String, Object>> more = new ArrayList<>(messages);
    String marker = "0123456789";
    more.add(Map.of("role", "assistant", "content", marker));
    String text = render(more, false);
    int after = text.lastIndexOf(marker);
    if (after < 0) {
      return "";
    }
    Encoding encoding = tokenizer.encode(text.substring(after + marker.length()));
    for (int id : encoding.ids()) {
      if (tokenizer.isSpecial(id)) {
        return tokenizer.decode(new int[] {id}, false);
      }
    }
    return "";
  }

  private EngineException unsupported(String problem) {
    return new EngineException(
        Kind.UNSUPPORTED, "the chat template of model '" + model + "' " + problem);
  }

  static String json(Object value) {
    try {
      return JSON.writeValueAsString(value);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("not JSON", e);
    }
  }
}
