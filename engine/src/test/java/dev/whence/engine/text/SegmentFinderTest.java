package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.text.SegmentFinder.NotFound;
import dev.whence.engine.text.jinja.Strings;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** Parts in prompts that a template wrote, of which the test knows where it wrote them. */
class SegmentFinderTest {
  /** What the template makes of one message. */
  private record Turn(String before, boolean trims, boolean json, String after) {}

  /** A rendered prompt, and where each message's content begins in it. */
  private record Rendered(String text, String skeleton, List<String> markers, List<Integer> at) {}

  @Property(tries = 1000)
  void withItsSkeletonEveryPartIsWhereTheTemplateWroteIt(
      @ForAll("messages") List<List<String>> contents, @ForAll("turns") List<Turn> turns)
      throws NotFound {
    List<Message> messages = messages(contents);
    Rendered rendered = render(messages, turns);
    List<RenderedPrompt.Segment> segments =
        SegmentFinder.find(
            messages, rendered.text(), Optional.of(rendered.skeleton()), rendered.markers());
    assertStands(messages, rendered.text(), segments);
    for (RenderedPrompt.Segment segment : segments) {
      Message message = messages.get(segment.message());
      Span written = written(message, turns.get(segment.message() % turns.size()));
      int start = partStart(message, segment.part());
      int from = Math.min(Math.max(start, written.start()), written.end());
      String before = message.content().substring(written.start(), from);
      boolean json = turns.get(segment.message() % turns.size()).json();
      assertThat(segment.rendered().start())
          .isEqualTo(
              rendered.at().get(segment.message()) + (json ? inJson(before) : before).length());
    }
  }

  @Property(tries = 1000)
  void withoutASkeletonEveryPartIsWhereTheTemplateWroteItOrNothingIsSaid(
      @ForAll("messages") List<List<String>> contents, @ForAll("turns") List<Turn> turns) {
    List<Message> messages = messages(contents);
    List<Turn> whole =
        turns.stream().map(t -> new Turn(t.before(), false, false, t.after())).toList();
    Rendered rendered = render(messages, whole);
    List<RenderedPrompt.Segment> segments;
    try {
      segments =
          SegmentFinder.find(messages, rendered.text(), Optional.empty(), rendered.markers());
    } catch (NotFound e) {
      assertThat(e.getMessage()).contains("more than once");
      return;
    }
    assertStands(messages, rendered.text(), segments);
    for (RenderedPrompt.Segment segment : segments) {
      assertThat(segment.rendered().start())
          .isEqualTo(
              rendered.at().get(segment.message())
                  + partStart(messages.get(segment.message()), segment.part()));
    }
  }

  @Property(tries = 500)
  void aPromptThatTheTemplateDidNotWriteIsPlacedInOrderOrNotAtAll(
      @ForAll("messages") List<List<String>> contents, @ForAll("text") String text) {
    List<Message> messages = messages(contents);
    try {
      assertStands(messages, text, SegmentFinder.find(messages, text, Optional.empty(), List.of()));
    } catch (NotFound e) {
      assertThat(e.getMessage()).isNotBlank();
    }
  }

  /** Each segment's text stands where it is said to, in order, one after the other. */
  private static void assertStands(
      List<Message> messages, String text, List<RenderedPrompt.Segment> segments) {
    long withText =
        messages.stream().flatMap(m -> m.parts().stream()).filter(p -> !p.text().isEmpty()).count();
    assertThat(segments).hasSize((int) withText);
    int end = 0;
    for (RenderedPrompt.Segment segment : segments) {
      String kept = segment.kept().in(segment.part().text());
      assertThat(segment.rendered().in(text)).isIn(kept, inJson(kept));
      assertThat(segment.rendered().start()).isGreaterThanOrEqualTo(end);
      end = segment.rendered().end();
    }
  }

  private static String inJson(String text) {
    return text.replace("\"", "\\\"").replace("\n", "\\n");
  }

  private static int partStart(Message message, Part part) {
    int start = 0;
    for (Part other : message.parts()) {
      if (other.id().equals(part.id())) {
        return start;
      }
      start += other.text().length();
    }
    throw new AssertionError(part.id());
  }

  private static Span written(Message message, Turn turn) {
    String content = message.content();
    if (!turn.trims()) {
      return new Span(0, content.length());
    }
    int end = Strings.strip(content, false, true).length();
    int start = Math.min(end, content.length() - Strings.strip(content, true, false).length());
    return new Span(start, end);
  }

  private static Rendered render(List<Message> messages, List<Turn> turns) {
    StringBuilder text = new StringBuilder();
    StringBuilder skeleton = new StringBuilder();
    List<String> markers = new ArrayList<>();
    List<Integer> at = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      Turn turn = turns.get(i % turns.size());
      String marker = "\u0001" + i + "\u0002";
      markers.add(marker);
      text.append(turn.before());
      at.add(text.length());
      String content = written(messages.get(i), turn).in(messages.get(i).content());
      text.append(turn.json() ? inJson(content) : content);
      text.append(turn.after());
      skeleton.append(turn.before()).append(marker).append(turn.after());
    }
    return new Rendered(text.toString(), skeleton.toString(), markers, at);
  }

  private static List<Message> messages(List<List<String>> contents) {
    List<Message> messages = new ArrayList<>();
    for (int i = 0; i < contents.size(); i++) {
      List<Part> parts = new ArrayList<>();
      for (int k = 0; k < contents.get(i).size(); k++) {
        parts.add(Part.of(PartKind.RETRIEVED, i + "." + k, contents.get(i).get(k)));
      }
      messages.add(Message.of("user", parts));
    }
    return messages;
  }

  /** Few pieces, so that one text often stands in another, and in the template. */
  @Provide
  Arbitrary<String> text() {
    return Arbitraries.of("a", "b", "ab", " ", "\n", "<u>", "😀", "e\u0301", "\"")
        .list()
        .ofMaxSize(5)
        .map(pieces -> String.join("", pieces));
  }

  @Provide
  Arbitrary<List<List<String>>> messages() {
    return text().list().ofMinSize(1).ofMaxSize(3).list().ofMinSize(1).ofMaxSize(4);
  }

  @Provide
  Arbitrary<List<Turn>> turns() {
    Arbitrary<Turn> turn =
        net.jqwik.api.Combinators.combine(
                Arbitraries.of("<u>", "a: ", "\n", "<s>"),
                Arbitraries.of(true, false),
                Arbitraries.of(true, false),
                Arbitraries.of("<e>", "</u>\n", "|"))
            .as(Turn::new);
    return turn.list().ofMinSize(1).ofMaxSize(3);
  }
}
