package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.training.Teacher.Lesson;
import dev.whence.engine.weights.ModelFiles;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TeacherTest {
  private static final TrainingOptions OPTIONS =
      TrainingOptions.of(new Schedule.Constant(1e-2, 0))
          .withEngine(EngineOptions.defaults().withDevice("cpu"));
  private static final String TEXT = "The mill stands by the river. It was built of stone.";

  private static Example example() {
    return Example.of(IntStream.range(3, 20).map(i -> (i * 37) % 157 + 3).toArray());
  }

  /** An example of which only some tokens count. */
  private static Example of(Example example, int... counted) {
    float[] weights = new float[example.length()];
    for (int i : counted) {
      weights[i] = 1;
    }
    return new Example(example.tokens(), weights);
  }

  private static float[] told(Example example, int token, double loss) {
    float[] losses = new float[example.length()];
    Arrays.fill(losses, Float.NaN);
    losses[token] = (float) loss;
    return losses;
  }

  /** That gradients are a factor times those without a teacher. */
  private static void assertTimes(
      double factor, Map<String, float[]> plain, Map<String, float[]> taught) {
    double largest = largest(plain);
    assertThat(largest).as("the largest gradient").isGreaterThan(1e-2);
    plain.forEach(
        (name, gradient) -> {
          for (int i = 0; i < gradient.length; i++) {
            assertThat((double) taught.get(name)[i])
                .as("%s at %d", name, i)
                .isCloseTo(factor * gradient[i], within(1e-4 * largest));
          }
        });
  }

  private static double largest(Map<String, float[]> gradients) {
    double largest = 0;
    for (float[] gradient : gradients.values()) {
      for (float g : gradient) {
        largest = Math.max(largest, Math.abs(g));
      }
    }
    return largest;
  }

  @Test
  void theLossesOfTokensAddUpToThatOfTheirExample() {
    try (Trainer trainer = GradientFixture.read("qwen3").trainer(OPTIONS)) {
      List<Example> examples = List.of(of(example(), 4, 5, 9), example(), of(example(), 1));
      float[][] losses = trainer.tokenLosses(examples);
      double[] sums = trainer.losses(examples);
      for (int i = 0; i < sums.length; i++) {
        double sum = 0;
        for (int token = 0; token < losses[i].length; token++) {
          boolean counts = examples.get(i).lossWeights()[token] != 0;
          assertThat(Float.isNaN(losses[i][token])).isEqualTo(!counts);
          sum += counts ? losses[i][token] : 0;
        }
        assertThat(sum).isCloseTo(sums[i], within(1e-4));
      }
    }
  }

  @Test
  void aTokenIsDrawnToTheTeachersLossByHubersSlope() {
    Example one = of(example(), 6);
    try (Trainer trainer = GradientFixture.read("qwen3").trainer(OPTIONS)) {
      double loss = trainer.tokenLosses(List.of(one))[0][6];
      Map<String, float[]> plain = trainer.gradients(List.of(one));
      for (double above : new double[] {0, 0.25, -0.5, 7, -40}) {
        Example taught = one.taught(told(one, 6, loss - above));
        double slope = Math.max(-1, Math.min(1, above));
        assertTimes(slope, plain, trainer.gradients(List.of(taught)));
      }
      float[] silent = new float[one.length()];
      Arrays.fill(silent, Float.NaN);
      assertTimes(1, plain, trainer.gradients(List.of(one.taught(silent))));
    }
  }

  @Test
  void whatIsToldBesideATaughtExampleIsLearntAsBefore() {
    Example taught = of(example(), 6);
    Example plain = of(Example.of(5, 9, 31, 77, 12), 1, 2, 3, 4);
    try (Trainer trainer = GradientFixture.read("pythia").trainer(OPTIONS)) {
      Map<String, float[]> alone = trainer.gradients(List.of(plain));
      float loss = trainer.tokenLosses(List.of(taught))[0][6];
      Map<String, float[]> both =
          trainer.gradients(List.of(plain, taught.taught(told(taught, 6, loss))));
      assertTimes(4.0 / 5, alone, both); // the mean is over one token more
    }
  }

  @Test
  void tokensThatGoOnAreToldOneLossTogether() {
    Example three = of(example(), 6, 7, 8);
    try (Trainer trainer = GradientFixture.read("qwen3").trainer(OPTIONS)) {
      float[] losses = trainer.tokenLosses(List.of(three))[0];
      float sum = losses[6] + losses[7] + losses[8];
      Map<String, float[]> plain = trainer.gradients(List.of(three));
      float[] told = told(three, 6, sum - 0.5);
      told[7] = Example.GOES_ON;
      told[8] = Example.GOES_ON;
      assertTimes(0.5, plain, trainer.gradients(List.of(three.taught(told))));
      told[8] = losses[8];
      told[6] = losses[6] + losses[7];
      assertTimes(0, plain, trainer.gradients(List.of(three.taught(told))));
    }
  }

  @Test
  void piecesOfExamplesSideBySideAreToldApart() {
    Example one = of(Example.of(5, 9, 31, 77, 12), 3, 4);
    Example other = of(Example.of(8, 40, 3, 14, 100), 1, 2);
    try (Trainer trainer = GradientFixture.read("qwen3").trainer(OPTIONS)) {
      float[][] losses = trainer.tokenLosses(List.of(one, other));
      float[] toldOne = told(one, 3, losses[0][3] + losses[0][4] - 0.5);
      toldOne[4] = Example.GOES_ON;
      float[] toldOther = told(other, 1, losses[1][1] + losses[1][2]);
      toldOther[2] = Example.GOES_ON;
      Map<String, float[]> alone = trainer.gradients(List.of(one));
      for (List<Example> both :
          List.of(
              List.of(one.taught(toldOne), other.taught(toldOther)),
              List.of(other.taught(toldOther), one.taught(toldOne)))) {
        // the mean is over four tokens, not two
        assertTimes(0.5 * 2 / 4, alone, trainer.gradients(both));
      }
    }
  }

  @Test
  void aTokenThatGoesOnWithNothingIsRefused() {
    Example one = of(example(), 6, 8);
    float[] told = told(one, 6, 1);
    told[8] = Example.GOES_ON;
    assertThatThrownBy(() -> one.taught(told))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("token 8 goes on");
    Example gap = of(example(), 6);
    float[] beyond = told(gap, 6, 1);
    beyond[7] = Example.GOES_ON;
    assertThatThrownBy(() -> gap.taught(beyond)).hasMessageContaining("token 7 goes on");
    assertThatThrownBy(() -> one.taught(new float[2])).hasMessageContaining("17 tokens, not 2");
  }

  private static Encoding spanning(int... ends) {
    int[] starts = new int[ends.length];
    System.arraycopy(ends, 0, starts, 1, ends.length - 1);
    return new Encoding(IntStream.range(0, ends.length).toArray(), starts, ends);
  }

  @Test
  void aStudentOfTheSameTokensIsToldEachTokensLoss() {
    try (ModelFiles files = ModelFiles.open(GradientFixture.read("smollm2").directory());
        Teacher teacher = Teacher.of(files, OPTIONS.engine(), 512);
        Trainer same = Trainer.from(files.config(), files.weights(), OPTIONS)) {
      Encoding encoding = files.tokenizer().encode(TEXT);
      float[] weights = Example.of(encoding.ids()).lossWeights();
      weights[2] = 0;
      Example taught = teacher.teach(List.of(new Lesson(TEXT, encoding, weights))).get(0);
      assertThat(taught.lossWeights()).isEqualTo(weights);
      float[] losses = same.tokenLosses(List.of(Example.of(encoding.ids())))[0];
      losses[2] = Float.NaN;
      assertThat(taught.teacherLosses()).containsExactly(losses, offset(1e-4f));
    }
  }

  @Test
  void aStudentOfOtherTokensIsToldWhatBothSplitAlike() {
    try (ModelFiles files = ModelFiles.open(GradientFixture.read("smollm2").directory());
        Teacher teacher = Teacher.of(files, OPTIONS.engine(), 512);
        Trainer same = Trainer.from(files.config(), files.weights(), OPTIONS)) {
      Encoding own = files.tokenizer().encode(TEXT);
      float[] losses = same.tokenLosses(List.of(Example.of(own.ids())))[0];
      int[] ends = own.ends();
      // The student splits the third token in two, and joins the fifth to seventh.
      assertThat(ends[2] - ends[1]).as("a token of several characters").isGreaterThan(1);
      Encoding other = spanning(ends[0], ends[1], ends[2] - 1, ends[2], ends[3], ends[6], ends[7]);
      float[] weights = {0, 1, 1, 1, 0, 1, 1};
      Example taught = teacher.teach(List.of(new Lesson(TEXT, other, weights))).get(0);
      assertThat(taught.lossWeights()).isEqualTo(weights);
      float[] told = taught.teacherLosses();
      assertThat(told[0]).isNaN();
      assertThat(told[1]).isCloseTo(losses[1], within(1e-4f));
      assertThat(told[2]).isCloseTo(losses[2], within(1e-4f));
      assertThat(told[3]).isEqualTo(Example.GOES_ON);
      assertThat(told[4]).isNaN();
      assertThat(told[5]).isCloseTo(losses[4] + losses[5] + losses[6], within(1e-4f));
      assertThat(told[6]).isCloseTo(losses[7], within(1e-4f));
      // A piece that counts in part is left out.
      float[] partly = {0, 1, 1, 0, 0, 1, 1};
      taught = teacher.teach(List.of(new Lesson(TEXT, other, partly))).get(0);
      assertThat(taught.lossWeights()).containsExactly(0, 1, 0, 0, 0, 1, 1);
      assertThat(taught.teacherLosses()[2]).isNaN();
    }
  }

  @Test
  void tokensThatShareACharacterAreToldTogether() {
    try (ModelFiles files = ModelFiles.open(GradientFixture.read("smollm2").directory());
        Teacher teacher = Teacher.of(files, OPTIONS.engine(), 512);
        Trainer same = Trainer.from(files.config(), files.weights(), OPTIONS)) {
      Encoding own = files.tokenizer().encode(TEXT);
      float[] losses = same.tokenLosses(List.of(Example.of(own.ids())))[0];
      int[] ends = own.ends();
      // The student has three tokens where the teacher has its third one, all of the same range.
      Encoding bytes = spanning(ends[0], ends[1], ends[2], ends[2], ends[2], ends[3]);
      float[] weights = {0, 1, 1, 1, 1, 1};
      float[] told =
          teacher.teach(List.of(new Lesson(TEXT, bytes, weights))).get(0).teacherLosses();
      assertThat(told[2]).isCloseTo(losses[2], within(1e-4f));
      assertThat(told[3]).isEqualTo(Example.GOES_ON);
      assertThat(told[4]).isEqualTo(Example.GOES_ON);
      assertThat(told[5]).isCloseTo(losses[3], within(1e-4f));
    }
  }

  @Test
  void aTeacherWhoseTokensHardlyEverEndWhereTheStudentsDoIsRefused() {
    try (ModelFiles files = ModelFiles.open(GradientFixture.read("smollm2").directory());
        Teacher teacher = Teacher.of(files, OPTIONS.engine(), 512)) {
      Encoding all = spanning(1, TEXT.length());
      Lesson lesson = new Lesson(TEXT, all, new float[] {0, 1});
      int[] ends = files.tokenizer().encode(TEXT).ends();
      assertThat(ends[0]).as("the teacher's first token is longer").isGreaterThan(1);
      assertThatThrownBy(() -> teacher.teach(List.of(lesson)))
          .isInstanceOfSatisfying(
              EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.MODEL))
          .hasMessageContaining("The teacher can tell 0 % of what its student is to learn");
    }
  }

  @Test
  void aTextThatTheTeacherCanNotReadIsRefusedByItsName() {
    try (ModelFiles files = ModelFiles.open(GradientFixture.read("smollm2").directory());
        Teacher teacher = Teacher.of(files, OPTIONS.engine(), 512)) {
      String text = "mill ".repeat(files.config().maxPositions() + 2);
      Encoding encoding = files.tokenizer().encode(text);
      Lesson lesson = new Lesson(text, encoding, new float[encoding.length()]);
      assertThatThrownBy(() -> teacher.teach(List.of(lesson)))
          .isInstanceOfSatisfying(
              EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.RECORD))
          .hasMessageContaining(encoding.length() + " tokens for the teacher");
    }
  }

  @Test
  void aStudentComesToItsTeachersLossesWhateverTheyAre() {
    Example wanted = example();
    float[] losses = new float[wanted.length()];
    for (int i = 0; i < losses.length; i++) {
      losses[i] = i % 3 * 6; // 0, 6 or 12 nats
    }
    Example taught = wanted.taught(losses);
    try (Trainer trainer = GradientFixture.read("smollm2").trainer(OPTIONS)) {
      for (int i = 0; i < 150; i++) {
        trainer.step(List.of(taught));
      }
      float[] learnt = trainer.tokenLosses(List.of(wanted))[0];
      for (int i = 1; i < losses.length; i++) {
        assertThat(learnt[i]).as("token %d", i).isCloseTo(losses[i], within(1f));
      }
    }
  }
}
