package dev.whence.engine.text;

import static dev.whence.engine.text.Chats.SPECIAL;
import static dev.whence.engine.text.Chats.conversation;
import static dev.whence.engine.text.Chats.message;
import static dev.whence.engine.text.Chats.question;
import static dev.whence.engine.text.Chats.rendered;
import static dev.whence.engine.text.Chats.resource;
import static dev.whence.engine.text.Chats.source;
import static dev.whence.engine.text.Chats.template;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.jinja.JinjaTemplate;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Prompts, where segments stand in them and what ends an answer; whole texts against those that
 * transformers' apply_chat_template rendered (chat_templates.py).
 */
class ChatTemplateTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  static Stream<Arguments> cases() throws IOException {
    JsonNode fixture = JSON.readTree(resource("templates.json"));
    Instant now = Instant.parse(fixture.path("now").asText());
    List<Arguments> cases = new ArrayList<>();
    for (JsonNode node : fixture.path("cases")) {
      String name = node.path("template").asText() + ", " + node.path("name").asText();
      String tools = node.path("tools").isNull() ? "" : node.path("tools").toString();
      cases.add(
          Arguments.of(
              name + (tools.isEmpty() ? "" : ", tools"),
              node.path("template").asText(),
              parsed(node.path("messages"), tools, now),
              node.path("text").asText(null)));
    }
    return cases.stream();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void rendersWhatTransformersRenders(
      String name, String template, Conversation conversation, String expected) throws IOException {
    ChatTemplate subject = template(template);
    if (expected == null) {
      assertThatThrownBy(() -> subject.render(conversation))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("chat template of model 'test'");
      return;
    }
    assertThat(jinja(template, conversation)).isEqualTo(expected);
    RenderedPrompt prompt = subject.render(conversation);
    assertThat(prompt.text()).isEqualTo(expected);
    assertThat(prompt.segments()).hasSize((int) conversation.parts().count());
    for (RenderedPrompt.Segment segment : prompt.segments()) {
      String text = segment.part().text().strip();
      String kept = segment.kept().in(segment.part().text());
      assertThat(segment.rendered().in(prompt.text())).isIn(kept, inJson(kept));
      // All of it, what stands behind a thought, or nothing; constructs.jinja writes no content.
      assertThat(kept.strip())
          .isEqualTo(
              Stream.of(text, text.substring(text.lastIndexOf('>') + 1).strip())
                  .filter(whole -> expected.contains(whole) || expected.contains(inJson(whole)))
                  .filter(whole -> !template.equals("constructs"))
                  .findFirst()
                  .orElse(""));
    }
  }

  private static String inJson(String text) {
    String json = JSON.valueToTree(text).toString();
    return json.substring(1, json.length() - 1);
  }

  /** The text alone, without looking for segments in it. */
  private static String jinja(String template, Conversation conversation) throws IOException {
    TemplateMessages messages = new TemplateMessages(conversation);
    Map<String, Object> variables = new LinkedHashMap<>(SPECIAL.named());
    variables.put("messages", messages.values());
    variables.put("tools", messages.tools());
    variables.put("documents", null);
    variables.put("add_generation_prompt", true);
    return JinjaTemplate.parse(source(template)).render(variables, conversation.occurredAt());
  }

  private static Conversation parsed(JsonNode nodes, String tools, Instant now) {
    List<Message> messages = new ArrayList<>();
    Map<String, String> attributes = new LinkedHashMap<>();
    for (JsonNode node : nodes) {
      if (node.has("reasoning_content")) {
        attributes.put(
            "messages[" + messages.size() + "].reasoning_content",
            node.path("reasoning_content").asText());
      }
      List<Part> parts =
          node.path("content").isNull()
              ? List.of()
              : List.of(
                  Part.of(PartKind.HISTORY, "m" + messages.size(), node.path("content").asText()));
      messages.add(
          new Message(
              node.path("role").asText(),
              parts,
              "",
              node.has("tool_calls") ? node.path("tool_calls").toString() : "",
              node.path("tool_call_id").asText("")));
    }
    return Conversation.builder("r")
        .occurredAt(now)
        .messages(messages)
        .tools(tools)
        .attributes(attributes)
        .build();
  }

  @Test
  void theEndTokenIsWhatTheTemplateWritesAfterAnAnswer() throws IOException {
    Conversation conversation = question("Hi");
    assertThat(template("smollm2").render(conversation).endToken()).isEqualTo("<|im_end|>");
    assertThat(template("llama3.1").render(conversation).endToken()).isEqualTo("<|eot_id|>");
    assertThat(template("gemma2").render(conversation).endToken()).isEqualTo("<end_of_turn>");
    assertThat(template("mistral").render(conversation).endToken()).isEqualTo("</s>");
  }

  @Test
  void aSegmentThatReadsLikeTheTemplateIsPlacedWhereItsMessageIs() throws IOException {
    RenderedPrompt prompt = template("smollm2").render(question("user"));
    int at = prompt.text().indexOf("<|im_start|>user\nuser") + "<|im_start|>user\n".length();
    assertThat(prompt.segments().get(0).rendered().start()).isEqualTo(at);
  }

  @Test
  void segmentsComeInTheOrderOfTheTextWhereTheTemplateMovesAMessage() throws IOException {
    Conversation conversation =
        conversation(
            List.of(
                message("system", PartKind.RETRIEVED, "s", "A fact."),
                message("user", PartKind.HISTORY, "u", "Hi"),
                message("assistant", PartKind.HISTORY, "a", "Hello!"),
                message("user", PartKind.QUESTION, "q", "Why?")),
            "",
            "",
            Instant.EPOCH);
    RenderedPrompt prompt = template("mistral").render(conversation);
    assertThat(prompt.text()).isEqualTo("<s>[INST]Hi[/INST]Hello!</s>[INST]A fact.\n\nWhy?[/INST]");
    assertThat(prompt.segments())
        .extracting(segment -> segment.part().id())
        .containsExactly("u", "a", "s", "q");
    assertThat(prompt.segments())
        .extracting(segment -> segment.rendered().in(prompt.text()))
        .containsExactly("Hi", "Hello!", "A fact.", "Why?");
  }

  @Test
  void partsOfATrimmedMessageKeepTheirOwnRanges() throws IOException {
    Conversation conversation =
        conversation(
            List.of(
                new Message(
                    "user",
                    List.of(
                        Part.of(PartKind.INSTRUCTION, "i", "  \n"),
                        Part.of(PartKind.RETRIEVED, "d", " A fact. "),
                        Part.of(PartKind.QUESTION, "q", "Why?\n")),
                    "",
                    "",
                    "")),
            "",
            "",
            Instant.EPOCH);
    RenderedPrompt prompt = template("llama3").render(conversation);
    assertThat(prompt.segments())
        .extracting(segment -> segment.rendered().in(prompt.text()))
        .containsExactly("", "A fact. ", "Why?");
    assertThat(prompt.segments().get(1).kept().start()).isEqualTo(1);
  }

  /** Llama 3.1 writes what tools return inside of JSON, and not what stands beside a call. */
  @Test
  void positionsInAnEscapedContentAreThoseOfItsCharacters() throws IOException {
    String first = "{\"t\": 21,\n";
    String second = "\t\"sky\": \"żółte 😀\"}";
    Conversation conversation =
        conversation(
            List.of(
                message("user", PartKind.HISTORY, "u", "Weather?"),
                new Message(
                    "assistant",
                    List.of(Part.of(PartKind.HISTORY, "a", "Let me look.")),
                    "",
                    "[{\"type\":\"function\",\"function\":{\"name\":\"w\",\"arguments\":{}}}]",
                    ""),
                Message.of(
                    "tool",
                    List.of(
                        Part.of(PartKind.TOOL_OUTPUT, "1", first),
                        Part.of(PartKind.TOOL_OUTPUT, "2", second))),
                message("user", PartKind.QUESTION, "q", "So?")),
            "",
            "",
            Instant.EPOCH);
    RenderedPrompt prompt = template("llama3.1").render(conversation);
    assertThat(prompt.text()).contains("\n\n\"" + inJson(first) + inJson(second) + "\"<|eot_id|>");
    assertThat(prompt.segments())
        .extracting(segment -> segment.rendered().in(prompt.text()))
        .containsExactly("Weather?", "", inJson(first), inJson(second), "So?");
    RenderedPrompt behind = prompt.behind("<s>");
    RenderedPrompt.Segment segment = behind.segments().get(3);
    for (int i = 0; i <= second.length(); i++) {
      int from = segment.toRendered(0);
      assertThat(behind.text().substring(from, segment.toRendered(i)))
          .isEqualTo(inJson(second.substring(0, i)));
    }
    assertThat(prompt.segments().get(1).rendered().start())
        .isEqualTo(prompt.segments().get(0).rendered().end());
  }

  @Test
  void anEmptyListOfToolCallsIsNone() {
    String template =
        "{% for m in messages %}[{{ m.content + '' }}{% if m.tool_calls is defined %}calls"
            + "{% endif %}]{% endfor %}";
    Message none = new Message("assistant", List.of(), "", "[]", "");
    RenderedPrompt prompt =
        rendered(template, List.of(none, message("user", PartKind.QUESTION, "q", "Hi")));
    assertThat(prompt.text()).isEqualTo("[][Hi]");
  }

  @Test
  void whatWasThoughtInEarlierTurnsReachesTheTemplateByEitherName() {
    String template =
        "{% for m in messages %}[{{ m.reasoning | default('-') }} {{ m.reasoning_content |"
            + " default('-') }}]{{ m.content }}{% endfor %}";
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      ChatTemplate subject = ChatTemplate.of(template, SPECIAL, tokenizer, "test");
      List<Message> messages =
          List.of(
              message("assistant", PartKind.HISTORY, "a", "A"),
              message("assistant", PartKind.HISTORY, "b", "B"),
              message("user", PartKind.QUESTION, "q", "Q"));
      Conversation conversation =
          Conversation.builder("r")
              .messages(messages)
              .attributes(
                  Map.of(
                      "messages[0].reasoning_content", "one",
                      "messages[1].reasoning", "two",
                      "messages[2].reasoning", "not an assistant's"))
              .build();
      assertThat(subject.render(conversation).text()).isEqualTo("[one one]A[two two]B[- -]Q");
    }
  }

  @Test
  void aTemplateHasNoDateWhereTheTimeIsNotKnown() throws IOException {
    assertThat(template("llama3.1").render(question("Hi")).text()).contains("Date: 26 Jul 2024\n");
    assertThatThrownBy(
            () ->
                rendered(
                    "{{ strftime_now('%Y') }}{{ messages[0].content }}",
                    List.of(message("user", PartKind.QUESTION, "q", "Hi"))))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("'strftime_now' is not a function")
        .hasMessageEndingWith("state occurredAt");
  }

  @Test
  void wordsThatLookLikeTheMarkersOfSegmentsAreTexts() {
    String text = "whencemarker0q0x whencemarker1q whencemarker" + "q".repeat(100_000);
    RenderedPrompt prompt =
        rendered(
            "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}",
            List.of(
                message("user", PartKind.HISTORY, "p", text),
                message("user", PartKind.QUESTION, "q", text)));
    assertThat(prompt.segments())
        .extracting(segment -> segment.rendered().in(prompt.text()))
        .containsExactly(text, text);
  }

  @Test
  void reasoningStandsBetweenThinkTagsAfterTheGenerationPrompt() throws IOException {
    Conversation conversation =
        conversation(
            List.of(Message.of("user", List.of(Part.of(PartKind.QUESTION, "q", "Hi")))),
            "",
            "First.\n",
            Instant.EPOCH);
    RenderedPrompt prompt = template("qwen3").render(conversation);
    assertThat(prompt.text()).endsWith("<|im_start|>assistant\n<think>\nFirst.\n</think>\n\n");
    assertThat(prompt.reasoning().orElseThrow().in(prompt.text())).isEqualTo("First.");
    assertThatThrownBy(() -> template("smollm2").render(conversation))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("reasoning");
  }

  @Test
  void aModelReasonsFirstWhereItsTemplateHasASwitchAgainstIt() throws IOException {
    assertThat(template("qwen3").reasonsFirst(question("Hi"))).isTrue();
    for (String other : List.of("smollm2", "llama3", "llama3.1", "qwen2.5", "mistral", "gemma2")) {
      assertThat(template(other).reasonsFirst(question("Hi"))).as(other).isFalse();
    }
    String turns = "{% for m in messages %}[{{ m.content.split('</think>')[-1] }}]{% endfor %}";
    String closed = "{{ '<think></think>' }}";
    assertThat(reasonsFirst(turns)).isFalse(); // strips what earlier turns thought, no more
    assertThat(
            reasonsFirst(
                turns + "{% if not enable_thinking | default(true) %}" + closed + "{% endif %}"))
        .isTrue();
    // Off unless it is switched on, by another name or by the same.
    assertThat(
            reasonsFirst(turns + "{% if not thinking | default(false) %}" + closed + "{% endif %}"))
        .isFalse();
    assertThat(reasonsFirst(turns + "{% if enable_thinking | default(false) %}<think>{% endif %}"))
        .isFalse();
    assertThat(reasonsFirst("{{ raise_exception('no') }}" + closed)).isFalse();
    Conversation raw =
        conversation(
            List.of(Message.of(Message.RAW, List.of(Part.of(PartKind.QUESTION, "p", "Hi")))),
            "",
            "",
            Instant.EPOCH);
    assertThat(template("qwen3").reasonsFirst(raw)).isFalse();
  }

  @Test
  void whetherAModelReasonsFirstIsAskedOfTheTemplateThatRenders() {
    String turns = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
    String withSwitch =
        turns + "{% if enable_thinking is defined and not enable_thinking %}</think>{% endif %}";
    Conversation plain = question("Hi");
    Conversation tools =
        conversation(
            List.of(message("user", PartKind.QUESTION, "q", "Hi")), "[]", "", Instant.EPOCH);
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      ChatTemplate two =
          ChatTemplate.of(
              new TemplateSources(turns, Optional.of(withSwitch)),
              SPECIAL,
              List.of(),
              tokenizer,
              "test");
      assertThat(two.reasonsFirst(plain)).isFalse();
      assertThat(two.reasonsFirst(tools)).isTrue();
      ChatTemplate one = ChatTemplate.of(withSwitch, SPECIAL, tokenizer, "test");
      assertThat(one.reasonsFirst(plain)).isTrue();
      assertThat(one.reasonsFirst(tools)).isTrue();
    }
  }

  private static boolean reasonsFirst(String source) {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      return ChatTemplate.of(source, SPECIAL, tokenizer, "test").reasonsFirst(question("Hi"));
    }
  }

  @Test
  void aRawPromptGetsTheBeginTokenOnce() throws IOException {
    for (String text : List.of("Once", "<s>Once")) {
      Conversation raw =
          conversation(
              List.of(Message.of(Message.RAW, List.of(Part.of(PartKind.QUESTION, "p", text)))),
              "",
              "",
              Instant.EPOCH);
      RenderedPrompt prompt = template("llama3").render(raw);
      assertThat(prompt.text()).isEqualTo("<s>Once");
      assertThat(prompt.segments().get(0).rendered().in(prompt.text())).isEqualTo(text);
    }
  }

  @Test
  void aTemplateThatWritesNoBeginTokenGetsItOnceWhereTheModelBeginsItsChats() {
    SpecialTokens begins = new SpecialTokens(SPECIAL.named(), true, true);
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      for (String own : List.of("", "<s>")) {
        String source = own + "{% for m in messages %}[{{ m.content }}]{% endfor %}";
        RenderedPrompt prompt =
            ChatTemplate.of(source, begins, tokenizer, "test").render(question("Where?"));
        assertThat(prompt.text()).isEqualTo("<s>[Where?]");
        assertThat(prompt.segments().get(0).rendered().in(prompt.text())).isEqualTo("Where?");
      }
      RenderedPrompt prompt =
          ChatTemplate.of("[{{ messages[0].content }}]", SPECIAL, tokenizer, "test")
              .render(question("Where?"));
      assertThat(prompt.text()).isEqualTo("[Where?]");
    }
  }

  /**
   * dolly-v2-3b has no template: its own format (instruct_pipeline.py of databricks/dolly-v2-3b) is
   * written by the caller, and nothing is put before it.
   */
  @Test
  void aPromptInDollysFormatStandsAsItWasWritten() {
    String instruction =
        "Below is an instruction that describes a task. Write a response that appropriately"
            + " completes the request.\n\n### Instruction:\n";
    List<Part> parts =
        List.of(
            Part.of(PartKind.INSTRUCTION, "intro", instruction),
            Part.of(PartKind.QUESTION, "q", "Where is the cat?"),
            Part.of(PartKind.INSTRUCTION, "input", "\n\nInput:\n"),
            Part.of(PartKind.RETRIEVED, "d", "The cat sat on the mat."),
            Part.of(PartKind.INSTRUCTION, "response", "\n\n### Response:\n"));
    Message raw = Message.of(Message.RAW, parts);
    SpecialTokens special =
        new SpecialTokens(Map.of("bos_token", "<|endoftext|>", "eos_token", "### End"), false);
    RenderedPrompt prompt =
        new PlainTemplate(special, new WordTokenizer())
            .render(conversation(List.of(raw), "", "", Instant.EPOCH));
    assertThat(prompt.text())
        .isEqualTo(
            instruction
                + "Where is the cat?\n\nInput:\nThe cat sat on the mat.\n\n### Response:\n");
    assertThat(prompt.segments())
        .extracting(segment -> segment.rendered().in(prompt.text()))
        .containsExactlyElementsOf(parts.stream().map(Part::text).toList());
    assertThat(prompt.endToken()).isEqualTo("### End");
  }
}
