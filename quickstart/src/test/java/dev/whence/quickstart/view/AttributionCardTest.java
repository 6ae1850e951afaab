package dev.whence.quickstart.view;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionStatus;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.Span;
import dev.whence.quickstart.view.AttributionView.Source;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AttributionCardTest {
  private static final String ESCAPE = "\u001b";
  private static final String FIRST = "Lilu is a spirit. ";
  private static final String SECOND = "It is related to the demon Gallu. ";
  private static final String THIRD = "Some dice are sold in boxes of thirteen.";

  @Test
  void sourcesAreColouredByTheirShareAndTheStrongestCarryRankAndNats() {
    // Shares of 8 + 1.5 + .5 = 10 nats: 80 %, 15 %, 5 %.
    List<String> lines = lines(view(12, 8, 1.5, .5), 80);
    String text = String.join("\n", lines);

    assertThat(text).contains(Style.heat(5).begin() + "Lilu is a spirit.");
    assertThat(text).contains(Style.heat(3).begin() + "It is related to the demon Gallu.");
    assertThat(text).contains(Style.heat(1).begin() + "Some dice are sold");
    assertThat(visible(text).replaceAll("\\s+", " "))
        .contains("[1] Lilu is a spirit. +8.00 nats")
        .contains("[2] It is related to the demon Gallu. +1.50 nats")
        .contains("groundedness 12.00 nats (1.50 per token)")
        .contains("3 sources")
        .contains("1,234 ms")
        .contains("toy fp32");
  }

  @Test
  void aSourceThatSpeaksAgainstTheAnswerIsColdAndHasNoRank() {
    String text = String.join("\n", lines(view(7, 8, -3, 0), 80));

    assertThat(text).contains(Style.heat(-4).begin() + "It is related to the demon Gallu.");
    assertThat(visible(text).replaceAll("\\s+", " "))
        .contains("Gallu. -3.00")
        .doesNotContain("[2]");
  }

  @Test
  void onlyTheSourcesWithTheLargestTauAreShownWhereSoManyAreAskedFor() {
    AttributionView cut = view(12, 8, 1.5, .5).withTop(1);
    String text = String.join("\n", lines(cut, 80));

    assertThat(text)
        .contains(Style.heat(5).begin() + "Lilu is a spirit.")
        .doesNotContain(Style.heat(3).begin() + "It is related")
        .doesNotContain(Style.heat(1).begin() + "Some dice");
    assertThat(visible(text).replaceAll("\\s+", " "))
        .contains("the 1 largest of 3 sources")
        .contains("Dice · 1 source, not among the 1 largest")
        .doesNotContain("[2]");
  }

  @Test
  void noiseStaysColdInsteadOfBeingStretchedOverThePalette() {
    List<String> lines = lines(view(.02, .01, -.01, .004), 80);

    String text = String.join("\n", lines);
    assertThat(text).doesNotContain(Style.heat(1).begin()).doesNotContain(Style.heat(-1).begin());
    assertThat(visible(text))
        .contains("doc-1 · 2 sources, each below 0.05 nats")
        .contains("Dice · 1 source, below 0.05 nats")
        .contains("no source matters by 1 nat: the model answered from what it knows");
  }

  @Test
  void evidenceThatIsThereTwiceIsNotCalledUngrounded() {
    assertThat(visible(String.join(" ", lines(view(12, .2, .2, 0), 200))).replaceAll(" +", " "))
        .contains("no single source matters by 1 nat, but the context does");
  }

  @Test
  void withoutColoursTheSourcesAreListedByRankWithTheirNumbersInThePrompt() {
    List<String> lines = AttributionCard.lines(view(12, 1.5, 8, 0), 3, Terminal.plain(nowhere()));

    assertThat(lines)
        .containsExactly(
            "#3 r-1 SCORED",
            "  question: If Gallu is a demon, Lilu is what?",
            "  answer: A spirit.",
            "  source 2: +8.00 nats, 84 %, doc-1 [18, 52): \"It is related to the demon Gallu.\"",
            "  source 1: +1.50 nats, 16 %, doc-1 [0, 18): \"Lilu is a spirit.\"",
            "  groundedness 12.00 nats (1.50 per token), 3 sources, 1,234 ms, exact-loo, toy fp32,"
                + " target asked, and the fast path was right");
    assertThat(String.join("", lines)).doesNotContain(ESCAPE);
  }

  @Test
  void sourcesThatSayNearlyTheSameAreNamedTogether() {
    AttributionView.Group group = new AttributionView.Group(List.of(0, 2), 7.25);
    AttributionView view = view(conversation("A spirit."), List.of(group), 9, 1, 2, 3);
    assertThat(visible(String.join(" ", lines(view, 160))))
        .contains("sources 1, 3 say nearly the same: together +7.25 nats");
  }

  @Test
  void theReasoningHasALineOfItsOwnAndChangesNoOther() {
    AttributionView plain = view(12, 1.5, 8, 0);
    AttributionView.Reasoning reasoning =
        new AttributionView.Reasoning(
            1200,
            OptionalDouble.of(24),
            OptionalDouble.of(.02),
            List.of(
                new Source("doc-2", new Span(0, 9), 15.5),
                new Source("doc-1", new Span(0, 18), 3)));
    AttributionView reasoned =
        new AttributionView(
            plain.conversation(),
            plain.status(),
            plain.reason(),
            plain.method(),
            plain.scorer(),
            plain.surrogate(),
            plain.sources(),
            plain.groups(),
            plain.groundedness(),
            plain.groundednessPerToken(),
            plain.noiseFloor(),
            Optional.of(reasoning),
            plain.path(),
            plain.tokens(),
            plain.seconds());
    List<String> lines = AttributionCard.lines(reasoned, 3, Terminal.plain(nowhere()));

    String note =
        "  note: reasoning of 1,200 tokens, scored apart: groundedness 24.00 nats (0.02 per token),"
            + " driven by doc-2 [0, 9) +15.50, doc-1 [0, 18) +3.00";
    assertThat(lines).contains(note);
    assertThat(lines.stream().filter(line -> !line.equals(note)))
        .containsExactlyElementsOf(AttributionCard.lines(plain, 3, Terminal.plain(nowhere())));
  }

  @Test
  void whatCouldNotBeScoredSaysWhy() {
    AttributionView unsupported =
        new AttributionView(
            conversation("A spirit."),
            AttributionStatus.UNSUPPORTED,
            "the prompt has 9,000 tokens, the model takes 8,192",
            "",
            "",
            false,
            List.of(),
            List.of(),
            OptionalDouble.empty(),
            OptionalDouble.empty(),
            OptionalDouble.empty(),
            Optional.empty(),
            "",
            0,
            0);

    assertThat(visible(String.join("\n", lines(unsupported, 80))))
        .contains("UNSUPPORTED")
        .contains("the prompt has 9,000 tokens, the model takes 8,192");
  }

  @ParameterizedTest
  @ValueSource(ints = {40, 57, 80, 120})
  void noLineIsWiderThanTheTerminal(int columns) {
    for (String line : lines(view(12, 8, 1.5, .5), columns)) {
      assertThat(DisplayText.width(visible(line))).as(line).isLessThanOrEqualTo(columns);
    }
  }

  @Property(tries = 300)
  void anyTextFitsAndCanNotControlTheTerminal(
      @ForAll String response, @ForAll @IntRange(min = 40, max = 120) int columns) {
    AttributionView view = view(conversation(response), 12, 8, 1.5, .5);
    for (String line : lines(view, columns)) {
      String visible = visible(line);
      assertThat(visible.chars().noneMatch(Character::isISOControl)).isTrue();
      assertThat(DisplayText.width(visible)).isLessThanOrEqualTo(columns);
    }
  }

  @Test
  void escapeSequencesInTheTextAreShownNotObeyed() {
    String text =
        String.join("\n", lines(view(conversation("\u001b[2Jgone\u202e"), 9, 8, 0, 0), 80));

    assertThat(text).contains("\uFFFD[2Jgone").doesNotContain("\u001b[2J").doesNotContain("\u202e");
  }

  private static List<String> lines(AttributionView view, int columns) {
    return AttributionCard.lines(view, 1, new Terminal(nowhere(), true, true, () -> columns));
  }

  private static PrintStream nowhere() {
    return new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8);
  }

  private static String visible(String line) {
    return line.replaceAll("\u001b\\[[0-9;]*m", "");
  }

  private static Conversation conversation(String response) {
    String prompt =
        ("{'responseId':'r-1','messages':[{'role':'user','content':["
                + "{'kind':'retrieved','id':'doc-1','text':'%s%s'},"
                + "{'kind':'retrieved','id':'doc-2','title':'Dice','text':'%s'},"
                + "{'kind':'question','text':'Question: If Gallu is a demon, Lilu is what?'}]}]}")
            .formatted(FIRST, SECOND, THIRD)
            .replace('\'', '"');
    Conversation asked = ConversationCodec.readPrompt(prompt);
    return asked.answeredBy(asked.model(), response, "stop");
  }

  private static AttributionView view(double groundedness, double... taus) {
    return view(conversation("A spirit."), groundedness, taus);
  }

  private static AttributionView view(
      Conversation conversation, double groundedness, double... taus) {
    return view(conversation, List.of(), groundedness, taus);
  }

  private static AttributionView view(
      Conversation conversation,
      List<AttributionView.Group> groups,
      double groundedness,
      double... taus) {
    int first = FIRST.length();
    List<Source> sources = new ArrayList<>();
    sources.add(new Source("doc-1", new Span(0, first), taus[0]));
    sources.add(new Source("doc-1", new Span(first, first + SECOND.length()), taus[1]));
    sources.add(new Source("doc-2", new Span(0, THIRD.length()), taus[2]));
    return new AttributionView(
        conversation,
        AttributionStatus.SCORED,
        "",
        "exact-loo",
        "toy fp32",
        false,
        sources,
        groups,
        OptionalDouble.of(groundedness),
        OptionalDouble.of(groundedness / 8),
        OptionalDouble.of(.01),
        Optional.empty(),
        "target asked, and the fast path was right",
        2000,
        1.234);
  }
}
