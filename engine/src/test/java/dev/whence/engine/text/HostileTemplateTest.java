package dev.whence.engine.text;

import static dev.whence.engine.text.Chats.SPECIAL;
import static dev.whence.engine.text.Chats.conversation;
import static dev.whence.engine.text.Chats.message;
import static dev.whence.engine.text.Chats.question;
import static dev.whence.engine.text.Chats.rendered;
import static dev.whence.engine.text.Chats.template;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.PartKind;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.jinja.JinjaException;
import dev.whence.engine.text.jinja.JinjaTemplate;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Templates and conversations that could take hours, gigabytes or the stack end soon, and no error
 * gives away what a record holds.
 */
class HostileTemplateTest {
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
}
