package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.model.TappedModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FactorFilesTest {
  @TempDir private static Path shared;

  private static TappedModel model;
  private static Path corpus;
  private static Path whole;

  private final int threads = TorchRuntime.threads();

  @BeforeAll
  static void compute() throws IOException {
    model = TinyFactors.base();
    corpus =
        SampleCorpus.write(shared.resolve("corpus.jsonl"), TinyFactors.documents().subList(0, 4));
    whole = TinyFactors.compute(model, corpus, shared.resolve("factors"), TinyFactors.OPTIONS);
  }

  @AfterAll
  static void close() {
    model.close();
  }

  @AfterEach
  void asBefore() {
    TorchRuntime.workTogether(threads);
  }

  private static Path copy(Path directory) throws IOException {
    for (String name : new String[] {"lambda.factors", "eigenvectors.factors"}) {
      Files.copy(whole.resolve(name), directory.resolve(name));
    }
    return directory;
  }

  private static void flipAByteOf(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length / 2] ^= 1;
    Files.write(file, bytes);
  }

  @Test
  void severalThreadsReadWhatOneReads() {
    TorchRuntime.workTogether(3);
    try (EkfacFactors byThree = EkfacFactors.read(whole, model.matrices())) {
      TorchRuntime.workAlone();
      try (EkfacFactors byOne = EkfacFactors.read(whole, model.matrices())) {
        assertThat(byThree.layers()).isEqualTo(byOne.layers()).isNotEmpty();
        for (LinearLayer layer : byOne.layers()) {
          double[] vectors = byOne.gradientVectors(layer).doubles();
          assertThat(Arrays.stream(vectors).map(x -> x * x).sum()) // each has the length 1
              .isCloseTo(layer.outputs(), within(1e-6));
          assertThat(byThree.gradientVectors(layer).doubles()).isEqualTo(vectors);
          assertThat(byThree.inputVectors(layer).doubles())
              .isEqualTo(byOne.inputVectors(layer).doubles());
        }
      }
    }
  }

  /** The model is loaded meanwhile: what is wrong with a file is said when it is asked for. */
  @Test
  void whatIsWrongWithTheEigenvectorsIsSaidOnceTheyAreWanted(@TempDir Path directory)
      throws IOException {
    flipAByteOf(copy(directory).resolve("eigenvectors.factors"));
    try (FactorFiles files = FactorFiles.open(directory)) {
      assertThat(files.stage()).isEqualTo(EkfacFactors.stage(whole));
      assertThatThrownBy(() -> files.inDouble(model.matrices()).close())
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("eigenvectors.factors is cut short or altered");
    }
  }

  @Test
  void whatAFileIsOfIsNotSaidBeforeAllOfItIsChecked(@TempDir Path directory) throws IOException {
    flipAByteOf(copy(directory).resolve("lambda.factors"));
    try (FactorFiles files = FactorFiles.open(directory)) {
      assertThatThrownBy(files::stage)
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("lambda.factors is cut short or altered");
    }
  }

  @Test
  void factorsOutliveTheirFilesAndTheThreadDoesNot() throws IOException {
    FactorFiles files = FactorFiles.open(whole);
    EkfacFactors factors = files.inSingle(model.matrices());
    files.close();
    try (factors) {
      LinearLayer layer = factors.layers().get(0);
      double[] vectors = factors.inputVectors(layer).doubles();
      assertThat(Arrays.stream(vectors).map(x -> x * x).sum())
          .isCloseTo(layer.inputs(), within(1e-3));
      awaitNoReader();
    }
  }

  @Test
  void whoWantsNothingAnyMoreLeavesNoThread() throws IOException {
    for (int i = 0; i < 20; i++) {
      FactorFiles.open(whole).close(); // wherever the thread is just then
    }
    awaitNoReader();
  }

  /** A thread that has ended its work is there for a moment. */
  private static void awaitNoReader() {
    await().atMost(Duration.ofSeconds(10)).until(() -> readers() == 0);
  }

  private static long readers() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("factor files"))
        .count();
  }

  @Test
  void anInterruptEndsTheWaitAndIsNoFaultOfTheFiles() {
    try (FactorFiles files = FactorFiles.open(whole)) {
      Thread.currentThread().interrupt();
      assertThatThrownBy(files::stage)
          .isInstanceOfSatisfying(
              InfluenceException.class, e -> assertThat(e.isOfEnvironment()).isTrue())
          .hasMessageContaining("could not be read");
      assertThat(Thread.interrupted()).isTrue();
    }
  }

  @Test
  void factorsOfAnotherModelAreRefused() throws Exception {
    try (EkfacFactors factors = EkfacFactors.read(whole, model.matrices());
        TappedModel other = TinyFactors.chat()) {
      factors.checkModel(model.name(), model.digest());
      assertThatThrownBy(() -> factors.checkModel(other.name(), other.digest()))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("of model tiny-base")
          .hasMessageContaining("not of tiny-chat");
    }
  }

  @Test
  void aFileThatIsCutShortOrAlteredIsNamed(@TempDir Path directory) throws IOException {
    copy(directory);
    Path file = directory.resolve("eigenvectors.factors");
    flipAByteOf(file);
    assertThatThrownBy(() -> EkfacFactors.read(directory, model.matrices()).close())
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("eigenvectors.factors is cut short or altered");
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 8));
    assertThatThrownBy(() -> EkfacFactors.read(directory, model.matrices()).close())
        .hasMessageContaining("eigenvectors.factors is cut short or altered");
  }

  @Test
  void eigenvectorsThatAreMissingOrOfAnotherJobAreNamed(@TempDir Path directory)
      throws IOException {
    Files.copy(whole.resolve("lambda.factors"), directory.resolve("lambda.factors"));
    assertThatThrownBy(() -> EkfacFactors.read(directory, model.matrices()).close())
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("eigenvectors.factors could not be read");
    Path other =
        TinyFactors.compute(
            model, corpus, directory.resolve("other"), TinyFactors.OPTIONS.withSeed(9));
    Files.copy(other.resolve("eigenvectors.factors"), directory.resolve("eigenvectors.factors"));
    for (boolean single : new boolean[] {false, true}) {
      assertThatThrownBy(
              () ->
                  (single
                          ? EkfacFactors.readInSingle(directory, model.matrices())
                          : EkfacFactors.read(directory, model.matrices()))
                      .close())
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("is of other eigenvectors than eigenvectors.factors");
    }
  }

  @Test
  void anAlteredFileOfLambdaIsNamed(@TempDir Path directory) throws IOException {
    copy(directory);
    Path file = directory.resolve("lambda.factors");
    flipAByteOf(file);
    assertThatThrownBy(() -> EkfacFactors.read(directory, model.matrices()).close())
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("lambda.factors is cut short or altered");
  }

  @Test
  void eigenvectorsInSinglePrecisionAreThoseInDoubleRounded() {
    try (EkfacFactors factors = EkfacFactors.read(whole, model.matrices());
        EkfacFactors single = EkfacFactors.readInSingle(whole, model.matrices())) {
      assertThat(single.digest()).isEqualTo(factors.digest());
      for (LinearLayer layer : factors.layers()) {
        assertThat(single.inputVectors(layer).floats())
            .containsExactly(rounded(factors.inputVectors(layer).doubles()));
        assertThat(single.gradientVectors(layer).floats())
            .containsExactly(rounded(factors.gradientVectors(layer).doubles()));
        assertThat(single.lambda(layer)).containsExactly(factors.lambda(layer));
      }
      LinearLayer layer = factors.layers().get(0);
      double[] gradient = new double[Math.toIntExact(layer.elements())];
      assertThatThrownBy(() -> single.rotate(layer, gradient, model.matrices()))
          .isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(() -> single.rotateBack(layer, gradient, model.matrices()))
          .isInstanceOf(IllegalStateException.class);
    }
  }

  private static float[] rounded(double[] values) {
    float[] rounded = new float[values.length];
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] = (float) values[i];
    }
    return rounded;
  }
}
