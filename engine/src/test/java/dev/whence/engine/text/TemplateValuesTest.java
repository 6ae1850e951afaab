package dev.whence.engine.text;

import static dev.whence.engine.text.Chats.conversation;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Message;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.jinja.JinjaTemplate;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Values as Python and Jinja2 write them; those of tools and their calls, and how many may be. */
class TemplateValuesTest {
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
}
