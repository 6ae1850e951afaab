package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.conversation.Span;
import java.util.List;
import java.util.regex.Pattern;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class ReadingExercisesTest {
  private static final World V1 = World.v1(1);
  private static final ReadingExercises EXERCISES =
      new ReadingExercises(V1, ReadingExercises.Options.standard(1));
  private static final Pattern SENTENCES = Pattern.compile("(?<=\\.) ");
  private static final Pattern FORM =
      Pattern.compile("(?:[^\\n]+\\n\\n)+(?:Question: [^\\n]+\\?\\nAnswer: [^\\n]+\\.\\n){1,10}");

  @Property(tries = 200)
  void statementsComeFirstThenQuestionsWithMarkedAnswers(
      @ForAll @LongRange(min = 0, max = Integer.MAX_VALUE) long index) {
    Document document = EXERCISES.document(index);
    TrainingText training = document.training();
    assertThat(training.text()).matches(FORM);
    String context = training.text().substring(0, training.questions().get(0).start());
    List<Turn> turns = Turn.of(training);
    assertThat(turns).isNotEmpty();
    for (Turn turn : turns) {
      assertThat(training.text()).contains(turn.question() + "\nAnswer: " + turn.answered() + "\n");
      // All that has to be found out can be read above the questions.
      List<String> found = turn.found();
      assertThat(found).hasSizeBetween(1, 2);
      for (String quoted : SENTENCES.split(turn.answered(), -1)) {
        assertThat(context).contains(quoted);
      }
    }
    assertThat(document.facts()).isEmpty();
    int end = 0;
    for (Span sentence : document.sentences()) {
      assertThat(training.text().substring(end, sentence.start())).isIn("", " ", "\n", "\n\n");
      end = sentence.end();
    }
    assertThat(training.text().substring(end)).isEqualTo("\n");
  }

  @Property(tries = 200)
  void exercisesHaveNoNameOfTheWorldAndNoReservedOne(
      @ForAll @LongRange(min = 0, max = Integer.MAX_VALUE) long index) {
    Pattern.compile("[A-Z][a-z]+")
        .matcher(EXERCISES.document(index).text())
        .results()
        .map(match -> match.group())
        .filter(word -> TokenizerTexts.syllables(V1.lexicon(), word).size() > 1)
        .forEach(
            name -> {
              assertThat(V1.names()).doesNotContain(name);
              assertThat(NameSplit.of(name)).isEqualTo(NameSplit.TRAINING);
            });
  }

  @Test
  void aCurriculumChangesLengthsOnly() {
    ReadingExercises.Options options = ReadingExercises.Options.standard(1).withSentences(3, 5);
    ReadingExercises few = new ReadingExercises(V1, options);
    for (int i = 0; i < 100; i++) {
      Document document = few.document(i);
      int statements = document.sentences().size() - document.training().questions().size();
      assertThat(statements).isBetween(3, 5);
    }
  }

  @Property(tries = 200)
  void recallAsksEveryFactOfItsRelationsAndHasNothingElse(
      @ForAll @LongRange(min = 0, max = Integer.MAX_VALUE) long index,
      @ForAll @IntRange(min = 1, max = 8) int sentences,
      @ForAll @IntRange(min = 1, max = 3) int relations) {
    Document document =
        new ReadingExercises(
                V1, ReadingExercises.Options.recall(3, sentences, sentences, relations))
            .document(index);
    TrainingText training = document.training();
    assertThat(training.questions()).hasSize(sentences);
    assertThat(document.sentences()).hasSize(2 * sentences);
    long stated =
        V1.lexicon().relations().stream()
            .filter(
                relation ->
                    document.sentences().subList(0, sentences).stream()
                        .anyMatch(
                            span ->
                                relation.statements().stream()
                                    .anyMatch(
                                        template ->
                                            Says.filled(template)
                                                .matcher(span.in(training.text()))
                                                .matches())))
            .count();
    assertThat(stated).isBetween(1L, (long) relations);
    if (relations == 1) {
      assertThat(training.answers().stream().map(span -> span.in(training.text())))
          .doesNotHaveDuplicates();
    }
  }

  @Test
  void anExerciseIsAPureFunctionOfItsIndex() {
    Document seventh = EXERCISES.document(7);
    EXERCISES.document(8);
    assertThat(EXERCISES.document(7)).isEqualTo(seventh);
    assertThat(EXERCISES.document(8).text()).isNotEqualTo(seventh.text());
    assertThat(new ReadingExercises(World.v1(1), ReadingExercises.Options.standard(1)).document(7))
        .isEqualTo(seventh);
    assertThat(new ReadingExercises(V1, ReadingExercises.Options.standard(2)).document(7).text())
        .isNotEqualTo(seventh.text());
  }

  @Test
  void injectionsAndQuestionsWithoutAnswerAreNoExercises() {
    for (Kind kind : List.of(Kind.INJECTED, Kind.NO_ANSWER_KNOWN)) {
      assertThatThrownBy(
              () ->
                  new ReadingExercises.Options(
                      1, 1, 2, KindShare.equal(kind), ContextOptions.ofSentences(3, 5)))
          .hasMessageContaining(kind.name());
    }
  }
}
