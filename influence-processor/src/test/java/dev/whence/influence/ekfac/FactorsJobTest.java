package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.Document;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Factors do not depend on how their job is run, shared out or cut off. */
class FactorsJobTest {
  private static TappedModel model;

  @TempDir private static Path shared;

  private static Path corpus;
  private static Path whole;

  @BeforeAll
  static void computeOnce() throws Exception {
    model = TinyFactors.base();
    corpus = SampleCorpus.write(shared.resolve("corpus.jsonl"), TinyFactors.documents());
    whole = TinyFactors.compute(model, corpus, shared.resolve("whole"), TinyFactors.OPTIONS);
  }

  @AfterAll
  static void close() {
    model.close();
  }

  /** What the factors do to fixed gradients: free of the choice of eigenvectors. */
  private static List<double[]> inverses(Path directory) {
    try (EkfacFactors factors = EkfacFactors.read(directory, model.matrices())) {
      List<double[]> all = new ArrayList<>();
      for (LinearLayer layer : factors.layers()) {
        double[] gradient = new Random(5).doubles(layer.elements(), -1, 1).toArray();
        double[] rotated = factors.rotate(layer, gradient, model.matrices());
        double[] lambda = factors.lambda(layer);
        double damping = Damping.DEFAULT.of(factors, layer);
        for (int i = 0; i < rotated.length; i++) {
          rotated[i] *= damping / (lambda[i] + damping);
        }
        all.add(factors.rotateBack(layer, rotated, model.matrices()));
      }
      return all;
    }
  }

  private static void assertAlike(Path directory, double tolerance) {
    List<double[]> found = inverses(directory);
    List<double[]> expected = inverses(whole);
    for (int layer = 0; layer < expected.size(); layer++) {
      double square = 0;
      double norm = 0;
      for (int i = 0; i < expected.get(layer).length; i++) {
        square += Math.pow(found.get(layer)[i] - expected.get(layer)[i], 2);
        norm += Math.pow(expected.get(layer)[i], 2);
      }
      assertThat(Math.sqrt(square / norm)).as("layer %d", layer).isLessThan(tolerance);
    }
  }

  @Test
  void neitherBatchSizeNorPaddingNorOrderMakesADifference(@TempDir Path directory)
      throws Exception {
    List<Document> shuffled = new ArrayList<>(TinyFactors.documents());
    Collections.shuffle(shuffled, new Random(3));
    Path other = SampleCorpus.write(directory.resolve("shuffled.jsonl"), shuffled);
    assertAlike(
        TinyFactors.compute(
            model, other, directory.resolve("factors"), TinyFactors.OPTIONS.withPackTokens(1)),
        1e-3);
  }

  @Test
  void otherLabelsGiveOtherFactors(@TempDir Path directory) {
    Path other =
        TinyFactors.compute(
            model, corpus, directory.resolve("factors"), TinyFactors.OPTIONS.withSeed(2));
    assertThatThrownBy(() -> assertAlike(other, 1e-2)).isInstanceOf(AssertionError.class);
  }

  @Test
  void workersSumsAreAdded(@TempDir Path directory) {
    FactorsJob one = worker(directory, 1);
    FactorsJob two = worker(directory, 2);
    assertThat(one.run(FactorsJob.Listener.NONE))
        .as("the other's covariances are missing")
        .isFalse();
    assertThat(two.run(FactorsJob.Listener.NONE)).as("the other's Lambda is missing").isFalse();
    assertThat(one.run(FactorsJob.Listener.NONE)).isTrue();
    assertAlike(directory, 1e-3);
    assertThat(EkfacFactors.stage(directory).tokens())
        .isEqualTo(EkfacFactors.stage(whole).tokens());
  }

  /** Whoever is last makes the eigenvectors, and completes the factors. */
  @Test
  void workersThatEndTogetherDoNotDisturbEachOther(@TempDir Path directory) throws Exception {
    ExecutorService workers = Executors.newFixedThreadPool(3);
    try {
      for (int round = 0; round < 4; round++) {
        List<Future<Boolean>> ended = new ArrayList<>();
        for (int part = 1; part <= 3; part++) {
          int own = part;
          ended.add(
              workers.submit(
                  () -> {
                    try (TappedModel mine = TinyFactors.base()) {
                      return new FactorsJob(
                              mine,
                              new CorpusFile(corpus),
                              directory,
                              TinyFactors.OPTIONS.withShare(new Share(own, 3)))
                          .run(FactorsJob.Listener.NONE);
                    }
                  }));
        }
        for (Future<Boolean> one : ended) {
          one.get();
        }
      }
    } finally {
      workers.shutdownNow();
    }
    assertAlike(directory, 1e-3);
  }

  @Test
  void whatIsOfAnotherPartIsNotAddedTwice(@TempDir Path directory) throws IOException {
    assertThat(worker(directory, 1).run(FactorsJob.Listener.NONE)).isFalse();
    Files.copy(
        directory.resolve("covariances-1-of-2.factors"),
        directory.resolve("covariances-2-of-2.factors"));
    assertThatThrownBy(() -> worker(directory, 1).run(FactorsJob.Listener.NONE))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("covariances-2-of-2.factors was made for another job: its part");
  }

  /** H is a mean over tokens, so weights that are all the same make no difference to it. */
  @Test
  void aTokenCountsByItsLossWeight(@TempDir Path directory) throws IOException {
    Path quarter =
        TinyFactors.compute(
            model,
            weighted(directory.resolve("quarter.jsonl"), i -> "0.25"),
            directory.resolve("quarter"),
            TinyFactors.OPTIONS);
    assertAlike(quarter, 1e-3);
    assertThat(EkfacFactors.stage(quarter).tokens())
        .isCloseTo(EkfacFactors.stage(whole).tokens() / 4, within(1e-3));
    // a document that counts four times as much as the others is as good as four of it
    Path once =
        TinyFactors.compute(
            model,
            weighted(directory.resolve("once.jsonl"), i -> i == 3 ? "4" : "1"),
            directory.resolve("once"),
            TinyFactors.OPTIONS);
    List<String> lines = new ArrayList<>(Files.readAllLines(corpus));
    lines.addAll(List.of(lines.get(3), lines.get(3), lines.get(3)));
    Path repeated =
        TinyFactors.compute(
            model,
            Files.write(directory.resolve("repeated.jsonl"), lines),
            directory.resolve("repeated"),
            TinyFactors.OPTIONS);
    assertThat(EkfacFactors.stage(once).tokens())
        .isCloseTo(EkfacFactors.stage(repeated).tokens(), within(1e-3));
    double[] found = traces(once);
    double[] expected = traces(repeated);
    for (int layer = 0; layer < expected.length; layer++) {
      assertThat(found[layer] / expected[layer]).isCloseTo(1, within(1e-3));
    }
    assertThat(traces(whole)[0] / expected[0]).isNotCloseTo(1, within(1e-2));
  }

  /** The mean squared gradient of each layer, whatever the basis. */
  private static double[] traces(Path directory) {
    try (EkfacFactors factors = EkfacFactors.read(directory, model.matrices())) {
      return factors.layers().stream()
          .mapToDouble(layer -> layer.elements() * factors.meanLambda(layer))
          .toArray();
    }
  }

  private static Path weighted(Path file, IntFunction<String> weight) throws IOException {
    List<String> lines = Files.readAllLines(corpus);
    List<String> written = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      written.add(lines.get(i).replaceFirst("}$", ",\"lossWeight\":" + weight.apply(i) + "}"));
    }
    return Files.write(file, written);
  }

  private static FactorsJob worker(Path directory, int part) {
    return new FactorsJob(
        model,
        new CorpusFile(corpus),
        directory,
        TinyFactors.OPTIONS.withShare(new Share(part, 2)));
  }

  /** Cut off after each of the first saved states. */
  @Test
  void aJobThatIsCutOffGoesOnToTheSameFactors(@TempDir Path directory) {
    FactorsJob.Options options =
        TinyFactors.OPTIONS.withPackTokens(32).withSaveEvery(Duration.ZERO);
    Path straight = TinyFactors.compute(model, corpus, directory.resolve("straight"), options);
    Path cut = directory.resolve("cut");
    int[] resumed = new int[1];
    int passes = 0;
    for (boolean complete = false; !complete; passes++) {
      int[] left = {3};
      try {
        complete =
            new FactorsJob(model, new CorpusFile(corpus), cut, options)
                .run(
                    new FactorsJob.Listener() {
                      @Override
                      public void pass(String pass, long bytes, Progress progress) {
                        if (!pass.equals("eigenvectors") && left[0]-- == 0) {
                          throw new IllegalStateException("cut off");
                        }
                      }

                      @Override
                      public void note(String sentence) {
                        resumed[0] += sentence.contains("going on after line") ? 1 : 0;
                      }
                    });
      } catch (IllegalStateException e) {
        assertThat(e).hasMessage("cut off");
      }
    }
    assertThat(passes).isGreaterThan(2);
    assertThat(resumed[0]).isGreaterThan(1);
    try (EkfacFactors a = EkfacFactors.read(straight, model.matrices());
        EkfacFactors b = EkfacFactors.read(cut, model.matrices())) {
      assertThat(b.digest()).isEqualTo(a.digest());
    }
  }

  @Test
  void aPartThatIsBeingComputedIsNotComputedByAnotherRunToo(@TempDir Path directory) {
    FactorsJob.Options options = TinyFactors.OPTIONS.withSaveEvery(Duration.ZERO);
    List<String> during = new ArrayList<>();
    boolean complete =
        new FactorsJob(model, new CorpusFile(corpus), directory, options)
            .run(
                new FactorsJob.Listener() {
                  @Override
                  public void pass(String pass, long bytes, Progress progress) {
                    if (!pass.equals("eigenvectors") && !during.contains(pass)) {
                      during.add(pass);
                      assertThatThrownBy(
                              () ->
                                  new FactorsJob(model, new CorpusFile(corpus), directory, options)
                                      .run(FactorsJob.Listener.NONE))
                          .isInstanceOf(InfluenceException.class)
                          .hasMessageContaining("-1-of-1.factors is being written by another run");
                    }
                  }
                });
    assertThat(complete).isTrue();
    assertThat(during).containsExactly("covariances", "Lambda");
    try (EkfacFactors a = EkfacFactors.read(whole, model.matrices());
        EkfacFactors b = EkfacFactors.read(directory, model.matrices())) {
      assertThat(b.digest()).isEqualTo(a.digest());
    }
  }

  @Test
  void whatAKillLeftBesideCompletePartsIsRemoved() throws Exception {
    List<Path> left = new ArrayList<>();
    for (String part : List.of("covariances", "lambda")) {
      left.add(
          Files.copy(
              whole.resolve(part + "-1-of-1.factors"),
              whole.resolve(part + "-1-of-1.factors.unfinished")));
    }
    TinyFactors.compute(model, corpus, whole, TinyFactors.OPTIONS);
    assertThat(left).noneMatch(Files::exists);
  }

  @Test
  void aDirectoryOfAnotherJobIsRefused() {
    assertThatThrownBy(
            () -> TinyFactors.compute(model, corpus, whole, TinyFactors.OPTIONS.withSeed(9)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("covariances-1-of-1.factors was made for another job: its seed");
  }

  /** A link to itself says nothing of what is there: computed anew, Lambda would be of others. */
  @Test
  void eigenvectorsThatCanNotBeLookedAtAreNotComputedAnew(@TempDir Path directory)
      throws IOException {
    Path file = directory.resolve("eigenvectors.factors");
    Files.createSymbolicLink(file, file);
    assertThatThrownBy(() -> TinyFactors.compute(model, corpus, directory, TinyFactors.OPTIONS))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("eigenvectors.factors could not be read");
    assertThat(Files.isSymbolicLink(file)).isTrue();
  }

  @Test
  void aSelectionThatMatchesNothingSaysWhatNamesLookLike() {
    assertThatThrownBy(() -> new LayerSelection("conv").of(model.config()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("model.layers.0.self_attn.q_proj");
  }
}
