package dev.whence.schemas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Trust;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.PromptMessage;
import dev.whence.schemas.avro.PromptPart;
import dev.whence.schemas.avro.SegmentKind;
import dev.whence.schemas.avro.SegmentTrust;
import dev.whence.schemas.avro.TextSpan;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LlmResponsesTest {
  private static final String LINE =
      """
      {"responseId": "r-1", "model": "acme/chat-1", "occurredAt": "2026-11-22T10:00:00.123Z",
       "messages": [
         {"role": "system", "content": "be brief"},
         {"role": "assistant", "name": "bot", "content": null, "tool_calls": [{"id": "c1"}]},
         {"role": "tool", "tool_call_id": "c1", "content": "42 \\ud83d\\ude00"},
         {"role": "user", "content": [
           {"kind": "retrieved", "id": "doc-7", "title": "T", "uri": "u:7", "trust": "untrusted",
            "text": "One. Two.", "sources": [[0, 5], [5, 9]], "attributable": false},
           {"type": "image_url", "image_url": {"url": "u"}}, {"text": "why?"}]}],
       "reasoning": "hm", "response": "Two.", "finishReason": "stop", "tools": [{"a": 1}],
       "citations": [{"segment": "doc-7", "start": 0, "end": 3}],
       "conversationId": "c", "subjectId": "s",
       "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
       "attributes": {"app": "support", "": "empty name"}}
      """;

  @Test
  void aConversationComesBackFromItsBytesUnchanged() throws IOException {
    Conversation conversation = ConversationCodec.read(LINE);

    assertThat(LlmResponses.fromAvro(overTheWire(LlmResponses.toAvro(conversation))))
        .isEqualTo(conversation);
  }

  @Test
  void everyKindAndTrustHasItsOwnSymbol() throws IOException {
    for (PartKind kind : PartKind.values()) {
      for (Trust trust : Trust.values()) {
        Part part = new Part(kind, "p", "", "", trust, "", false, List.of());
        Conversation conversation = withPart(part);
        LlmResponse avro = overTheWire(LlmResponses.toAvro(conversation));

        assertThat(LlmResponses.fromAvro(avro)).isEqualTo(conversation);
        PromptPart stored = avro.getMessages().get(0).getParts().get(0);
        assertThat(stored.getKind().name()).isEqualTo(kind.name());
        assertThat(stored.getTrust().name()).isEqualTo(trust.name());
      }
    }
    assertThat(Arrays.stream(SegmentKind.values()).map(Enum::name))
        .containsExactlyElementsOf(Arrays.stream(PartKind.values()).map(Enum::name).toList());
    assertThat(Arrays.stream(SegmentTrust.values()).map(Enum::name))
        .containsExactlyElementsOf(Arrays.stream(Trust.values()).map(Enum::name).toList());
  }

  @Test
  void timeBelowAMillisecondIsCutOffBeforeItIsWritten() {
    Conversation conversation =
        ConversationCodec.read(LINE.replace("10:00:00.123Z", "10:00:00.123999Z"));

    assertThat(LlmResponses.toAvro(conversation).getOccurredAt())
        .isEqualTo(Instant.parse("2026-11-22T10:00:00.123Z"));
  }

  @Test
  void aTextCutInTheMiddleOfAnEmojiIsWrittenWithTheReplacementCharacter() throws IOException {
    Conversation conversation = withPart(Part.of(PartKind.QUESTION, "p", "why \uD83D"));

    assertThat(
            overTheWire(LlmResponses.toAvro(conversation))
                .getMessages()
                .get(0)
                .getParts()
                .get(0)
                .getText())
        .isEqualTo("why \uFFFD");
  }

  @Test
  void recordsThatAreNoConversationAreRefusedWithTheirFieldAndWithoutTheirText() {
    PromptPart spanned =
        PromptPart.newBuilder()
            .setId("secret")
            .setText("secret")
            .setSources(List.of(TextSpan.newBuilder().setStart(0).setEnd(9).build()))
            .build();
    PromptPart negative =
        PromptPart.newBuilder()
            .setId("p")
            .setSources(List.of(TextSpan.newBuilder().setStart(-1).setEnd(9).build()))
            .build();

    assertThatThrownBy(() -> LlmResponses.fromAvro(of("user", spanned)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "messages[0].parts[0]: a span of sources, [0, 9) ends after the text, which has 6"
                + " UTF-16 code units");
    assertThatThrownBy(() -> LlmResponses.fromAvro(of("user", negative)))
        .hasMessage("messages[0].parts[0].sources: span [-1, 9) is not a range");
    assertThatThrownBy(() -> LlmResponses.fromAvro(of(""))).hasMessage("messages[0].role is empty");
    assertThatThrownBy(
            () -> LlmResponses.fromAvro(LlmResponse.newBuilder().setResponseId("r").build()))
        .hasMessage("messages is empty");
  }

  /** Python's clients fail at such a time, so it must not be repeated in what is written of it. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "+10000-01-01T00:00:00Z",
        "0000-12-31T23:59:59.999Z",
        "+58868-10-13T11:46:40Z" // microseconds where milliseconds are meant
      })
  void aTimeThatNotEveryClientCanReadIsRefused(String time) {
    LlmResponse record =
        LlmResponse.newBuilder(LlmResponses.toAvro(ConversationCodec.read(LINE)))
            .setOccurredAt(Instant.parse(time))
            .build();

    assertThatThrownBy(() -> LlmResponses.fromAvro(record))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "occurredAt is not in the years 1 to 9999; milliseconds since 1970 are expected");
  }

  private static Conversation withPart(Part part) {
    Conversation read = ConversationCodec.read(LINE);
    return Conversation.builder(read.responseId())
        .occurredAt(read.occurredAt())
        .messages(List.of(Message.of("user", List.of(part))))
        .response(read.response())
        .attributes(read.attributes())
        .build();
  }

  private static LlmResponse of(String role, PromptPart... parts) {
    return LlmResponse.newBuilder()
        .setResponseId("r")
        .setMessages(
            List.of(PromptMessage.newBuilder().setRole(role).setParts(List.of(parts)).build()))
        .build();
  }

  private static LlmResponse overTheWire(LlmResponse record) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
    new SpecificDatumWriter<>(LlmResponse.class).write(record, encoder);
    encoder.flush();
    return new SpecificDatumReader<>(LlmResponse.class)
        .read(null, DecoderFactory.get().binaryDecoder(out.toByteArray(), null));
  }
}
