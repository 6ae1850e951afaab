package dev.whence.engine.text;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.jinja.JinjaException;
import dev.whence.engine.text.jinja.JinjaTemplate;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A model's chat template, rendered as transformers' apply_chat_template renders it, with
 * add_generation_prompt. A raw prompt is taken as it stands (see {@link PlainTemplate}).
 *
 * <p>Where the segments stand is found by rendering the same conversation with a marker in the
 * place of each message's content: what is between the markers is what the template wrote. See
 * {@link SegmentFinder}.
 *
 * <p>The reasoning of a response is put between {@code <think>} and {@code </think>} after the
 * generation prompt, as models of that convention (DeepSeek-R1, QwQ, Qwen3) write it; a template
 * that does not speak of {@code </think>} can not place it, and such a conversation is UNSUPPORTED.
 *
 * <p>A model {@linkplain #reasonsFirst reasons first} if its template has a switch against it:
 * rendered with {@code enable_thinking} false the prompt ends with a closed block of reasoning, and
 * without that it does not (Qwen3). A template that only strips thoughts from earlier turns says
 * nothing of how its model answers, and one whose model is to be asked for reasoning has no such
 * switch, so neither is taken for one.
 */
public final class ChatTemplate implements PromptTemplate {
  /** Variable by which templates of models that reason by default let callers switch that off. */
  private static final String SWITCH = "enable_thinking";

  /** Function by which templates write the date. */
  private static final String NOW = "strftime_now";

  private final Source standard;
  private final Source withTools;
  private final SpecialTokens special;
  private final String model;
  private final PlainTemplate raw;
  private final String endToken;
  private final boolean reasonsByDefault;
  private final boolean reasonsWithTools;

  /**
   * A template as it was parsed.
   *
   * @param thinks whether it says where reasoning stands
   */
  private record Source(@Nullable JinjaTemplate template, String brokenBy, boolean thinks) {
    static Source of(String jinja) {
      boolean thinks = jinja.contains(CLOSES_REASONING);
      try {
        return new Source(JinjaTemplate.parse(jinja), "", thinks);
      } catch (JinjaException e) {
        return new Source(null, String.valueOf(e.getMessage()), thinks);
      }
    }
  }

  private ChatTemplate(
      TemplateSources sources,
      SpecialTokens special,
      Collection<Integer> endTokens,
      Tokenizer tokenizer,
      String model) {
    this.standard = Source.of(sources.standard());
    this.withTools = sources.withTools().map(Source::of).orElse(standard);
    this.special = special;
    this.model = model;
    this.raw = new PlainTemplate(special, tokenizer);
    this.endToken = endToken(tokenizer, endTokens);
    this.reasonsByDefault = reasonsUnlessToldNotTo(standard);
    this.reasonsWithTools =
        sources.withTools().isPresent() ? reasonsUnlessToldNotTo(withTools) : reasonsByDefault;
  }

  /**
   * A template of a model. A source that can not be parsed is not an error here: raw prompts need
   * no template. It is one when a conversation is rendered.
   *
   * @param special what the template may name
   * @param endTokens ids that end an answer, though they need not be special tokens
   * @param tokenizer finds the end token
   * @param model its name, for messages
   */
  public static ChatTemplate of(
      TemplateSources sources,
      SpecialTokens special,
      Collection<Integer> endTokens,
      Tokenizer tokenizer,
      String model) {
    return new ChatTemplate(sources, special, endTokens, tokenizer, model);
  }

  /** One template for all conversations of a model whose answers end with a special token. */
  public static ChatTemplate of(
      String source, SpecialTokens special, Tokenizer tokenizer, String model) {
    return of(new TemplateSources(source), special, List.of(), tokenizer, model);
  }

  @Override
  public RenderedPrompt render(Conversation conversation) {
    Source source = conversation.tools().isEmpty() ? standard : withTools;
    RenderedPrompt prompt =
        conversation.isRaw() ? raw(conversation) : rendered(source, conversation);
    String reasoning = conversation.reasoning();
    if (reasoning.isEmpty()) {
      return prompt;
    }
    if (!source.thinks()) {
      throw unsupported(
          "does not say where reasoning stands (it has no "
              + CLOSES_REASONING
              + "), but the response has some");
    }
    return thought(prompt, reasoning.strip(), conversation.response());
  }

  /** {@inheritDoc} A raw prompt is whatever its caller made of it. */
  @Override
  public boolean reasonsFirst(Conversation conversation) {
    return !conversation.isRaw()
        && (conversation.tools().isEmpty() ? reasonsByDefault : reasonsWithTools);
  }

  private RenderedPrompt raw(Conversation conversation) {
    RenderedPrompt plain = raw.withoutReasoning(conversation);
    return new RenderedPrompt(plain.text(), plain.segments(), endToken);
  }

  private RenderedPrompt rendered(Source source, Conversation conversation) {
    TemplateMessages messages = new TemplateMessages(conversation);
    Instant at = conversation.occurredAt();
    Instant now = at.equals(Instant.EPOCH) ? null : at;
    String text = render(source, messages.values(), messages.tools(), true, Map.of(), now);
    List<String> markers = messages.markers();
    Optional<String> skeleton;
    try {
      skeleton =
          Optional.of(
              render(
                  source, messages.withContents(markers), messages.tools(), true, Map.of(), now));
    } catch (EngineException e) {
      skeleton = Optional.empty(); // the template looks into contents: they are searched instead
    }
    try {
      List<RenderedPrompt.Segment> segments =
          SegmentFinder.find(conversation.messages(), text, skeleton, markers);
      boolean begins = special.beginsChats() && !text.startsWith(special.begin());
      RenderedPrompt prompt = new RenderedPrompt(text, segments, endToken);
      return begins ? prompt.behind(special.begin()) : prompt;
    } catch (SegmentFinder.NotFound e) {
      throw unsupported(String.valueOf(e.getMessage()));
    }
  }

  private String render(
      Source source,
      List<Map<String, @Nullable Object>> messages,
      @Nullable Object tools,
      boolean generationPrompt,
      Map<String, Object> further,
      @Nullable Instant now) {
    JinjaTemplate template = source.template();
    if (template == null) {
      throw unsupported("can not be read: " + source.brokenBy());
    }
    Map<String, @Nullable Object> variables = new LinkedHashMap<>(special.named());
    variables.put("messages", messages);
    variables.put("tools", tools);
    variables.put("documents", null);
    variables.put("add_generation_prompt", generationPrompt);
    variables.putAll(further);
    try {
      return template.render(variables, now);
    } catch (JinjaException e) {
      boolean undated = now == null && String.valueOf(e.getMessage()).contains(NOW);
      throw unsupported(
          "fails: "
              + e.getMessage()
              + (undated ? " without a time: it writes the date, so state occurredAt" : ""));
    }
  }

  /** The prompt with the reasoning between the generation prompt and the answer. */
  private static RenderedPrompt thought(RenderedPrompt prompt, String reasoning, String response) {
    StringBuilder out = new StringBuilder(prompt.text());
    String ending = prompt.text().stripTrailing();
    if (!ending.endsWith(OPENS_REASONING)) {
      out.append(OPENS_REASONING).append('\n');
    } else if (ending.length() == prompt.text().length()) {
      out.append('\n');
    }
    Span where = new Span(out.length(), out.length() + reasoning.length());
    out.append(reasoning).append('\n').append(CLOSES_REASONING);
    if (!response.startsWith("\n")) {
      // Some servers hand the line feeds between thought and answer out with the answer.
      out.append("\n\n");
    }
    return new RenderedPrompt(
        out.toString(),
        prompt.segments(),
        prompt.endToken(),
        where.isEmpty() ? Optional.empty() : Optional.of(where));
  }

  /**
   * Renders a question and an answer, and takes the first special or ending token after the answer:
   * what the template ends an assistant's turn with, with tools or without. Empty if it writes
   * none, can not render that, or writes what can not be read.
   */
  private String endToken(Tokenizer tokenizer, Collection<Integer> endTokens) {
    String answer = "whenceanswer";
    List<Map<String, @Nullable Object>> turns = new ArrayList<>();
    turns.add(turn("user", "whencequestion"));
    turns.add(turn("assistant", answer));
    int[] ids;
    try {
      String text = render(standard, turns, null, false, Map.of(), Instant.EPOCH);
      int at = text.lastIndexOf(answer);
      ids = at < 0 ? new int[0] : tokenizer.encode(text.substring(at + answer.length())).ids();
    } catch (EngineException e) {
      return "";
    }
    for (int id : ids) {
      if (tokenizer.isSpecial(id) || endTokens.contains(id)) {
        return tokenizer.decode(new int[] {id}, false);
      }
    }
    return "";
  }

  /** Renders a question with the switch off and without it. False if it can not render that. */
  private boolean reasonsUnlessToldNotTo(Source source) {
    if (!source.thinks()) {
      return false;
    }
    List<Map<String, @Nullable Object>> turns = List.of(turn("user", "whencequestion"));
    try {
      return closes(render(source, turns, null, true, Map.of(SWITCH, false), Instant.EPOCH))
          && !closes(render(source, turns, null, true, Map.of(), Instant.EPOCH));
    } catch (EngineException e) {
      return false;
    }
  }

  private static boolean closes(String prompt) {
    return prompt.stripTrailing().endsWith(CLOSES_REASONING);
  }

  private static Map<String, @Nullable Object> turn(String role, String content) {
    Map<String, @Nullable Object> turn = new LinkedHashMap<>();
    turn.put("role", role);
    turn.put("content", content);
    return turn;
  }

  private EngineException unsupported(String problem) {
    return new EngineException(
        Kind.UNSUPPORTED, "the chat template of model '" + model + "' " + problem);
  }
}
