package dev.whence.attribution.source;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.Granularity;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ToyTemplate;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.conversation.Trust;
import dev.whence.engine.text.RenderedPrompt;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class ContextReaderTest {
  private static final String TEXT = "One is. Two is.\n\nThree is. Four is.\n\n\nFive.";

  private static PromptReading read(Granularity granularity, Part... parts) {
    RenderedPrompt prompt = new ToyTemplate().render(Conversations.of("So.", "stop", parts));
    ContextReader reader =
        new ContextReader(
            new AttributionOptions(
                MethodOptions.of("exact-loo").withKeepParagraphs(3), granularity, 0, false, ""),
            new Partitioner());
    try {
      return reader.read(prompt);
    } catch (ContextPattern.TooSlowException e) {
      throw new AssertionError(e);
    }
  }

  private static List<String> texts(PromptReading reading) {
    return reading.sources().stream().map(Source::text).toList();
  }

  @Test
  void theGranularityCutsSentencesParagraphsOrSegments() {
    Part part = Conversations.document("d", TEXT);
    assertThat(texts(read(Granularity.SENTENCE, part)))
        .containsExactly("One is. ", "Two is.", "Three is. ", "Four is.", "Five.");
    assertThat(texts(read(Granularity.PARAGRAPH, part)))
        .containsExactly("One is. Two is.", "Three is. Four is.", "Five.");
    assertThat(texts(read(Granularity.SEGMENT, part))).containsExactly(TEXT);
  }

  @Test
  void sentencesKnowTheirParagraphOverTheWholePrompt() {
    PromptReading reading =
        read(
            Granularity.SENTENCE,
            Conversations.document("a", TEXT),
            Conversations.question("What? "),
            Conversations.document("b", "Six. Seven."));
    assertThat(reading.sources())
        .extracting(Source::paragraph)
        .containsExactly(0, 0, 1, 1, 2, 3, 3);
    assertThat(reading.paragraphs()).isEqualTo(4);
  }

  @Test
  void theCallersSpansBelongToTheParagraphThatTheyBeginIn() {
    PromptReading reading =
        read(
            Granularity.SENTENCE,
            Conversations.document(
                "a", TEXT, new Span(0, 3), new Span(8, 20), new Span(20, 25), new Span(38, 42)),
            Conversations.document("b", "Six.", new Span(0, 2)));
    assertThat(reading.sources()).extracting(Source::paragraph).containsExactly(0, 0, 1, 2, 3);
    assertThat(reading.context()).hasSize(5);
  }

  private static final String LONG = "The cat sat on the mat. ".repeat(50);

  private static PromptReading readAll(Part... parts) {
    return readAs(true, "", parts);
  }

  private static PromptReading readAs(boolean all, String pattern, Part... parts) {
    RenderedPrompt prompt = new ToyTemplate().render(Conversations.of("So.", "stop", parts));
    ContextReader reader =
        new ContextReader(
            new AttributionOptions(
                MethodOptions.of("exact-loo"), Granularity.SEGMENT, 0, all, pattern),
            new Partitioner());
    try {
      return reader.read(prompt);
    } catch (ContextPattern.TooSlowException e) {
      throw new AssertionError(e);
    }
  }

  private static List<String> segments(PromptReading reading) {
    return reading.sources().stream().map(Source::segment).toList();
  }

  @Test
  void earlierTurnsDoNotKeepAFlattenedMessageShut() {
    Part[] turns = {
      Part.of(PartKind.HISTORY, "earlier", "Hello. "),
      Part.of(PartKind.HISTORY, "answered", "Hello, too. "),
      Conversations.question("Context: " + LONG + "Where is the cat?")
    };
    assertThat(segments(readAll(turns))).containsExactly("earlier", "answered", "question");
    assertThat(readAll(turns).longWithoutSource()).isFalse();

    PromptReading declared = readAs(false, "", turns);
    assertThat(segments(declared)).containsExactly("earlier", "answered");
    assertThat(declared.longWithoutSource()).isTrue();

    PromptReading matched = readAs(false, "Context: (.*)Where", turns);
    assertThat(segments(matched)).containsExactly("earlier", "answered", "question");
    assertThat(matched.longWithoutSource()).isFalse();
  }

  @Test
  void documentsInASystemMessageAreOpenedBesideAQuestion() {
    Part system = Conversations.instruction("Answer from this. " + LONG);
    Part question = Conversations.question("Where is the cat?");
    assertThat(segments(readAll(system, question))).containsExactly("instruction");
    Part history = Part.of(PartKind.HISTORY, "h", "Hello. ");
    assertThat(segments(readAll(system, history, question))).containsExactly("instruction", "h");
    assertThat(readAs(false, "", system, history, question).longWithoutSource()).isTrue();
  }

  @Test
  void longInstructionsBesideDocumentsAreInstructions() {
    Part system = Conversations.instruction(LONG);
    Part document = Conversations.document("d", "It ran. ");
    assertThat(readAs(false, "", system, document).longWithoutSource()).isFalse();
    assertThat(
            readAs(false, "", document, Conversations.question("Where? " + LONG))
                .longWithoutSource())
        .isTrue();
  }

  @Test
  void aShortQuestionBesideEarlierTurnsIsNoSource() {
    PromptReading reading =
        readAll(
            Conversations.instruction("Be kind. "),
            Part.of(PartKind.HISTORY, "h", "Hello. "),
            Conversations.question("Where is the cat?"));
    assertThat(segments(reading)).containsExactly("h");
    assertThat(reading.longWithoutSource()).isFalse();
  }

  @Test
  void aLongDocumentThatWasExcludedStaysExcluded() {
    Part excluded =
        new Part(PartKind.RETRIEVED, "x", "", "", Trust.UNKNOWN, LONG, false, List.of());
    PromptReading reading = readAll(excluded, Conversations.document("d", "It ran. "));
    assertThat(segments(reading)).containsExactly("d");
    assertThat(reading.longWithoutSource()).isFalse();
  }

  @Test
  void whatTheTemplateTrimsStaysWithTheSourceAndIsNotInThePrompt() {
    String text = " \n One is. \n";
    for (Granularity granularity : Granularity.values()) {
      PromptReading reading = read(granularity, Conversations.document("a", text));
      int from = granularity == Granularity.SEGMENT ? 0 : 3;
      assertThat(reading.sources()).extracting(Source::span).containsExactly(new Span(from, 12));
      assertThat(texts(reading)).containsExactly(text.substring(from));
      assertThat(reading.sources().get(0).rendered().in(reading.prompt().text()))
          .isEqualTo("One is.");
      assertThat(reading.context()).containsExactly(reading.sources().get(0).rendered());
    }
    assertThat(read(Granularity.SEGMENT, Conversations.document("a", " \n ")).sources()).isEmpty();
  }

  @Property(tries = 300)
  void sourcesAreTheSameWhateverTheTemplateTrims(
      @ForAll("parts") List<String> texts, @ForAll Granularity granularity) {
    Part[] parts = new Part[texts.size()];
    Part[] inside = new Part[parts.length + 2];
    inside[0] = Conversations.instruction("So.");
    inside[parts.length + 1] = Conversations.question("So?");
    for (int i = 0; i < parts.length; i++) {
      parts[i] = Conversations.document("p" + i, texts.get(i));
      inside[i + 1] = parts[i];
    }
    PromptReading trimmed = read(granularity, parts);
    PromptReading whole = read(granularity, inside);
    assertThat(trimmed.sources().stream().map(one -> one.withRendered(NOWHERE)))
        .containsExactlyElementsOf(
            whole.sources().stream().map(one -> one.withRendered(NOWHERE)).toList());
  }

  private static final Span NOWHERE = new Span(0, 0);

  @Property(tries = 300)
  void aSourceIsTheSameTextInItsPartAndInTheRenderedPrompt(
      @ForAll("parts") List<String> texts, @ForAll Granularity granularity) {
    Part[] parts = new Part[texts.size()];
    for (int i = 0; i < parts.length; i++) {
      parts[i] =
          i % 3 == 2
              ? Part.of(PartKind.UNKNOWN, "p" + i, texts.get(i))
              : Conversations.document("p" + i, texts.get(i));
    }
    PromptReading reading = read(granularity, parts);
    int end = 0;
    int paragraph = 0;
    for (Source source : reading.sources()) {
      // But for white space at the ends of the message.
      assertThat(source.rendered().in(reading.prompt().text()).strip())
          .isEqualTo(source.text().strip());
      assertThat(source.text()).contains(source.rendered().in(reading.prompt().text()));
      int index = Integer.parseInt(source.segment().substring(1));
      assertThat(source.span().in(texts.get(index))).isEqualTo(source.text());
      assertThat(source.rendered().start()).isGreaterThanOrEqualTo(end);
      assertThat(source.paragraph()).isGreaterThanOrEqualTo(paragraph);
      assertThat(reading.context())
          .anyMatch(
              c -> c.start() <= source.rendered().start() && source.rendered().end() <= c.end());
      end = source.rendered().end();
      paragraph = source.paragraph();
    }
  }

  @Provide
  Arbitrary<List<String>> parts() {
    return Arbitraries.of("One is. ", "Two", " ", "\n", "\n\n", "東京。", "🎉", ". ", "Dr. X")
        .list()
        .ofMaxSize(8)
        .map(list -> String.join("", list))
        .list()
        .ofMinSize(1)
        .ofMaxSize(5);
  }
}
