package dev.whence.conversation;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.arbitraries.StringArbitrary;

class ConversationCodecPropertyTest {

  @Property(tries = 500)
  void whatIsWrittenIsReadBackEqual(@ForAll("conversations") Conversation conversation) {
    String line = ConversationCodec.write(conversation);

    assertThat(line).doesNotContain("\n", "\r");
    assertThat(ConversationCodec.read(line)).isEqualTo(conversation);
  }

  @Property(tries = 500)
  void aLineThatIsReadIsWrittenOnceAndForAll(@ForAll("conversations") Conversation conversation) {
    String line = ConversationCodec.write(conversation);

    assertThat(ConversationCodec.write(ConversationCodec.read(line))).isEqualTo(line);
  }

  @Property(tries = 1000)
  void aDamagedLineIsReadOrRefusedButNeverAnythingElse(
      @ForAll("conversations") Conversation conversation,
      @ForAll int at,
      @ForAll char replacement) {
    StringBuilder line = new StringBuilder(ConversationCodec.write(conversation));
    line.setCharAt(Math.floorMod(at, line.length()), replacement);

    try {
      assertThat(ConversationCodec.read(line.toString()).responseId()).isNotEmpty();
    } catch (ConversationFormatException e) {
      assertThat(e.field()).isNotEmpty();
    }
  }

  @Property
  void wellFormedTextHasTheSameLengthAndSurvivesUtf8(@ForAll String text) {
    String wellFormed = WellFormedText.of(text);

    byte[] utf8 = wellFormed.getBytes(StandardCharsets.UTF_8);
    assertThat(new String(utf8, StandardCharsets.UTF_8)).isEqualTo(wellFormed);
    assertThat(wellFormed).hasSameSizeAs(text);
  }

  @Provide
  Arbitrary<Conversation> conversations() {
    Arbitrary<List<Message>> messages =
        Arbitraries.oneOf(
            message().list().ofMinSize(1).ofMaxSize(4).map(ConversationCodecPropertyTest::numbered),
            parts().map(parts -> numbered(List.of(Message.of(Message.RAW, parts)))));
    Arbitrary<Instant> times =
        Arbitraries.longs()
            .between(0, 253_402_300_799L)
            .flatMap(
                second ->
                    Arbitraries.integers()
                        .between(0, 999_999_999)
                        .map(nano -> Instant.ofEpochSecond(second, nano)));
    Arbitrary<Map<String, String>> attributes =
        Arbitraries.maps(texts().ofMaxLength(8), texts()).ofMaxSize(3);
    return Combinators.combine(
            texts().ofMinLength(1).ofMaxLength(20), times, messages, texts(), json(), attributes)
        .flatAs(
            (id, at, prompt, response, tools, extra) ->
                citations(response)
                    .map(
                        citations ->
                            Conversation.builder(id)
                                .model("m " + id)
                                .occurredAt(at)
                                .messages(prompt)
                                .reasoning("why" + id)
                                .response(response)
                                .finishReason("stop")
                                .citations(citations)
                                .tools(tools)
                                .conversationId(id)
                                .attributes(extra)
                                .build()));
  }

  private static StringArbitrary texts() {
    // Whole code points: halves of pairs are not written, see WellFormedText.
    return Arbitraries.strings()
        .withChars("aZ 0\"\\/{}[]:,\n\r\t\u0000\u2028\u00e9\uFFFD\u4e2d")
        .ofMaxLength(12);
  }

  private static Arbitrary<String> emoji() {
    return Arbitraries.of("", "\uD83D\uDE00", "\uD83D\uDC68\u200D\uD83D\uDC69");
  }

  private static Arbitrary<String> json() {
    return Arbitraries.of("", "[]", "[{\"a\":[1,2.50,-3E+7,null,true,\"x\\\"y\"]}]", "[[[{}]]]");
  }

  private static Arbitrary<List<Citation>> citations(String response) {
    return Arbitraries.integers()
        .between(0, response.length())
        .map(end -> new Citation("doc", new Span(end / 2, end)))
        .list()
        .ofMaxSize(2);
  }

  private static Arbitrary<Message> message() {
    return Combinators.combine(
            Arbitraries.of("system", "developer", "user", "assistant", "tool", "narrator"),
            parts(),
            texts(),
            json(),
            texts())
        .as(Message::new);
  }

  private static Arbitrary<List<Part>> parts() {
    return part().list().ofMaxSize(4);
  }

  private static Arbitrary<Part> part() {
    return Combinators.combine(
            Arbitraries.of(PartKind.class),
            Combinators.combine(texts(), emoji(), texts()).as((a, b, c) -> a + b + c),
            texts(),
            Arbitraries.of(Trust.class),
            Arbitraries.of(true, false),
            Arbitraries.of(true, false))
        .as(
            (kind, text, title, trust, attributable, spans) ->
                new Part(
                    kind,
                    "to be numbered",
                    title,
                    title + "#",
                    trust,
                    text,
                    attributable,
                    spans && !text.isEmpty() ? List.of(new Span(0, text.length())) : List.of()));
  }

  /** Ids must be unique; half of them are those that a reader would give. */
  private static List<Message> numbered(List<Message> messages) {
    List<Message> out = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      List<Part> parts = new ArrayList<>();
      for (int j = 0; j < message.parts().size(); j++) {
        Part part = message.parts().get(j);
        String id = (part.title().length() % 2 == 0 ? "m" + i + ".p" : "doc " + i + "\"") + j;
        parts.add(
            new Part(
                part.kind(),
                id,
                part.title(),
                part.uri(),
                part.trust(),
                part.text(),
                part.attributable(),
                part.sources()));
      }
      out.add(
          new Message(
              message.role(), parts, message.name(), message.toolCalls(), message.toolCallId()));
    }
    return out;
  }
}
