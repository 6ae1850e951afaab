package dev.whence.attribution;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Answerer;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Evidence;
import dev.whence.samples.Kind;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Attribution where the truth is known: the bundled chat-v1 answers questions about worlds that it
 * has never seen, and the generator of the question knows which sentence holds the answer.
 */
class GroundTruthTest {
  private static final int QUESTIONS = 40;

  @TempDir static Path directory;
  private static LocalScorer scorer;

  /** A question with what the model answered and what exact leave-one-out says about it. */
  private record Attributed(Question question, Conversation answered, AttributionResult result) {
    boolean isRight() {
      return answered.response().equals(question.response());
    }

    SourceScore top() {
      return result.sources().stream()
          .max(Comparator.comparingDouble(SourceScore::tau))
          .orElseThrow();
    }

    double groundedness() {
      return result.groundedness().orElseThrow();
    }
  }

  @BeforeAll
  static void open() throws IOException {
    System.setProperty(BundledModels.DIRECTORY_PROPERTY, directory.toString());
    scorer =
        LocalScorer.open(
            ModelFiles.open(BundledModels.unpack(BundledModels.CHAT)),
            EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu"));
  }

  @AfterAll
  static void close() {
    scorer.close();
    System.clearProperty(BundledModels.DIRECTORY_PROPERTY);
  }

  @Test
  void theSentenceThatHoldsTheAnswerHasTheLargestTau() {
    List<Attributed> right = attributed(Kind.DIRECT).stream().filter(Attributed::isRight).toList();
    assertThat(right).as("the model reads").hasSizeGreaterThan(QUESTIONS / 2);
    long found = right.stream().filter(one -> isOneOf(one.top(), one.question().truth())).count();
    assertThat((double) found / right.size()).isGreaterThanOrEqualTo(0.95);
  }

  @Test
  void aFactThatIsSaidTwiceHasNoTauOfItsOwnButGrounds() {
    List<Attributed> once = attributed(Kind.DIRECT).stream().filter(Attributed::isRight).toList();
    List<Attributed> twice =
        attributed(Kind.DUPLICATED).stream().filter(Attributed::isRight).toList();
    assertThat(twice).hasSizeGreaterThan(QUESTIONS / 4);
    double tauOnce = once.stream().mapToDouble(one -> one.top().tau()).average().orElseThrow();
    double tauTwice = twice.stream().mapToDouble(one -> one.top().tau()).average().orElseThrow();
    double grounded = once.stream().mapToDouble(Attributed::groundedness).average().orElseThrow();
    double groundedTwice =
        twice.stream().mapToDouble(Attributed::groundedness).average().orElseThrow();
    assertThat(tauTwice).as("largest tau, said twice").isLessThan(tauOnce / 2);
    assertThat(groundedTwice).as("groundedness, said twice").isGreaterThan(grounded * 0.8);
  }

  @Test
  void anAnswerThatTheContextDoesNotHoldIsUngrounded() {
    double grounded =
        attributed(Kind.DIRECT).stream()
            .filter(Attributed::isRight)
            .mapToDouble(Attributed::groundedness)
            .average()
            .orElseThrow();
    List<Attributed> fromMemory =
        attributed(Kind.NO_ANSWER_KNOWN).stream()
            .filter(one -> !one.result().sources().isEmpty())
            .filter(Attributed::isRight)
            .toList();
    assertThat(fromMemory).as("the model remembers").hasSizeGreaterThan(QUESTIONS / 8);
    double ungrounded =
        fromMemory.stream().mapToDouble(Attributed::groundedness).average().orElseThrow();
    assertThat(grounded).isGreaterThan(5);
    assertThat(ungrounded).isLessThan(grounded / 5);
  }

  private static List<Attributed> attributed(Kind kind) {
    Questions questions =
        new Questions(
            World.v1(1),
            QuestionOptions.evaluation(4, kind).withSentences(5, 14).withMemory(0, false, 10));
    Answerer answerer = new Answerer(scorer);
    Attributor attributor = new Attributor(scorer, AttributionOptions.DEFAULT);
    List<Attributed> all = new ArrayList<>();
    for (int i = 0; i < QUESTIONS; i++) {
      Question question = questions.question(i);
      Conversation answered = answerer.answer(question.conversation(), 24);
      all.add(new Attributed(question, answered, attributor.attribute(answered)));
    }
    return all;
  }

  private static boolean isOneOf(SourceScore source, List<Evidence> truth) {
    return truth.stream()
        .anyMatch(
            one ->
                one.part().equals(source.segment())
                    && one.span().start() < source.span().end()
                    && source.span().start() < one.span().end());
  }
}
