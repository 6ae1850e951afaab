package dev.whence.samples.recipes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.Schedule;
import dev.whence.engine.training.Teacher;
import dev.whence.engine.training.Trainer;
import dev.whence.engine.training.TrainingOptions;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Corpus;
import dev.whence.samples.CorpusOptions;
import dev.whence.samples.Document;
import dev.whence.samples.ReadingExercises;
import dev.whence.samples.TrainingText;
import dev.whence.samples.World;
import dev.whence.samples.recipes.Mixture.Endless;
import dev.whence.samples.recipes.Mixture.Finite;
import dev.whence.samples.recipes.Mixture.Stage;
import dev.whence.samples.recipes.Mixture.Taught;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class MixtureTest {
  private static final EngineOptions CPU = EngineOptions.defaults().withDevice("cpu");
  private static final TokenWeights PLAIN = new TokenWeights(1, 1, 1, 1);

  private static Tokenizer tokenizer;

  @BeforeAll
  static void open() {
    tokenizer = Small.tokenizer(400);
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  private static Mixture of(long seed, Stage... stages) {
    return new Mixture(List.of(stages), seed, tokenizer, 1024);
  }

  /** Made from nothing at every call, as by another process. */
  private static Mixture fresh(long seed) {
    World world = Recipes.tinyWorld();
    List<TrainingText> corpus =
        new Corpus(world, CorpusOptions.standard(1))
            .documents().stream().map(Document::training).toList();
    ReadingExercises exercises =
        new ReadingExercises(world, ReadingExercises.Options.standard(1).withSentences(2, 4));
    return of(
        seed,
        new Stage(
            1,
            1000,
            List.of(
                new Endless(1, PLAIN, index -> exercises.document(index).training()),
                new Finite(1, PLAIN, corpus))));
  }

  private static List<String> texts(List<Example> batch) {
    return batch.stream().map(example -> Arrays.toString(example.tokens())).toList();
  }

  @Test
  void aBatchIsAPureFunctionOfSeedAndStep() {
    Mixture mixture = fresh(3);
    List<String> seventh = texts(mixture.batch(7));
    List<String> eighth = texts(mixture.batch(8));
    assertThat(texts(fresh(3).batch(8))).isEqualTo(eighth).isNotEqualTo(seventh);
    assertThat(texts(mixture.batch(7))).isEqualTo(seventh);
    assertThat(texts(fresh(4).batch(7))).isNotEqualTo(seventh);
  }

  @Test
  void aBatchHasItsTokensAndNoTextTooMany() {
    Mixture mixture = fresh(3);
    for (int step = 1; step <= 10; step++) {
      List<Example> batch = mixture.batch(step);
      int all = batch.stream().mapToInt(Example::length).sum();
      assertThat(all).isGreaterThanOrEqualTo(1000);
      assertThat(all - batch.get(batch.size() - 1).length()).isLessThan(1000);
    }
  }

  @Test
  void onlyWhatIsTaughtHasTheTeachersLossesAndNothingIsTaughtWithoutOne() throws IOException {
    TrainingText text = new TrainingText("It rains.", List.of(), List.of(), List.of());
    Mixture mixture =
        of(
            3,
            new Stage(
                1, 100, List.of(new Taught(1, PLAIN, index -> text), always(1, "It snows."))));
    assertThatThrownBy(() -> mixture.batch(1))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("step 1 is learnt from a teacher");
    List<Mixture.Drawn> drawn = mixture.texts(1);
    assertThat(drawn.stream().map(Mixture.Drawn::taught)).contains(true, false);
    try (ModelFiles files = ModelFiles.open(BundledModels.unpack("proxy"));
        Teacher teacher = Teacher.of(files, CPU, 512);
        Trainer same =
            Trainer.from(
                files.config(),
                files.weights(),
                TrainingOptions.of(new Schedule.Constant(1, 0)).withEngine(CPU))) {
      List<Example> batch = mixture.taughtBy(teacher).batch(1);
      double loss =
          same.losses(List.of(Example.of(files.tokenizer().encode(text.text()).ids())))[0];
      for (int i = 0; i < batch.size(); i++) {
        boolean told = batch.get(i).teacherLosses().length > 0;
        assertThat(told).isEqualTo(drawn.get(i).taught());
        if (told) {
          double sum = 0;
          for (float one : batch.get(i).teacherLosses()) {
            sum += Float.isFinite(one) ? one : 0;
          }
          // Of what the first token of either is part of, nothing is told.
          assertThat(sum).isBetween(0.3 * loss, loss + 1e-3);
        }
      }
    }
  }

  private static Finite always(double share, String text) {
    return new Finite(
        share, PLAIN, List.of(new TrainingText(text, List.of(), List.of(), List.of())));
  }

  private static List<String> read(Mixture mixture, long step) {
    return mixture.batch(step).stream()
        .map(example -> tokenizer.decode(example.tokens(), false))
        .toList();
  }

  @Test
  void aStageReadsFromItsFirstStepOn() {
    Mixture mixture =
        of(
            1,
            new Stage(1, 50, List.of(always(1, "first"))),
            new Stage(10, 80, List.of(always(1, "second"))),
            new Stage(12, 80, List.of(always(1, "third"))));
    assertThat(read(mixture, 1)).containsOnly("first");
    assertThat(read(mixture, 9)).containsOnly("first");
    assertThat(read(mixture, 10)).containsOnly("second");
    assertThat(read(mixture, 11)).containsOnly("second");
    assertThat(read(mixture, 12)).containsOnly("third");
    assertThat(read(mixture, 1_000_000)).containsOnly("third");
  }

  @Test
  void sourcesAreDrawnByTheirShares() {
    Mixture mixture = of(5, new Stage(1, 20_000, List.of(always(3, "ab"), always(1, "cd"))));
    List<String> read = read(mixture, 1);
    double share = read.stream().filter("ab"::equals).count() / (double) read.size();
    // Thousands of draws: four standard deviations are less than 0.05.
    assertThat(read).hasSizeGreaterThan(1500);
    assertThat(share).isBetween(0.7, 0.8);
  }

  @Test
  void anEndlessSourceNeverGivesATextTwice() {
    List<Long> asked = new ArrayList<>();
    Endless counting =
        new Endless(
            1,
            PLAIN,
            index -> {
              asked.add(index);
              return new TrainingText("text " + index, List.of(), List.of(), List.of());
            });
    Mixture mixture = of(1, new Stage(1, 300, List.of(counting)));
    IntStream.rangeClosed(1, 20).forEach(mixture::batch);
    assertThat(asked).hasSizeGreaterThan(200).doesNotHaveDuplicates();
  }

  @Test
  void aCurriculumBeginsAtStepOne() {
    assertThatThrownBy(() -> of(1, new Stage(2, 50, List.of(always(1, "late")))))
        .hasMessageContaining("step 1");
    assertThatThrownBy(() -> of(1)).hasMessageContaining("step 1");
    assertThatThrownBy(() -> new Stage(1, 50, List.of())).hasMessageContaining("no source");
  }
}
