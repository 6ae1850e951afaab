package dev.whence.samples.recipes;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.LossWeights;
import dev.whence.samples.Kind;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.TrainingText;
import dev.whence.samples.World;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TokenWeightsTest {
  private static final TokenWeights WEIGHTS = new TokenWeights(0.1f, 0.2f, 0.3f, 1);
  private static final World V1 = World.v1(1);

  private static Tokenizer tokenizer;

  @BeforeAll
  static void open() {
    tokenizer = Small.tokenizer(700);
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  /** Text of the tokens that have a weight, piece by piece where other weights stand between. */
  private static List<String> pieces(Example example, float weight) {
    List<String> pieces = new ArrayList<>();
    List<Integer> run = new ArrayList<>();
    for (int i = 0; i <= example.length(); i++) {
      if (i < example.length() && example.lossWeights()[i] == weight) {
        run.add(example.tokens()[i]);
      } else if (!run.isEmpty()) {
        int[] ids = run.stream().mapToInt(Integer::intValue).toArray();
        pieces.add(tokenizer.decode(ids, false).strip());
        run.clear();
      }
    }
    return pieces;
  }

  @ParameterizedTest
  @EnumSource(
      value = Kind.class,
      names = {"DIRECT", "ALIAS", "TWO_HOP"})
  void eachTokenHasTheWeightOfWhereItStands(Kind kind) {
    Question question =
        new Questions(V1, QuestionOptions.evaluation(5, kind).withSentences(4, 4)).question(2);
    String value = question.response().substring(question.reply().value().start());
    List<String> found = new ArrayList<>();
    List<String> leads = new ArrayList<>();
    String before = question.response().substring(0, question.reply().value().start()).strip();
    if (kind == Kind.DIRECT) {
      leads.add(before);
    } else {
      // "Mandel is also known as Friba. Friba has a house in"
      int after = before.indexOf('.') + 1;
      int via = before.lastIndexOf(' ', after - 1) + 1;
      leads.add(before.substring(0, via).strip());
      found.add(before.substring(via, after));
      leads.add(before.substring(after).strip());
    }
    found.add(value);
    for (Function<Question, Example> form :
        List.<Function<Question, Example>>of(
            q -> WEIGHTS.example(q.exercise(), tokenizer),
            q -> WEIGHTS.example(q.training(), tokenizer))) {
      Example example = form.apply(question);
      List<String> expected = new ArrayList<>(found);
      if (example.tokens()[0] == tokenizer.idOf("<|im_start|>")) {
        expected.set(found.size() - 1, value + "<|im_end|>");
      }
      assertThat(pieces(example, 1)).isEqualTo(expected);
      assertThat(pieces(example, 0.3f)).isEqualTo(leads);
      assertThat(pieces(example, 0.2f)).containsExactly("Question: " + question.question());
      assertThat(pieces(example, 0)).hasSize(1);
      assertThat(example.lossWeights()[0]).isZero();
      assertThat(String.join("", pieces(example, 0.1f)))
          .contains(question.passages().get(0).text().substring(20));
    }
  }

  @Test
  void spacesWithinAnAnswerCountWithWhatFollowsThem() {
    TrainingText text =
        new Questions(V1, QuestionOptions.evaluation(5, Kind.TWO_HOP).withSentences(4, 4))
            .question(2)
            .training();
    List<LossWeights.Span> apart = WEIGHTS.of(text).spans();
    List<LossWeights.Span> joined = new TokenWeights(0.1f, 0.2f, 0.3f, 1, true).of(text).spans();
    // the question; lead, name, lead, value
    assertThat(apart)
        .extracting(LossWeights.Span::weight)
        .containsExactly(0.2f, 0.3f, 1f, 0.3f, 1f);
    assertThat(joined)
        .extracting(LossWeights.Span::weight)
        .containsExactly(0.2f, 0.3f, 1f, 0.3f, 1f);
    assertThat(joined.subList(0, 2)).isEqualTo(apart.subList(0, 2));
    for (int i = 2; i < apart.size(); i++) {
      assertThat(joined.get(i).start()).isEqualTo(apart.get(i).start() - 1);
      assertThat(joined.get(i).start()).isEqualTo(joined.get(i - 1).end());
      assertThat(joined.get(i).end()).isEqualTo(apart.get(i).end());
      assertThat(text.text().charAt(joined.get(i).start())).isEqualTo(' ');
    }
  }
}
