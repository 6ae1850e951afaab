package dev.whence.conversation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConversationCodecTest {

  @Test
  void readsEveryFieldOfADocumentedLine() {
    Conversation read =
        ConversationCodec.read(
            """
            {"responseId": "r-1", "model": "acme/chat-1", "occurredAt": "2026-11-22T10:00:00Z",
             "messages": [
               {"role": "user", "content": [
                 {"kind": "instruction", "text": "Answer from the context.\\n\\n"},
                 {"kind": "retrieved", "id": "doc-7", "title": "Leland", "uri": "https://example.org/7",
                  "trust": "untrusted", "text": "One here. Two.", "sources": [[0, 10], [10, 14]]},
                 {"kind": "question", "text": "\\n\\nQuestion: why?"}]}],
             "reasoning": "hm", "response": "Two it is.", "finishReason": "stop",
             "citations": [{"segment": "doc-7", "start": 0, "end": 3}],
             "tools": [{"type": "function"}],
             "conversationId": "c-1", "subjectId": "s-1",
             "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
             "attributes": {"app": "support"}}
            """);

    assertThat(read.responseId()).isEqualTo("r-1");
    assertThat(read.model()).isEqualTo("acme/chat-1");
    assertThat(read.occurredAt()).isEqualTo(Instant.parse("2026-11-22T10:00:00Z"));
    assertThat(read.messages().get(0).content())
        .isEqualTo("Answer from the context.\n\nOne here. Two.\n\nQuestion: why?");
    assertThat(read.messages().get(0).parts())
        .containsExactly(
            Part.of(PartKind.INSTRUCTION, "m0.p0", "Answer from the context.\n\n"),
            new Part(
                PartKind.RETRIEVED,
                "doc-7",
                "Leland",
                "https://example.org/7",
                Trust.UNTRUSTED,
                "One here. Two.",
                true,
                List.of(new Span(0, 10), new Span(10, 14))),
            Part.of(PartKind.QUESTION, "m0.p2", "\n\nQuestion: why?"));
    assertThat(read.reasoning()).isEqualTo("hm");
    assertThat(read.response()).isEqualTo("Two it is.");
    assertThat(read.finishReason()).isEqualTo("stop");
    assertThat(read.citations()).containsExactly(new Citation("doc-7", new Span(0, 3)));
    assertThat(read.tools()).isEqualTo("[{\"type\":\"function\"}]");
    assertThat(read.conversationId()).isEqualTo("c-1");
    assertThat(read.subjectId()).isEqualTo("s-1");
    assertThat(read.traceparent())
        .isEqualTo("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assertThat(read.attributes()).containsOnly(Map.entry("app", "support"));
  }

  @Test
  void anotherAnswerHasNothingOfTheOneBefore() {
    Conversation again =
        ConversationCodec.read(
                """
                {"responseId": "r", "model": "a", "prompt": "Why?", "reasoning": "hm",
                 "response": "So.", "finishReason": "stop",
                 "citations": [{"segment": "m0.p0", "start": 0, "end": 2}]}
                """)
            .answeredBy("b", "For this.", "length");
    assertThat(ConversationCodec.write(again))
        .contains("\"response\":\"For this.\"")
        .doesNotContain("hm", "So.", "stop", "citations", "reasoning");
  }

  @Test
  void kindComesFromTheRoleAndTheLastUserMessageIsTheQuestion() {
    Conversation read =
        withMessages(
            """
            {"role": "system", "content": "s"}, {"role": "developer", "content": "d"},
            {"role": "user", "content": "first"}, {"role": "assistant", "content": "a"},
            {"role": "tool", "content": "t", "tool_call_id": "c1"},
            {"role": "user", "content": "last"}, {"role": "assistant", "content": "so far"}
            """);

    assertThat(read.parts().map(Part::kind))
        .containsExactly(
            PartKind.INSTRUCTION,
            PartKind.INSTRUCTION,
            PartKind.HISTORY,
            PartKind.HISTORY,
            PartKind.TOOL_OUTPUT,
            PartKind.QUESTION,
            PartKind.HISTORY);
    assertThat(read.parts().map(Part::id))
        .containsExactly("m0.p0", "m1.p0", "m2.p0", "m3.p0", "m4.p0", "m5.p0", "m6.p0");
    assertThat(read.parts().map(Part::trust)).containsOnly(Trust.UNKNOWN);
    assertThat(read.parts().filter(Part::attributable).map(Part::id))
        .containsExactly("m2.p0", "m3.p0", "m4.p0", "m6.p0");
    assertThat(read.messages().get(4).toolCallId()).isEqualTo("c1");
  }

  @Test
  void attributableOverridesTheKind() {
    Conversation read =
        withMessages(
            """
            {"role": "user", "content": [
              {"kind": "retrieved", "text": "d", "attributable": false},
              {"text": "q", "attributable": true}]}
            """);

    assertThat(read.parts().map(Part::attributable)).containsExactly(false, true);
  }

  @Test
  void openAiTextPartsAreTextAndOtherTypesAreMediaWithoutTheirPayload() {
    Conversation read =
        withMessages(
            """
            {"role": "user", "content": [
              {"type": "text", "text": "what is this? "},
              {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
              {"type": "input_audio", "input_audio": {"data": "AAAA"}}]}
            """);

    assertThat(read.parts().map(Part::kind))
        .containsExactly(PartKind.QUESTION, PartKind.MEDIA, PartKind.MEDIA);
    assertThat(read.messages().get(0).content()).isEqualTo("what is this? ");
    assertThat(read.attributes())
        .containsOnly(
            Map.entry("messages[0].content[1].type", "image_url"),
            Map.entry("messages[0].content[2].type", "input_audio"));
  }

  @Test
  void toolCallsNeedNoContentAndKeepTheirNumbersAndOrder() {
    Conversation read =
        withMessages(
            """
            {"role": "assistant", "name": "bot", "content": null,
             "tool_calls": [{"z": 1.00, "a": 12345678901234567890123, "f": {"x": null}}]},
            {"role": "tool", "content": "42"}
            """);

    assertThat(read.messages().get(0).parts()).isEmpty();
    assertThat(read.messages().get(0).name()).isEqualTo("bot");
    assertThat(read.messages().get(0).toolCalls())
        .isEqualTo("[{\"z\":1.00,\"a\":12345678901234567890123,\"f\":{\"x\":null}}]");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"prompt\": \"Context: c\\nQ: q\"",
        "\"prompt\": [{\"text\": \"Context: c\\nQ: q\"}]"
      })
  void aRawPromptIsOneMessageWithoutATemplate(String prompt) {
    Conversation read =
        ConversationCodec.read("{\"responseId\": \"r\", " + prompt + ", \"response\": \"a\"}");

    assertThat(read.isRaw()).isTrue();
    assertThat(read.messages().get(0).parts())
        .containsExactly(Part.of(PartKind.UNKNOWN, "m0.p0", "Context: c\nQ: q"));
  }

  @Test
  void unknownFieldsBecomeAttributesAndAnExplicitAttributeWins() {
    Conversation read =
        ConversationCodec.read(
            """
            {"responseId": "r", "response": "a", "tenant": "t1", "usage": {"tokens": 7},
             "region": "lost", "nothing": null, "ok": true,
             "messages": [{"role": "user", "weight": 0.5,
                           "content": [{"text": "q", "score": 1e2, "rank": "one"}]}],
             "citations": [{"segment": "m0.p0", "start": 0, "end": 1, "by": "model"}],
             "attributes": {"region": "eu", "n": 3}}
            """);

    assertThat(read.attributes())
        .containsExactlyInAnyOrderEntriesOf(
            Map.of(
                "tenant", "t1",
                "usage", "{\"tokens\":7}",
                "region", "eu",
                "ok", "true",
                "n", "3",
                "messages[0].weight", "0.5",
                "messages[0].content[0].score", "1E+2",
                "messages[0].content[0].rank", "one",
                "citations[0].by", "model"));
  }

  @Test
  void halfASurrogatePairBecomesTheReplacementCharacterAndSpansStay() {
    Conversation read =
        withMessages(
            "{\"role\": \"user\", \"content\": [{\"text\": \"a\\ud83db\\ud83d\\ude00\","
                + " \"sources\": [[0, 3], [3, 5]]}]}");

    assertThat(read.messages().get(0).content()).isEqualTo("a\uFFFDb\uD83D\uDE00");
  }

  @Test
  void aPromptMayBeReadBeforeItIsAnswered() {
    String line =
        "{\"responseId\": \"r\", \"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}";

    assertThat(ConversationCodec.readPrompt(line).response()).isEmpty();
    assertThatThrownBy(() -> ConversationCodec.read(line)).hasMessage("response is missing");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {}                                                       | responseId is missing
          {"responseId": 7}                                        | responseId must be a string, not a number
          {"responseId": ""}                                       | responseId has 0 characters; it must have 1 to 256
          {"responseId": "r"}                                      | messages is missing
          {"responseId": "r", "messages": []}                      | messages must be a list with a message in it
          {"responseId": "r", "messages": [1]}                     | messages[0] must be an object, not a number
          {"responseId": "r", "messages": [{}]}                    | messages[0].role is missing
          {"responseId": "r", "messages": [{"role": "user"}]}      | messages[0].content is missing, and the message has no tool_calls
          {"responseId": "r", "messages": [{"role": "user", "content": 1}]} | messages[0].content must be a string or a list of parts, not a number
          {"responseId": "r", "messages": [{"role": "raw", "content": ""}]} | messages[0].role is raw: a prompt without a template stands in the field prompt
          {"responseId": "r", "prompt": "", "messages": []}        | prompt stands beside messages; a line has one of them
          {"responseId": "r", "prompt": [{"kind": "secret"}]}      | prompt[0].kind is none of unknown, instruction, question, retrieved, tool_output, history, media
          {"responseId": "r", "prompt": [{"text": "", "trust": "secret"}]} | prompt[0].trust is none of unknown, operator, user_supplied, retrieved, tool_output, model_generated, untrusted
          {"responseId": "r", "prompt": [{"id": "x"}]}             | prompt[0].text is missing
          {"responseId": "r", "prompt": [{"id": "x", "text": ""}, {"id": "x", "text": ""}]} | prompt[1].id is the same as prompt[0].id
          {"responseId": "r", "prompt": [{"text": "", "attributable": 1}]} | prompt[0].attributable must be true or false
          {"responseId": "r", "prompt": [{"text": "abc", "sources": [[0]]}]} | prompt[0].sources[0] must be [start, end]
          {"responseId": "r", "prompt": [{"text": "abc", "sources": [[2, 1]]}]} | prompt[0].sources[0] needs whole numbers 0 <= start <= end
          {"responseId": "r", "prompt": "p", "occurredAt": "yesterday", "response": ""} | occurredAt is not a time such as 2026-11-22T10:00:00Z
          {"responseId": "r", "prompt": "p", "occurredAt": "+12345-01-01T00:00:00Z", "response": ""} | occurredAt is not in the years 1 to 9999
          {"responseId": "r", "prompt": "p", "occurredAt": "0000-12-31T23:59:59Z", "response": ""} | occurredAt is not in the years 1 to 9999
          {"responseId": "r", "prompt": "p", "response": null}     | response is missing
          {"responseId": "r", "prompt": "p", "response": "", "tools": "x"} | tools must be a list, not a string
          {"responseId": "r", "prompt": "p", "response": "ab", "citations": [{"segment": "s", "start": 0, "end": 3}]} | citations[0] ends at 3, after the response, which has 2 UTF-16 code units
          {"responseId": "r", "prompt": "p", "response": "", "attributes": []} | attributes must be an object
          []                                                       | the line is not a JSON object
          """)
  void aWrongLineIsRefusedWithItsField(String line, String message) {
    assertThatThrownBy(() -> ConversationCodec.read(line))
        .isInstanceOf(ConversationFormatException.class)
        .hasMessage(message);
  }

  @Test
  void anEmptyLineIsRefused() {
    assertThatThrownBy(() -> ConversationCodec.read("")).hasMessage("the line is empty");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[[0, 4]]", // after the text
        "[[1, 1]]", // empty
        "[[1, 2], [0, 1]]", // unsorted
        "[[0, 2], [1, 3]]" // overlapping
      })
  void spansThatDoNotFitTheTextAreRefused(String sources) {
    assertThatThrownBy(
            () ->
                withMessages(
                    "{\"role\": \"user\", \"content\": [{\"text\": \"abc\", \"sources\": "
                        + sources
                        + "}]}"))
        .isInstanceOf(ConversationFormatException.class)
        .hasMessageStartingWith("messages[0].content[0].sources do not fit: ");
  }

  @Test
  void noErrorQuotesTheLine() {
    String canary = "CANARY-5f1c";
    List<String> lines =
        List.of(
            "{\"responseId\": \"" + canary,
            "{\"responseId\": " + canary + "}",
            "{\"responseId\": \"r\", \"" + canary + "\": 1, \"" + canary + "\": 2}",
            "{\"responseId\": \"r\", \"prompt\": [{\"kind\": \"" + canary + "\"}]}",
            "{\"responseId\": \"r\", \"prompt\": [{\"text\": \"" + canary + "\", \"trust\": 1}]}",
            "{\"responseId\": \"r\", \"prompt\": [{\"id\": \""
                + canary
                + "\", \"text\": \"\", \"sources\": [[0, 9]]}]}",
            "{\"responseId\": \"r\", \"prompt\": [{\"id\": \"C\", \"text\": \"\"}, {\"id\": \"C\"}]}"
                .replace("C", canary),
            "{\"responseId\": \"r\", \"prompt\": \"p\", \"response\": \""
                + canary
                + "\", \"occurredAt\": \""
                + canary
                + "\"}",
            "{\"responseId\": \"" + canary.repeat(30) + "\"}");

    for (String line : lines) {
      Throwable thrown =
          catchThrowableOfType(
              ConversationFormatException.class, () -> ConversationCodec.read(line));
      assertThat(thrown).as(line).isNotNull();
      for (Throwable t = thrown; t != null; t = t.getCause()) {
        assertThat(t.toString()).doesNotContain(canary);
      }
    }
  }

  @Test
  void hostileJsonIsRefusedWithoutBeingBuilt() {
    List<String> lines =
        List.of(
            "[".repeat(200_000),
            "{\"a\":".repeat(101) + "1" + "}".repeat(101),
            "{\"responseId\": " + "9".repeat(401) + "}",
            "{\"responseId\": \"" + "x".repeat((16 << 20) + 1) + "\"}",
            "{\"" + "n".repeat(5000) + "\": 1}",
            "{\"a\": [" + "0,".repeat(1_000_000) + "0]}");

    for (String line : lines) {
      assertThatThrownBy(() -> ConversationCodec.read(line))
          .isInstanceOf(ConversationFormatException.class)
          .hasMessageStartingWith("the line goes past a limit");
    }
  }

  @Test
  void aNumberWithAHugeExponentStaysSmall() {
    Conversation read =
        ConversationCodec.read(
            "{\"responseId\": \"r\", \"prompt\": \"p\", \"response\": \"\", \"x\": 1e999999999}");

    assertThat(read.attributes()).containsEntry("x", "1E+999999999");
  }

  @Test
  void whatCannotBeWrittenIsRefused() {
    Message broken = new Message("assistant", List.of(), "", "[secret", "");
    Conversation conversation = conversation(List.of(broken));

    assertThatThrownBy(() -> ConversationCodec.write(conversation))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("toolCalls is not JSON text")
        .hasNoCause();
    assertThatThrownBy(
            () ->
                ConversationCodec.write(
                    conversation(
                        List.of(
                            Message.of(Message.RAW, List.of()), Message.of("user", List.of())))))
        .hasMessage("a raw prompt is one message, not one of several");
  }

  private static Conversation conversation(List<Message> messages) {
    return Conversation.builder("r").messages(messages).build();
  }

  private static Conversation withMessages(String messages) {
    return ConversationCodec.read(
        "{\"responseId\": \"r\", \"response\": \"a\", \"messages\": [" + messages + "]}");
  }

  @Test
  void anAnswerThatIsAToolCallHasNoText() {
    String line =
        "{\"responseId\": \"r\", \"prompt\": \"p\", \"response\": null, \"finishReason\": \"%s\"}";

    for (String reason : List.of("tool_calls", "function_call")) {
      assertThat(ConversationCodec.read(line.formatted(reason)).response()).isEmpty();
    }
    assertThatThrownBy(() -> ConversationCodec.read(line.formatted("stop")))
        .hasMessage("response is missing");
  }

  @Test
  void theOlderFormOfAToolCallIsTheOneCallOfItsMessage() {
    Conversation read =
        ConversationCodec.read(
            """
            {"responseId": "r", "response": "a", "messages": [
              {"role": "assistant", "content": null,
               "function_call": {"name": "f", "arguments": "{\\"x\\": 1}"}},
              {"role": "function", "name": "f", "content": "42"}]}
            """);

    assertThat(read.messages().get(0).toolCalls())
        .isEqualTo(
            "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": 1}\"}}]");
    assertThat(read.messages().get(0).parts()).isEmpty();
    assertThat(read.attributes()).isEmpty();
    assertThat(ConversationCodec.read(ConversationCodec.write(read))).isEqualTo(read);
  }

  @Test
  void aRefusalIsTextOfItsMessage() {
    Conversation read =
        ConversationCodec.read(
            """
            {"responseId": "r", "response": "a", "messages": [
              {"role": "assistant", "content": [{"type": "refusal", "refusal": "I can not."}]},
              {"role": "assistant", "content": null, "refusal": "Nor this."},
              {"role": "user", "content": "why?"}]}
            """);

    assertThat(read.messages().get(0).parts())
        .containsExactly(Part.of(PartKind.HISTORY, "m0.p0", "I can not."));
    assertThat(read.messages().get(1).parts())
        .containsExactly(Part.of(PartKind.HISTORY, "m1.p0", "Nor this."));
    assertThat(read.attributes()).isEmpty();
  }
}
