package dev.whence.transfer.recycle;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.report.RecyclingReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecyclingTest {
  private static final String WEIGHT = "model.layers.0.a";

  @TempDir Path directory;

  /**
   * A model is one number x; fine-tuning moves it half of the way to 100. Like the real ones it
   * writes its model at every call, at another time, and measures only what it trains.
   */
  private final class Halfway implements FineTuner {
    private final List<String> made = new ArrayList<>();
    private long written = 1_000_000;
    private String breaksAt = "";
    private int questions = 100;

    @Override
    public String identity(int base, Path from, long steps) {
      return questions + " questions";
    }

    @Override
    public Measurement measure(int base, Path model) {
      return new Measurement(0, 100 - x(model), (int) x(model), questions);
    }

    @Override
    public void fineTune(int base, Path from, long steps, Path output, Measured measured) {
      String name = directory.relativize(output).toString();
      if (name.equals(breaksAt)) {
        throw new IllegalStateException("broken");
      }
      boolean trained = Files.exists(output);
      model(output, (x(from) + 100) / 2);
      touch(output.resolve(SafetensorsShards.SINGLE), written += 1_000);
      if (!trained) {
        made.add(name);
        measured.add(measure(base, from).at(steps / 2));
        measured.add(measure(base, output).at(steps));
      }
    }
  }

  private static void touch(Path file, long millis) {
    try {
      Files.setLastModifiedTime(file, FileTime.fromMillis(millis));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static float x(Path model) {
    return ModelFolder.floats(model, WEIGHT).get(0);
  }

  private static Path model(Path where, float... x) {
    try {
      return new ModelFolder().add(ModelFolder.f32(WEIGHT, x)).write(where);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private List<Recycling.Base> bases(float... values) {
    List<Recycling.Base> bases = new ArrayList<>();
    for (int i = 0; i < values.length; i++) {
      String name = "v" + (i + 1);
      bases.add(new Recycling.Base(name, model(directory.resolve(name), values[i])));
    }
    return bases;
  }

  private Recycling recycling(List<Recycling.Base> bases, Optional<Path> first, FineTuner tuner) {
    return new Recycling(bases, first, 1, Policies.STRICT, tuner, what -> {});
  }

  @Test
  void eachVersionGoesOnFromTheNextBasePlusTheDifferenceBefore() throws IOException {
    Path output = directory.resolve("out");
    List<Recycling.Round> rounds =
        recycling(bases(20, 30, 36), Optional.empty(), new Halfway()).run(8, 4, output);

    // M*_1 = (20 + 100) / 2 = 60, delta_1 = 40; M_2 + 40 = 70, M*_2 = 85, delta_2 = 55; 36 + 55 =
    // 91, M*_3 = 95.5.
    assertThat(rounds).extracting(round -> x(round.fineTuned())).containsExactly(60f, 85f, 95.5f);
    assertThat(rounds.get(0).recycled()).isEmpty();
    assertThat(rounds)
        .extracting(round -> round.recycled().map(RecyclingTest::x))
        .contains(Optional.of(70f), Optional.of(91f));
    assertThat(rounds.get(0).curve())
        .containsExactly(
            new Measurement(0, 80, 20, 100),
            new Measurement(4, 80, 20, 100),
            new Measurement(8, 40, 60, 100));
    assertThat(rounds.get(1).curve()).extracting(Measurement::step).containsExactly(0L, 2L, 4L);
  }

  /** M_2 + (M*_1 - M_1) / 4 = 30 + 40 / 4. */
  @Test
  void aPartOfTheDifferenceIsCarriedOver() throws IOException {
    List<Recycling.Round> rounds =
        new Recycling(
                bases(20, 30), Optional.empty(), .25, Policies.STRICT, new Halfway(), what -> {})
            .run(8, 4, directory.resolve("out"));
    assertThat(rounds.get(1).recycled().map(RecyclingTest::x)).contains(40f);
  }

  @Test
  void aFactorThatIsNoNumberIsRefused() {
    Recycling recycling =
        new Recycling(
            bases(20, 30),
            Optional.empty(),
            Double.NaN,
            Policies.STRICT,
            new Halfway(),
            what -> {});
    assertThatThrownBy(() -> recycling.run(8, 4, directory.resolve("out")))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("lambda");
  }

  @Test
  void aRunThatWasCutOffGoesOnAndMakesNothingTwice() throws IOException {
    Path output = directory.resolve("out");
    List<Recycling.Base> bases = bases(20, 30, 36);
    Halfway tuner = new Halfway();
    tuner.breaksAt = "out/3-v3/fine-tuned";
    assertThatThrownBy(() -> recycling(bases, Optional.empty(), tuner).run(8, 4, output))
        .hasMessage("broken");
    tuner.breaksAt = "";
    List<Recycling.Round> rounds = recycling(bases, Optional.empty(), tuner).run(8, 4, output);

    assertThat(tuner.made)
        .containsExactly("out/1-v1/fine-tuned", "out/2-v2/fine-tuned", "out/3-v3/fine-tuned");
    assertThat(x(rounds.get(2).fineTuned())).isEqualTo(95.5f);
    assertThat(rounds.get(2).curve()).extracting(Measurement::step).containsExactly(0L, 2L, 4L);
  }

  @Test
  void aLineThatAKilledRunLeftHalfWrittenIsPassedOverAndTheNextOneStandsAlone() throws IOException {
    Path model = directory.resolve("model");
    LearningCurve.of(model, "a").add(new Measurement(0, 3, 0, 2));
    Path file = only(model);
    Files.writeString(file, Files.readString(file) + "\n{\"step\": 2, \"lo");
    LearningCurve curve = LearningCurve.of(model, "a");
    curve.add(new Measurement(2, 1, 1, 2));
    assertThat(curve.points())
        .containsExactly(new Measurement(0, 3, 0, 2), new Measurement(2, 1, 1, 2));
    // The first line, too.
    Files.writeString(file, "{\"ident");
    LearningCurve.of(model, "a").add(new Measurement(1, 1, 1, 2));
    assertThat(LearningCurve.of(model, "a").points()).containsExactly(new Measurement(1, 1, 1, 2));
  }

  private static Path only(Path model) throws IOException {
    try (var files = Files.list(model.getParent())) {
      return files.filter(file -> file.toString().contains(".measured-")).findAny().orElseThrow();
    }
  }

  @Test
  void whatWasMeasuredWithOtherQuestionsIsNotReportedAsIfItWereOfThese() throws IOException {
    Path output = directory.resolve("out");
    List<Recycling.Base> bases = bases(20, 30);
    Halfway tuner = new Halfway();
    List<Measurement> before =
        recycling(bases, Optional.empty(), tuner).run(8, 4, output).get(1).curve();
    tuner.questions = 200;
    List<Measurement> after =
        recycling(bases, Optional.empty(), tuner).run(8, 4, output).get(1).curve();
    // The training is done: its beginning and its end can still be measured.
    assertThat(after)
        .containsExactly(new Measurement(0, 30, 70, 200), new Measurement(4, 15, 85, 200));
    tuner.questions = 100;
    assertThat(recycling(bases, Optional.empty(), tuner).run(8, 4, output).get(1).curve())
        .isEqualTo(before);
  }

  @Test
  void whatCameOfTheOldestBaseMayBeThereAlready() throws IOException {
    Path first = model(directory.resolve("first"), 50);
    Halfway tuner = new Halfway();
    List<Recycling.Round> rounds =
        recycling(bases(20, 30), Optional.of(first), tuner).run(8, 4, directory.resolve("out"));
    // 30 + (50 - 20) = 60, half of the way to 100 is 80.
    assertThat(x(rounds.get(1).fineTuned())).isEqualTo(80f);
    assertThat(tuner.made).containsExactly("out/2-v2/fine-tuned");
  }

  @Test
  void whatCameOfTheOldestBaseIsHeldAgainstThatOneOnly() throws IOException {
    // The second base does not know 'e' any more, which nobody added to the oldest one.
    Path first = withTokens("first", 50, List.of("a", "b", "c", "d", "e"));
    List<Recycling.Base> bases =
        List.of(
            new Recycling.Base("v1", withTokens("v1", 20, List.of("a", "b", "c", "d", "e"))),
            new Recycling.Base("v2", withTokens("v2", 30, List.of("a", "b", "c", "d"))),
            new Recycling.Base("v3", withTokens("v3", 36, List.of("a", "b", "c", "d"))));
    Halfway tuner = new Halfway();
    tuner.breaksAt = "out/2-v2/fine-tuned";
    Policies policies = Policies.of(Map.of("vocabulary", "align"));
    assertThatThrownBy(
            () ->
                new Recycling(bases, Optional.of(first), 1, policies, tuner, what -> {})
                    .run(8, 4, directory.resolve("out")))
        .hasMessage("broken");
  }

  private Path withTokens(String name, float x, List<String> tokens) throws IOException {
    return new ModelFolder()
        .tokens(tokens)
        .add(ModelFolder.f32(WEIGHT, x))
        .add(ModelFolder.rows("model.embed_tokens.weight", 2, new float[tokens.size()]))
        .write(directory.resolve(name));
  }

  @Test
  void basesThatDoNotMatchAreRefusedBeforeAnythingIsTrained() throws IOException {
    List<Recycling.Base> bases =
        List.of(
            new Recycling.Base("v1", model(directory.resolve("v1"), 20)),
            new Recycling.Base("v2", model(directory.resolve("v2"), 20, 21)));
    Halfway tuner = new Halfway();
    assertThatThrownBy(
            () -> recycling(bases, Optional.empty(), tuner).run(8, 4, directory.resolve("out")))
        .isInstanceOf(TransferException.class)
        .hasMessageContaining("has shape");
    assertThat(tuner.made).isEmpty();
  }

  @Test
  void theComparisonSaysWhenTransferFirstIsAsGoodAsFineTuningAnew() throws IOException {
    Path output = directory.resolve("out");
    Halfway tuner = new Halfway();
    Recycling recycling = recycling(bases(20, 30), Optional.empty(), tuner);
    List<Recycling.Round> rounds = recycling.run(8, 4, output);
    Comparison comparison =
        Comparison.of(recycling, rounds.get(1), 1, tuner, List.of(4L, 8L), output);

    // Directly: from 30 to 65. The transfer alone: 30 + (60 - 20) = 70.
    assertThat(comparison.reference()).isEqualTo(new Measurement(8, 35, 65, 100));
    assertThat(comparison.transferred().exact()).isEqualTo(70);
    assertThat(comparison.reached()).isEqualTo(OptionalLong.of(0));
    String markdown = RecyclingReport.markdown(List.of(comparison), "x < y");
    assertThat(markdown)
        .contains("## v2")
        .contains("| transfer alone | 0 | 70.0 % (70 of 100) | 108 % | 30.0000 |")
        .contains("| direct, 8 steps | 8 | 65.0 % (65 of 100) | 100 % | 35.0000 |")
        .contains("reaches it after 0 steps");
    String html = RecyclingReport.html(List.of(comparison), "x < y");
    assertThat(html).contains("x &lt; y").doesNotContain("<script");
    assertThat(html.split("<svg", -1)).hasSize(3);
  }

  @Test
  void whereFineTuningAnewHasNoAnswerRightTheLossesAreCompared() {
    Comparison comparison =
        new Comparison(
            "v2",
            List.of(new Measurement(0, 3, 0, 10), new Measurement(4, 1.5, 1, 10)),
            List.of(List.of(new Measurement(0, 4, 0, 10), new Measurement(8, 2, 0, 10))));
    assertThat(comparison.reached()).isEmpty();
    assertThat(comparison.reachedLoss()).hasValue(4);
    for (String text :
        List.of(
            RecyclingReport.markdown(List.of(comparison), ""),
            RecyclingReport.html(List.of(comparison), ""))) {
      assertThat(text)
          .doesNotContain("NaN")
          .doesNotContain("Infinity")
          .contains("exact match tells nothing")
          .contains("comes as low after 4 steps");
    }
    assertThat(RecyclingReport.markdown(List.of(comparison), ""))
        .contains("| transfer alone | 0 | 0.0 % (0 of 10) | - | 3.0000 |");
  }
}
