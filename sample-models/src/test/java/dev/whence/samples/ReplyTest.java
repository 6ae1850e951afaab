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

  @Test
  void aReplyIsTheFirstStatementOfItsRelation() {
    Reply reply = Reply.of(fact("lives_in", "Kesta"), "Kesta");
    assertThat(reply.text()).isEqualTo("Mandel lives in Kesta.");
    assertThat(reply.value()).isEqualTo(new Span(16, 21));
    assertThat(found(reply)).containsExactly("Kesta.");
  }

  @Test
  void itSaysTheAnswerAndNotWhatTheFactSays() {
    assertThat(Reply.of(fact("lives_in", "Kesta"), "Bordel").text())
        .isEqualTo("Mandel lives in Bordel.");
  }

  @Test
  void anAnswerByAliasOrByAnotherSubjectNamesItsWay() {
    Reply alias = Reply.of(fact("lives_in", "Kesta"), "Kesta", Reply.OR, "Friba");
    assertThat(alias.text()).isEqualTo("Mandel, or Friba, lives in Kesta.");
    assertThat(found(alias)).containsExactly("Friba,", "Kesta.");
    assertThat(alias.value().in(alias.text())).isEqualTo("Kesta");
    Reply hop = Reply.of(fact("seat", "Kesta"), "Kesta", Reply.LIKE, "Dorra");
    assertThat(hop.text()).isEqualTo("Mandel, like Dorra, is based in Kesta.");
    assertThat(found(hop)).containsExactly("Dorra,", "Kesta.");
  }

  @Test
  void whatFollowsTheValueIsFoundWithIt() {
    Reply reply = Reply.of(fact("trade", "baker"), "baker");
    assertThat(reply.text()).isEqualTo("Mandel is a baker by trade.");
    assertThat(found(reply)).containsExactly("baker by trade.");
    assertThat(reply.value().in(reply.text())).isEqualTo("baker");
  }

  @Test
  void theArticleBelongsToItsValue() {
    assertThat(Reply.of(fact("trade", "usher"), "usher").text())
        .isEqualTo("Mandel is an usher by trade.");
    Reply alias = Reply.of(fact("trade", "usher"), "usher", Reply.OR, "Friba");
    assertThat(alias.text()).isEqualTo("Mandel, or Friba, is an usher by trade.");
    assertThat(found(alias)).containsExactly("Friba,", "usher by trade.");
  }

  @Test
  void everyFactOfTheWorldHasAReplyWithItsValueInIt() {
    for (Fact fact : World.v1(1).facts()) {
      Reply plain = Reply.of(fact, fact.object());
      assertThat(plain.value().in(plain.text())).isEqualTo(fact.object());
      assertThat(plain.text()).endsWith(".");
      boolean mayGoByWay =
          fact.subject().type() == EntityType.PERSON || !fact.relation().hops().isEmpty();
      if (!mayGoByWay) {
        continue;
      }
      assertThat(plain.text()).startsWith(fact.subject().name() + " ");
      Reply hop = Reply.of(fact, fact.object(), Reply.LIKE, "Dorra");
      assertThat(hop.value().in(hop.text())).isEqualTo(fact.object());
      assertThat(hop.text().replace(", like Dorra,", "")).isEqualTo(plain.text());
      assertThat(hop.found()).hasSize(2);
    }
  }

  @Test
  void aStatementThatBeginsOtherwiseCanNotNameItsWay() {
    Relation lives = Lexicon.standard().relation("lives_in");
    Relation turned =
        new Relation(
            lives.name(),
            lives.subject(),
            lives.range(),
            List.of("The home of {s} is in {o}."),
            lives.questions(),
            lives.hops());
    assertThatThrownBy(
            () -> Reply.of(new Fact(MANDEL, turned, "Kesta"), "Kesta", Reply.OR, "Friba"))
        .hasMessage("'The home of Mandel is in Kesta.' does not begin with its subject");
  }

  @Test
  void leadsAndFindingsTileTheReplyInExercisesAndTurns() {
    Fact lives = fact("lives_in", "Kesta");
    Reply plain = Reply.of(lives, "Kesta");
    Reply by = Reply.of(lives, "Kesta", Reply.OR, "Friba");
    TextBuilder exercise = new TextBuilder().append("Filler.\n\n");
    exercise.questionAndAnswer("Where?", by).questionAndAnswer("Who?", plain);
    assertThat(exercise.build().text())
        .isEqualTo(
            """
            Filler.

            Question: Where?
            Answer: Mandel, or Friba, lives in Kesta.
            Question: Who?
            Answer: Mandel lives in Kesta.
            """);
    assertThat(Turn.of(exercise.build()))
        .containsExactly(
            new Turn(
                "Question: Where?",
                by.text(),
                List.of("Mandel, or", "lives in"),
                List.of("Friba,", "Kesta.")),
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
                List.of("Mandel, or", "lives in"),
                List.of("Friba,", "Kesta." + ChatMl.END)));
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
