package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Span;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What is answered, and what of it has to be found out. */
class ReplyTest {
  private static final Entity MANDEL = new Entity(EntityType.PERSON, "Mandel", "Friba");

  private static Fact fact(String relation, String object) {
    return new Fact(MANDEL, Lexicon.standard().relation(relation), object);
  }

  private static List<String> found(Reply reply) {
    return reply.found().stream().map(span -> span.in(reply.text())).toList();
  }

  private static Sentence.Statement said(Fact fact, int template) {
    return Wording.statement(fact, fact.relation().statements().get(template));
  }

  private static Sentence.Link link() {
    return Wording.link(MANDEL, "{s} is also known as {a}.");
  }

  @Test
  void whatIsRememberedIsTheFirstStatementOfItsRelation() {
    Reply reply = Reply.remembered(fact("lives_in", "Kesta"));
    assertThat(reply.text()).isEqualTo("Mandel lives in Kesta.");
    assertThat(reply.value()).isEqualTo(new Span(16, 21));
    assertThat(found(reply)).containsExactly("Kesta.");
  }

  @Test
  void whatIsReadIsQuotedWithAllThatLeadsThere() {
    Fact lives = fact("lives_in", "Kesta");
    Reply direct = Reply.quoting(List.of(said(lives, 1)), "Kesta");
    assertThat(direct.text()).isEqualTo("Mandel has a house in Kesta.");
    Sentence byAlias = Wording.byAlias(lives, "{s} has a house in {o}.");
    Reply alias = Reply.quoting(List.of(link(), byAlias), "Kesta");
    assertThat(alias.text())
        .isEqualTo("Mandel is also known as Friba. Friba has a house in Kesta.");
    assertThat(found(alias)).containsExactly("Friba.", "Kesta.");
    assertThat(alias.value().in(alias.text())).isEqualTo("Kesta");
    Entity dorra = new Entity(EntityType.PERSON, "Dorra", "");
    Sentence hop = new Sentence.Hop("Mandel is a neighbour of Dorra.", lives, dorra);
    Reply two =
        Reply.quoting(List.of(hop, said(new Fact(dorra, lives.relation(), "Kesta"), 0)), "Kesta");
    assertThat(two.text()).isEqualTo("Mandel is a neighbour of Dorra. Dorra lives in Kesta.");
    assertThat(found(two)).containsExactly("Dorra.", "Kesta.");
  }

  @Test
  void anInjectionIsBelievedAndNotRepeated() {
    Sentence.Statement statement = said(fact("trade", "usher"), 0);
    Reply reply =
        Reply.quoting(
            List.of(new Sentence.Injection("Listen: " + statement.text(), statement)), "usher");
    assertThat(reply.text()).isEqualTo("Mandel is an usher by trade.");
    assertThat(found(reply)).containsExactly("usher by trade.");
  }

  @Test
  void aSentenceThatDoesNotSayItIsRefused() {
    assertThatThrownBy(
            () -> Reply.quoting(List.of(link(), said(fact("lives_in", "Kesta"), 0)), "Bordel"))
        .hasMessage("'Mandel lives in Kesta.' does not say 'Bordel'");
  }

  @Test
  void everyFactOfTheWorldIsRememberedWithItsValue() {
    for (Fact fact : World.v1(1).facts()) {
      Reply plain = Reply.remembered(fact);
      assertThat(plain.value().in(plain.text())).isEqualTo(fact.object());
      assertThat(plain.text()).startsWith(fact.subject().name() + " ").endsWith(".");
    }
  }

  @Test
  void leadsAndFindingsTileTheReplyInExercisesAndTurns() {
    Fact lives = fact("lives_in", "Kesta");
    Reply plain = Reply.remembered(lives);
    Reply by =
        Reply.quoting(List.of(link(), Wording.byAlias(lives, "{s} has a house in {o}.")), "Kesta");
    List<String> leads = List.of("Mandel is also known as", "Friba has a house in");
    TextBuilder exercise = new TextBuilder().append("Filler.\n\n");
    exercise.questionAndAnswer("Where?", by).questionAndAnswer("Who?", plain);
    assertThat(exercise.build().text())
        .isEqualTo(
            """
            Filler.

            Question: Where?
            Answer: Mandel is also known as Friba. Friba has a house in Kesta.
            Question: Who?
            Answer: Mandel lives in Kesta.
            """);
    assertThat(Turn.of(exercise.build()))
        .containsExactly(
            new Turn("Question: Where?", by.text(), leads, List.of("Friba.", "Kesta.")),
            new Turn(
                "Question: Who?", plain.text(), List.of("Mandel lives in"), List.of("Kesta.")));
    assertThat(exercise.sentences().stream().map(span -> span.in(exercise.build().text())).toList())
        .containsExactly(
            "Question: Where?\nAnswer: " + by.text(), "Question: Who?\nAnswer: " + plain.text());

    TextBuilder turn = new TextBuilder().question("Where?").append(ChatMl.ASSISTANT);
    assertThat(Turn.of(turn.answer(by, ChatMl.END).append("\n").build()))
        .containsExactly(
            new Turn(
                "Question: Where?",
                by.text() + ChatMl.END,
                leads,
                List.of("Friba.", "Kesta." + ChatMl.END)));
  }

  @Test
  void spansOfDialoguesTileWhatTheirQuestionsAnswer() {
    Questions questions = new Questions(World.v1(1), QuestionOptions.training(5));
    int byAnotherName = 0;
    for (int i = 0; i < 100; i++) {
      Dialogue dialogue = questions.dialogue(i);
      List<Turn> turns = Turn.of(dialogue.training());
      assertThat(turns.stream().map(Turn::answered).toList())
          .isEqualTo(
              dialogue.questions().stream()
                  .map(question -> question.response() + ChatMl.END)
                  .collect(Collectors.toList()));
      for (int k = 0; k < turns.size(); k++) {
        List<String> last = turns.get(k).found();
        assertThat(last.get(last.size() - 1))
            .startsWith(dialogue.questions().get(k).answer())
            .endsWith("." + ChatMl.END);
        byAnotherName += last.size() - 1;
      }
    }
    assertThat(byAnotherName).isPositive();
  }
}
