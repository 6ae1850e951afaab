package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.jinja.JinjaException;
import dev.whence.engine.text.jinja.JinjaTemplate;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Against the texts that transformers' apply_chat_template rendered (chat_templates.py). */
class ChatTemplateTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final SpecialTokens SPECIAL =
      new SpecialTokens(Map.of("bos_token", "<s>", "eos_token", "</s>"), true);

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
              conversation(node.path("messages"), tools, now),
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
    if (conversation.messages().stream()
        .anyMatch(message -> !expected.contains(message.content().strip()))) {
      // The template writes a content escaped, or parts of it only, or not at all.
      assertThatThrownBy(() -> subject.render(conversation))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.UNSUPPORTED))
          .hasMessageContaining("segment");
      return;
    }
    RenderedPrompt prompt = subject.render(conversation);
    assertThat(prompt.text()).isEqualTo(expected);
    assertThat(prompt.segments()).hasSize((int) conversation.parts().count());
    for (RenderedPrompt.Segment segment : prompt.segments()) {
      assertThat(segment.rendered().in(prompt.text()))
          .isEqualTo(segment.kept().in(segment.part().text()));
      assertThat(segment.kept().in(segment.part().text()).strip())
          .isEqualTo(segment.part().text().strip());
    }
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
  void tuplesAreWrittenAsPythonWritesThem() {
    // Python 3: str(sorted({'b': 1, 'a': 2}.items())), str((1,)) and str(())
    assertThat(
            JinjaTemplate.parse("{{ {'b': 1, 'a': 2} | dictsort }} {{ (1,) }} {{ () }} {{ [1] }}")
                .render(Map.of(), Instant.EPOCH))
        .isEqualTo("[('a', 2), ('b', 1)] (1,) () [1]");
  }

  @Test
  void floatsAreWrittenAsPythonWritesThem() {
    // Python 3: repr of each
    assertThat(
            JinjaTemplate.parse("{{ [0.0001, 0.002, 100.0, 1e15, 0.00001, 2.5e20, -0.0, 1.10] }}")
                .render(Map.of(), Instant.EPOCH))
        .isEqualTo("[0.0001, 0.002, 100.0, 1000000000000000.0, 1e-05, 2.5e+20, -0.0, 1.1]");
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
  void aHundredThousandMessagesAreFoundInOneReading() {
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < 100_000; i++) {
      messages.add(message("user", PartKind.HISTORY, "p" + i, "text " + i));
    }
    RenderedPrompt prompt =
        assertTimeoutPreemptively(
            Duration.ofSeconds(60),
            () ->
                rendered(
                    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}",
                    messages));
    assertThat(prompt.segments()).hasSize(100_000);
    assertThat(prompt.segments().get(99_999).rendered().in(prompt.text())).isEqualTo("text 99999");
  }

  @Test
  void aContentThatIsOneLetterOverAndOverIsFoundInOneReading() {
    String more = "a".repeat(1_000_000);
    String letters = more + "b";
    RenderedPrompt prompt =
        assertTimeoutPreemptively(
            Duration.ofSeconds(60),
            () ->
                rendered(
                    "{% for m in messages %}{{ m.content | trim }}{% if 'aaab' in m.content %}!"
                        + "{% endif %}{% endfor %}",
                    List.of(
                        message("user", PartKind.HISTORY, "p", letters + " "),
                        message("user", PartKind.HISTORY, "m", more),
                        message("user", PartKind.QUESTION, "q", "Why?"))));
    assertThat(prompt.text()).isEqualTo(letters + "!" + more + "Why?");
    assertThat(prompt.segments())
        .extracting(segment -> segment.rendered().in(prompt.text()))
        .containsExactly(letters, more, "Why?");
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

  private static RenderedPrompt rendered(String source, List<Message> messages) {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      return ChatTemplate.of(source, SPECIAL, tokenizer, "test")
          .render(conversation(messages, "", "", Instant.EPOCH));
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

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ messages[0].content.frobnicate() }}",
        "{{ frobnicate(1) }}",
        "{{ 'x' | frobnicate }}",
        "{{ 'x' is frobnicate }}",
        "{% frobnicate %}",
        "{{ loop.frobnicate() }}",
        "{{ raise_exception('no') }}"
      })
  void whatATemplateMayNotUseIsNamed(String source) {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      ChatTemplate template = ChatTemplate.of(source, SPECIAL, tokenizer, "test");
      assertThatThrownBy(() -> template.render(question("secret words")))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.UNSUPPORTED))
          .message()
          .containsAnyOf("frobnicate", "loop", "raise_exception")
          .doesNotContain("secret");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns = namespace(s='xxxxxxxx') %}"
            + "{% for i in range(99999) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(99999) %}{% set ns.s = ns.s |"
            + " replace('x', 'xxxxxxxx') %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}"
            + "{% for i in range(99999) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}"
            + "{% for i in range(99999) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(a={}, b={}) %}{% for i in range(60) %}{% set ns.a = {'x': ns.a, 'y':"
            + " ns.a} %}{% set ns.b = {'x': ns.b, 'y': ns.b} %}{% endfor %}{{ ns.a == ns.b }}",
        "{{ range(100000) | unique | length }}",
        "{% set ns = namespace(s='x' * 1048576, l=[]) %}"
            + "{% for i in range(4) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"
            + "{% for i in range(250) %}{% set ns.l = ns.l + [ns.s | upper] %}{% endfor %}",
        "{% set l = range(100000) %}{% for i in l %}{{ i in l }}{% endfor %}",
        "{% set l = range(100000) %}{% for i in l %}{{ l.index(99999) }}{% endfor %}",
        "{% set l = range(100000) %}{% for i in l %}{{ l.count(i) }}{% endfor %}",
        "{% set l = range(100000) %}{% for i in l %}{{ l | select('in', l) | first }}{% endfor %}",
        "{% set ns = namespace(l=range(100000), m=[]) %}"
            + "{% for i in range(100000) %}{% set ns.m = ns.m + [ns.l | map('list')] %}{% endfor %}",
        "{% set s = 'x' * 1048576 %}{% for i in range(99999) %}{{ s.isalpha() }}{% endfor %}",
        "{% set s = 'x' * 1048576 %}{% for i in range(99999) %}{{ s.find('y') }}{% endfor %}",
        "{% set s = 'x' * 1048576 %}{% for i in range(99999) %}{{ (s ~ 'y') > s }}{% endfor %}",
        "{% set s = 'x\u00ff\u0100' * 300000 %}{% for i in range(99999) %}{{ s[-1] + s[899999]"
            + " }}{% endfor %}",
        "{% set s = ', ' * 524288 %}{% for i in range(999) %}{{ s.rsplit(',') | length }}"
            + "{% endfor %}",
        "{{ 'a'[-9223372036854775807 - 1] }}{% for i in range(100000) %}{% for j in range(100000) %}"
            + "{% endfor %}{% endfor %}",
        "{% set s = '9' * 1048576 ~ 'x' %}{% for i in range(99999) %}{{ s | int }}{% endfor %}",
        "{% set s = '9' * 1048576 %}{% for i in range(99999) %}{{ s | float }}{% endfor %}",
        "{{ 'x' * 99999999999 }}",
        "{{ messages[0].__class__.__mro__ }}",
        "{{ messages.getClass().forName('java.lang.Runtime') }}"
      })
  @Timeout(30)
  void aHostileTemplateEndsSoonWithAnError(String source) {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      Instant start = Instant.now();
      ChatTemplate template = ChatTemplate.of(source, SPECIAL, tokenizer, "test");
      assertThatThrownBy(() -> template.render(question("Hi"))).isInstanceOf(EngineException.class);
      assertThat(Duration.between(start, Instant.now())).isLessThan(Duration.ofSeconds(20));
    }
  }

  @Test
  void twoHundredThousandEmptyMessagesEndSoonWithQwensTemplate() throws IOException {
    ChatTemplate template = template("qwen3");
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < 200_000; i++) {
      messages.add(message("assistant", PartKind.HISTORY, "p" + i, ""));
    }
    Conversation conversation = conversation(messages, "", "", Instant.EPOCH);
    assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () -> {
          try {
            template.render(conversation);
          } catch (EngineException e) {
            assertThat(e).hasMessageContaining("steps");
          }
        });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ messages[0].content in big ~ big }}",
        "{{ (big ~ big).find(messages[0].content) }}",
        "{{ (big ~ big).rfind('b' ~ big) }}",
        "{{ (big ~ big).split(messages[0].content) | length }}",
        "{{ (big ~ big).rsplit('b' ~ big) | length }}",
        "{{ (big ~ big).count(messages[0].content) }}",
        "{{ (big ~ big) | replace(messages[0].content, '') | length }}",
        "{{ big.strip(messages[0].content) | length }}",
        "{{ (big ~ 'c').strip('0123456789' * 50000 ~ 'a') | length }}",
      })
  void searchesForALongStringReadATextOnce(String source) {
    String text = "a".repeat(500_000) + "b";
    assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () ->
            JinjaTemplate.parse("{% set big = 'a' * 1000000 %}" + source)
                .render(Map.of("messages", List.of(Map.of("content", text))), Instant.EPOCH));
  }

  /** Python 3 and Jinja2 print these. */
  @Test
  void whatIsBoundedHasPythonsValuesStill() {
    Map<String, String> expected = new LinkedHashMap<>();
    expected.put("{{ 'h\u00e9\\U0001F600llo'[1:4] }}", "\u00e9\uD83D\uDE00l");
    expected.put("{{ 'h\\U0001F600llo'[::-1] }}", "oll\uD83D\uDE00h");
    expected.put("{{ 'h\\U0001F600llo'[-4] }}", "\uD83D\uDE00");
    expected.put("{{ 'abc'[1::9223372036854775807] }}{{ [1, 2][5:] }}", "b[]");
    expected.put("{{ 'abc'[3] is defined }} {{ 'abc'[-4] is defined }}", "False False");
    expected.put("{{ {'a': 1, 'b': [1]} == {'b': [1.0], 'a': true} }}", "True");
    expected.put("{{ {'a': 1} == {'b': 1} }} {{ {'a': none} == {'b': none} }}", "False False");
    expected.put("{{ 9007199254740993 == 9007199254740992.0 }} {{ -0.0 == 0.0 }}", "False True");
    expected.put("{{ ['b', 'A', 'a', 'B'] | sort }}", "['A', 'a', 'b', 'B']");
    expected.put("{{ ['b', 'A', 'a', 'B'] | unique | list }}", "['b', 'A']");
    expected.put(
        "{{ '\uff00' < '\\U0001F600' }} {{ 'ab' < 'abc' }} {{ 'b' > 'abc' }}", "True True True");
    expected.put("{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a,b'.split(',') }}", "['a,b', 'c'] ['a', 'b']");
    expected.put("{{ 'aaaa'.count('aa') }} {{ 'aXbX'.replace('X', '-', 1) }}", "2 a-bX");
    expected.put("{{ {'a': 1, 'b': 2} | length }} {{ '\\U0001F600' | length }}", "2 1");
    expected.put(
        "{{ [{'a': {'b': 1}}, {'a': {'b': 2}}] | map(attribute='a.b') | join }}"
            + "{{ [{'a': [1, 2]}] | map(attribute='a.1') | first }}"
            + "{{ [{'a': {'b': 3}}] | join(attribute='a.b') }}"
            + "{{ [[4, 5]] | map(attribute=1) | first }}"
            + "{{ [{}] | map(attribute='a.b', default={'b': 6}) | first }}"
            + "{{ [{'a': {'items': 7}}] | map(attribute='a.items') | first }}",
        "1223567");
    expected.put(
        "{{ [{'a': {'b': 0}}, {'a': {'b': 1}}] | selectattr('a.b') | list | length }}"
            + "{{ [{'a': {'b': 0}}, {'a': {'b': 1}}] | rejectattr('a.b', 'equalto', 7) | list"
            + " | length }}",
        "12");
    expected.put(
        "{{ '3.7' | int }} {{ ' -3.7e1 ' | int }} {{ '.5' | int(9) }} {{ '1d' | int(9) }} {{ 'x'"
            + " | int }}",
        "3 -37 0 9 0");
    expected.put("{{ 'abc' | first }}{{ 'abc' | last }}{{ '' | first is defined }}", "acFalse");
    expected.put(
        "{{ ['\\x01\\x1f'] }} {{ '\\x01\\x1f' | tojson }}", "['\\x01\\x1f'] \"\\u0001\\u001f\"");
    assertThat(expected)
        .allSatisfy(
            (source, text) ->
                assertThat(JinjaTemplate.parse(source).render(Map.of(), Instant.EPOCH))
                    .as(source)
                    .isEqualTo(text));
  }

  /** Python 3 and Jinja2 print these. */
  @Test
  void titlesSortsAndQuotesAreJinjas() {
    Map<String, String> expected = new LinkedHashMap<>();
    expected.put(
        "{{ 'tool_result' | title }} {{ 'tool_result'.title() }}", "Tool_result Tool_Result");
    expected.put("{{ \"they're\" | title }} {{ \"they're\".title() }}", "They're They'Re");
    expected.put(
        "{{ 'a-b (c) {d} [e] <f> g/h.i wORLD' | title }}", "A-B (C) {D} [E] <F> G/h.i World");
    expected.put(
        "{{ '\u00df stra\u00dfe\u00a0\uD83D\uDE00x y' | title }}",
        "SS Stra\u00dfe\u00a0\uD83D\uDE00x Y");
    expected.put("{{ ['a', 'B', 'A', 'b'] | sort(reverse=true) }}", "['B', 'b', 'a', 'A']");
    expected.put("{{ [1, 1.0, true, 2] | sort(reverse=true) }}", "[2, 1, 1.0, True]");
    expected.put(
        "{{ ['\u00a0\u0085\u00ad\u007f\u200b\u2028\u3000\ufeff\ue000\ufdd0'] }}",
        "['\\xa0\\x85\\xad\\x7f\\u200b\\u2028\\u3000\\ufeff\\ue000\\ufdd0']");
    expected.put("{{ ['\\U000e0001\\U0010ffff'] }}", "['\\U000e0001\\U0010ffff']");
    expected.put(
        "{{ ['\u00e9 \u0300\uD83D\uDE00\\U0001fae0'] }}", // the last is newer than Java 17
        "['\u00e9 \u0300\uD83D\uDE00\uD83E\uDEE0']");
    assertThat(expected)
        .allSatisfy(
            (source, text) ->
                assertThat(JinjaTemplate.parse(source).render(Map.of(), Instant.EPOCH))
                    .as(source)
                    .isEqualTo(text));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ {'user': 'U'}[messages[0].content] + '.' }}",
        "{{ {'user': 'U'}[messages[0].content]() }}",
        "{{ {'user': 'U'}[messages[0].content].a }}",
        "{% for m in messages %}{{ loop[m.content] }}{% endfor %}",
        "{{ (messages | map(attribute=messages[0].content) | first).a }}",
        "{{ messages | map(messages[0].content) | list }}",
        "{{ messages | select(messages[0].content) | list }}",
        "{{ messages | selectattr('role', messages[0].content) | list }}",
        "{{ messages[messages[0].content | length].a }}"
      })
  void anErrorNamesNoKeyThatTheRecordGave(String source) {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      ChatTemplate template = ChatTemplate.of(source, SPECIAL, tokenizer, "test");
      assertThatThrownBy(() -> template.render(question("secret words")))
          .isInstanceOf(EngineException.class)
          .message()
          .contains("line 1")
          .doesNotContain("secret")
          .doesNotContain("12");
    }
  }

  @Test
  void anErrorNamesAKeyThatStandsInTheTemplate() {
    assertThatThrownBy(
            () -> JinjaTemplate.parse("{{ {}['colour'] + 'x' }}").render(Map.of(), Instant.EPOCH))
        .hasMessageContaining("'colour' is undefined");
  }

  /** By its text or by an error of Jinja's; half a million characters or so each. */
  @Test
  void aLongTemplateIsReadInOnePass() {
    int n = 100_000;
    List<String> sources =
        List.of(
            "{{ " + "(".repeat(n) + " }}",
            "{{ " + "[".repeat(n) + "]".repeat(n) + " }}",
            "{{ " + "not ".repeat(n) + "1 }}",
            "{{ " + "1 if 1 else ".repeat(n / 2) + "1 }}",
            "{{ 1" + " if 1".repeat(n) + " }}",
            "{{ x" + " is x is".repeat(n / 2) + " x }}",
            "{{ 'x'" + " | trim".repeat(n) + " }}",
            "{{ 'x'" + " 'x'".repeat(n) + " }}",
            "{{ 1" + " < 2".repeat(n) + " }}",
            "{{ 1" + " ** 1".repeat(n) + " }}",
            "{{ 1" + " and 1".repeat(n) + " }}",
            "{{ x" + "[0]".repeat(n) + " }}",
            "{{ x" + "()".repeat(n) + " }}",
            "{{ [" + "1, ".repeat(n) + "] }}",
            "{{ {" + "'a': 1, ".repeat(n) + "} }}",
            "{{ '" + "\\x41".repeat(n) + "' }}",
            "{{ '" + "\\\\".repeat(n) + "",
            "{{ " + "9".repeat(n) + " }}",
            "{{ 1." + "9".repeat(n) + "e" + "9".repeat(n) + " }}",
            "{{ " + "x".repeat(n) + " }}",
            "{% if 1 %}{% endif %}\n".repeat(n / 4),
            "{% if 1 %}" + "{% elif 1 %}".repeat(n / 2) + "{% endif %}",
            "{% raw %}{% endraw %}".repeat(n / 4),
            "{% raw %}" + "{% ".repeat(n),
            "{% raw %}" + "{%" + " ".repeat(n) + "endraw" + " ".repeat(n),
            "{%" + " ".repeat(n) + "raw" + " ".repeat(n) + "{%" + " ".repeat(n),
            "{# #}".repeat(n),
            "{#".repeat(n),
            " \n".repeat(n) + "{%- set a = 1 -%}" + " \n".repeat(n) + "{{- 1 }}",
            "{".repeat(n),
            "{% set " + "a, ".repeat(n) + "a = 1 %}",
            "{% macro m(" + "a, ".repeat(n) + "a) %}{% endmacro %}{{ m() }}",
            "{% for i in range(9999) %}{{ m(" + "a, ".repeat(n) + "a) }}{% endfor %}",
            "{% for i in x" + " if 1".repeat(n) + " %}{% endfor %}");
    for (String source : sources) {
      assertTimeoutPreemptively(
          Duration.ofSeconds(10),
          () -> {
            try {
              JinjaTemplate.parse(source).render(Map.of(), Instant.EPOCH);
            } catch (JinjaException e) {
              assertThat(String.valueOf(e.getMessage()).length()).isLessThan(1000);
            }
          },
          () -> source.substring(0, 40));
    }
  }

  /** Each would take hours within a budget that only counts steps of the template. */
  @Test
  void attributesAndKeysThatAreLongCostWhatReadingThemTakes() {
    String loops = "{% for i in range(99999) %}{% for j in range(9) %}";
    String end = "{% endfor %}{% endfor %}";
    for (String source :
        List.of(
            "{% set s = '.' * 999999 %}" + loops + "{% set x = [] | map(attribute=s) %}" + end,
            "{% set s = '1' * 999999 %}" + loops + "{% set x = [] | map(attribute=s) %}" + end,
            "{% set s = '.' * 999999 %}" + loops + "{% set x = [] | selectattr(s) %}" + end,
            "{% set s = '.' * 999999 %}" + loops + "{% set x = [] | join('', s) %}" + end,
            "{% set s = 'a' * 999999 %}{% set t = 'a' * 999999 %}{% set m = {s: 1} %}"
                + loops
                + "{% set x = m[t] %}"
                + end,
            "{% set s = 'a' * 999999 %}{% set t = 'a' * 999999 %}{% set m = {s: 1} %}"
                + loops
                + "{% set x = t in m %}"
                + end,
            "{% set s = 'a' * 999999 %}{% set t = 'a' * 999999 %}{% set m = {s: 1} %}"
                + loops
                + "{% set x = m.get(t) %}"
                + end,
            "{% set s = 'a' * 999999 %}{% set t = 'a' * 999999 %}{% set m = {s: 1} %}"
                + loops
                + "{% set x = m == {t: 1} %}"
                + end)) {
      assertTimeoutPreemptively(
          Duration.ofSeconds(20),
          () ->
              assertThatThrownBy(() -> JinjaTemplate.parse(source).render(Map.of(), Instant.EPOCH))
                  .isInstanceOf(JinjaException.class)
                  .message()
                  .containsAnyOf("steps", "more than 64 parts"),
          source);
    }
  }

  @Test
  void anAttributeHasUpTo64Parts() {
    String item = "{'a': ".repeat(20) + "1" + "}".repeat(20);
    String source = "{{ [" + item + "] | map(attribute='%s') | first }}";
    assertThat(
            JinjaTemplate.parse(source.formatted("a" + ".a".repeat(19)))
                .render(Map.of(), Instant.EPOCH))
        .isEqualTo("1");
    JinjaTemplate longer = JinjaTemplate.parse(source.formatted("a" + ".a".repeat(64)));
    assertThatThrownBy(() -> longer.render(Map.of(), Instant.EPOCH))
        .hasMessageContaining("more than 64 parts");
  }

  /** A few megabytes of brackets are gigabytes of values. */
  @Test
  void toolsAndArgumentsOfAMillionValuesAreRefused() {
    String many = "[" + "{},".repeat(500_000) + "1]";
    for (String[] place : new String[][] {{"{}", many}, {"{\"arguments\":\"" + many + "\"}", ""}}) {
      assertThatThrownBy(() -> renderedCall("", place[0], place[1]))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.UNSUPPORTED))
          .hasMessageContaining("1000000 names, values and brackets");
    }
  }

  @Test
  void deepNestingIsRefusedInsteadOfOverflowingTheStack() {
    for (String source :
        List.of(
            "{{ " + "(".repeat(50_000) + "1" + ")".repeat(50_000) + " }}",
            "{{ " + "-".repeat(50_000) + "1 }}",
            "{{ 1" + ".a".repeat(50_000) + " }}",
            "{{ 1" + " + 1".repeat(50_000) + " }}",
            "{% if 1 %}".repeat(50_000))) {
      try (WordTokenizer tokenizer = new WordTokenizer()) {
        ChatTemplate template = ChatTemplate.of(source, SPECIAL, tokenizer, "test");
        assertThatThrownBy(() -> template.render(question("Hi")))
            .isInstanceOf(EngineException.class);
      }
    }
  }

  @Test
  void nestingEndsAtABoundOfItsOwn() {
    JinjaTemplate deep = JinjaTemplate.parse("{{ 1" + " + 1".repeat(300) + " }}");
    assertThat(deep.render(Map.of(), Instant.EPOCH)).isEqualTo("301");
    JinjaTemplate deeper = JinjaTemplate.parse("{{ 1" + " + 1".repeat(450) + " }}");
    assertThatThrownBy(() -> deeper.render(Map.of(), Instant.EPOCH))
        .hasMessageContaining("nested deeper than");
  }

  /**
   * As vLLM: json.loads of a string, {} of none. A string that is no JSON stays one, which is ours.
   */
  @Test
  void argumentsOfACallAreValuesWhereTheyAreJson() {
    Map<String, String> expected = new LinkedHashMap<>();
    expected.put("{}", "{}");
    expected.put("{'arguments': null}", "{}");
    expected.put("{'arguments': ''}", "{}");
    expected.put("{'arguments': {'a': 1}}", "{'a': 1}");
    expected.put("{'arguments': 'null'}", "null");
    expected.put("{'arguments': '5'}", "5");
    expected.put("{'arguments': '{\\'a\\':1}'}", "{'a': 1}");
    expected.put("{'arguments': '{\\'a\\':1} trailing'}", "'{\\'a\\':1} trailing'");
    expected.put("{'arguments': '5 apples'}", "'5 apples'");
    expected.put("{'arguments': '{} {}'}", "'{} {}'");
    expected.put("{'arguments': ' '}", "' '");
    expected.put(
        "{'arguments': '{\\'n\\':-18446744073709551617}'}", "{'n': -18446744073709551617}");
    expected.forEach(
        (function, written) ->
            assertThat(
                    renderedCall(
                        "{{ messages[0].tool_calls[0].function.arguments | tojson }}",
                        function.replace('\'', '"'),
                        ""))
                .as(function)
                .isEqualTo(written.replace('\'', '"')));
  }

  /** Python 3 and Jinja2 print these. */
  @Test
  void integersOfToolsKeepTheirDigits() {
    String tools = "[{\"maximum\":18446744073709551615}]";
    Map<String, String> expected = new LinkedHashMap<>();
    expected.put("{{ tools | tojson }}", "[{\"maximum\": 18446744073709551615}]");
    expected.put("{{ tools }}", "[{'maximum': 18446744073709551615}]");
    expected.put(
        "{{ n }} {{ n | int }} {{ n | float }}",
        "18446744073709551615 ".repeat(2) + "1.8446744073709552e+19");
    expected.put("{{ n is integer }} {{ n is number }} {{ n is float }}", "True True False");
    expected.put("{{ n > 1 }} {{ n == n }} {{ n == 18446744073709551616.0 }}", "True True False");
    expected.forEach(
        (source, written) ->
            assertThat(renderedCall("{% set n = tools[0].maximum %}" + source, "{}", tools))
                .as(source)
                .isEqualTo(written));
    assertThatThrownBy(() -> renderedCall("{{ tools[0].maximum + 1 }}", "{}", tools))
        .hasMessageContaining("past 64 bits");
  }

  @Test
  void whatIsNestedTooDeeplyIsRefusedByItsLimit() {
    String deep = "[".repeat(51) + "]".repeat(51);
    assertThat(renderedCall("{{ tools | length }}", "{}", deep.substring(1, 101))).isEqualTo("1");
    for (String[] place : new String[][] {{"{}", deep}, {"{\"arguments\":\"" + deep + "\"}", ""}}) {
      assertThatThrownBy(() -> renderedCall("", place[0], place[1]))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.UNSUPPORTED))
          .hasMessageContaining("50 levels")
          .message()
          .doesNotContain("not JSON");
    }
  }

  @Test
  void whatIsNoJsonStaysAsWrittenPastTheLimits() {
    for (String broken :
        List.of("[".repeat(60), "[".repeat(60) + "]".repeat(61), "{\"n\":0." + "3".repeat(1200))) {
      String quoted = broken.replace("\"", "\\\"");
      assertThat(
              renderedCall(
                  "{{ messages[0].tool_calls[0].function.arguments }}",
                  "{\"arguments\":\"" + quoted + "\"}",
                  ""))
          .isEqualTo(broken);
    }
  }

  /** A conversation of one tool call. */
  private static String renderedCall(String source, String function, String tools) {
    Message call = new Message("assistant", List.of(), "", "[{\"function\":" + function + "}]", "");
    TemplateMessages messages =
        new TemplateMessages(conversation(List.of(call), tools, "", Instant.EPOCH));
    Map<String, Object> variables = new LinkedHashMap<>();
    variables.put("messages", messages.values());
    variables.put("tools", messages.tools());
    return JinjaTemplate.parse(source).render(variables, Instant.EPOCH);
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

  private static String source(String name) throws IOException {
    return new String(resource("templates/" + name + ".jinja"), StandardCharsets.UTF_8);
  }

  private static ChatTemplate template(String name) throws IOException {
    try (WordTokenizer tokenizer = new WordTokenizer()) {
      return ChatTemplate.of(source(name), SPECIAL, tokenizer, "test");
    }
  }

  private static Message message(String role, PartKind kind, String id, String text) {
    return Message.of(role, List.of(Part.of(kind, id, text)));
  }

  private static Conversation question(String text) {
    return conversation(
        List.of(Message.of("user", List.of(Part.of(PartKind.QUESTION, "q", text)))),
        "",
        "",
        Instant.EPOCH);
  }

  private static Conversation conversation(JsonNode nodes, String tools, Instant now) {
    List<Message> messages = new ArrayList<>();
    for (JsonNode node : nodes) {
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
    return conversation(messages, tools, "", now);
  }

  private static Conversation conversation(
      List<Message> messages, String tools, String reasoning, Instant now) {
    return Conversation.builder("r")
        .occurredAt(now)
        .messages(messages)
        .reasoning(reasoning)
        .tools(tools)
        .build();
  }

  private static byte[] resource(String name) throws IOException {
    try (InputStream in = ChatTemplateTest.class.getResourceAsStream("/fixtures/text/" + name)) {
      return in.readAllBytes();
    }
  }
}
