package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.LossWeights;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.CorpusFile.Share;
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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

  /** The model overflows on one token, which only the eighth line has. */
  @Test
  void aLineThatTheModelOverflowsOnIsNamedAndNothingOfItIsSaved(@TempDir Path directory)
      throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(corpus).subList(0, 10));
    Set<Integer> others = new HashSet<>();
    Path few = Files.write(directory.resolve("few.jsonl"), lines);
    for (CorpusDocument document : new CorpusFile(few).documents(model.texts())) {
      document.examples().forEach(example -> others.addAll(tokens(example)));
    }
    String text = "~~ @@ ## %% &&";
    int overflowing =
        model.texts().document(text, LossWeights.EVEN).stream()
            .flatMap(example -> tokens(example).stream())
            .filter(token -> !others.contains(token))
            .findFirst()
            .orElseThrow();
    lines.add(7, "{\"text\": \"" + text + "\"}");
    Path file = Files.write(directory.resolve("corpus.jsonl"), lines);
    FactorsJob.Options options =
        TinyFactors.OPTIONS.withPackTokens(64).withSaveEvery(Duration.ZERO);
    try (TappedModel other = overflowingAt(overflowing, directory.resolve("model"))) {
      assertThatThrownBy(
              () ->
                  new FactorsJob(other, new CorpusFile(file), directory.resolve("f"), options)
                      .run(FactorsJob.Listener.NONE))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("corpus.jsonl: the model overflows on lines [8],");
    }
    assertThat(directory.resolve("f/covariances-1-of-1.factors")).doesNotExist();
    assertThat(directory.resolve("f/covariances-1-of-1.factors.unfinished")).doesNotExist();
  }

  private static List<Integer> tokens(Example example) {
    return Arrays.stream(example.tokens()).boxed().toList();
  }

  /**
   * Tiny-base whose first dimension is 0 of all tokens but one, and overflows in the second block's
   * norm where it is not.
   */
  private static TappedModel overflowingAt(int token, Path directory) throws Exception {
    Path from = BundledModels.unpack("tiny-base");
    Files.createDirectories(directory);
    for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(from.resolve(file), directory.resolve(file));
    }
    ObjectNode config =
        (ObjectNode) JsonMapper.builder().build().readTree(from.resolve("config.json").toFile());
    Files.writeString(
        directory.resolve("config.json"), config.put("tie_word_embeddings", false).toString());
    try (ModelFiles files = ModelFiles.open(from)) {
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      for (TensorInfo info : files.weights().tensors().values()) {
        float[] values = files.weights().floats(info.name(), 0, (int) info.elements());
        int width = info.shape().get(info.shape().size() - 1).intValue();
        if (info.name().endsWith("embed_tokens.weight")) {
          if (!files.weights().tensors().containsKey("lm_head.weight")) {
            tensors.add(tensor("lm_head.weight", info.shape(), values.clone()));
          }
          for (int at = 0; at < values.length; at += width) {
            values[at] = 0;
          }
          Arrays.fill(values, token * width, (token + 1) * width, 0);
          values[token * width] = 1;
        } else if (info.name().matches(".*layers\\.0\\.(self_attn\\.o|mlp\\.down)_proj\\.weight")) {
          Arrays.fill(values, 0, width, 0);
        } else if (info.name().endsWith("layers.1.input_layernorm.weight")) {
          values[0] = Float.MAX_VALUE;
        }
        tensors.add(tensor(info.name(), info.shape(), values));
      }
      SafetensorsWriter.write(
          directory.resolve("model.safetensors"), ElementType.F32, tensors, Map.of());
    }
    return TappedModel.open(directory, TinyFactors.LAYERS, TinyFactors.CPU);
  }

  private static SafetensorsWriter.Tensor tensor(String name, List<Long> shape, float[] values) {
    return new SafetensorsWriter.Tensor(
        name, shape, (offset, n) -> Arrays.copyOfRange(values, (int) offset, (int) offset + n));
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
  void linesThatAreNoDocumentAreCountedAndListedByNumber(@TempDir Path directory) throws Exception {
    List<String> lines = new ArrayList<>(Files.readAllLines(corpus).subList(0, 5));
    lines.add(1, "{\"text\": \"cut o");
    lines.add(3, "{\"text\": \"\"}");
    lines.add("[1, 2]");
    lines.add("");
    lines.add("{\"title\": \"no text\"}");
    lines.add("{\"text\": \"Dorra lives in Kesta.\", \"lossWeights\": [[3, 90, 1]]}");
    lines.add("{\"text\": \"Dorra lives in Kesta.\", \"lossWeight\": 0}");
    lines.add("{\"text\": \"Dorra lives in Kesta.\"} {\"text\": \"Runo lives in Kesta.\"}");
    Path bad = directory.resolve("bad.jsonl.gz");
    try (GZIPOutputStream out = new GZIPOutputStream(Files.newOutputStream(bad))) {
      out.write(String.join("\n", lines).getBytes(StandardCharsets.UTF_8));
    }
    Path factors = directory.resolve("f");
    List<Long> read = new ArrayList<>();
    boolean complete =
        new FactorsJob(model, new CorpusFile(bad), factors, TinyFactors.OPTIONS)
            .run(
                new FactorsJob.Listener() {
                  @Override
                  public void pass(String pass, long bytes, Progress progress) {
                    if (!pass.equals("eigenvectors")) {
                      read.add(bytes);
                    }
                  }
                });
    assertThat(complete).isTrue();
    assertThat(read)
        .as("bytes of the compressed file, at the end of each pass")
        .containsOnly(Files.size(bad));
    assertThat(new CorpusFile(bad).bytes()).isEqualTo(Files.size(bad));
    assertThat(Files.readAllLines(factors.resolve("rejects-1-of-1.jsonl")))
        .containsExactly(
            "{\"line\":2,\"problem\":\"the line is no JSON\"}",
            "{\"line\":4,\"problem\":\"nothing was learnt from it: the text has less than two"
                + " tokens, or all its loss weights are 0\"}",
            "{\"line\":8,\"problem\":\"the line is no JSON object\"}",
            "{\"line\":10,\"problem\":\"the line has no member \\\"text\\\" with a text, and no"
                + " \\\"messages\\\" or \\\"prompt\\\"\"}",
            "{\"line\":11,\"problem\":\"\\\"lossWeights\\\" has an entry that is no [start, end,"
                + " weight] within the text\"}",
            "{\"line\":12,\"problem\":\"nothing was learnt from it: the text has less than two"
                + " tokens, or all its loss weights are 0\"}",
            "{\"line\":13,\"problem\":\"the line has more than one JSON object\"}");
    try (ArrayFile file = ArrayFile.open(factors.resolve("lambda.factors"))) {
      assertThat(Progress.read(file.header()).documents()).isEqualTo(5);
      assertThat(Progress.read(file.header()).rejected()).isEqualTo(7);
    }
  }

  @Test
  void aCorpusThatIsChangedWhileItIsReadGivesNoFactors(@TempDir Path directory) throws Exception {
    Path changed = Files.copy(corpus, directory.resolve("corpus.jsonl"));
    FactorsJob job =
        new FactorsJob(
            model,
            new CorpusFile(changed),
            directory.resolve("f"),
            TinyFactors.OPTIONS.withPackTokens(32).withSaveEvery(Duration.ZERO));
    assertThatThrownBy(
            () ->
                job.run(
                    once(
                        () ->
                            Files.writeString(
                                changed, "{\"text\": \"more\"}\n", StandardOpenOption.APPEND))))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("corpus.jsonl was changed while it was read");
    assertThat(directory.resolve("f/covariances-1-of-1.factors")).doesNotExist();
    assertThat(directory.resolve("f/covariances-1-of-1.factors.unfinished")).doesNotExist();
  }

  @Test
  void aCorpusWhoseTimeAloneChangesIsTheSame(@TempDir Path directory) throws Exception {
    Path touched = Files.copy(corpus, directory.resolve("corpus.jsonl"));
    FactorsJob job =
        new FactorsJob(model, new CorpusFile(touched), directory.resolve("f"), TinyFactors.OPTIONS);
    assertThat(job.run(once(() -> Files.setLastModifiedTime(touched, FileTime.fromMillis(0)))))
        .isTrue();
  }

  /** Does something in the middle of the first pass. */
  private static FactorsJob.Listener once(Callable<?> work) {
    Deque<Callable<?>> left = new ArrayDeque<>(List.of(work));
    return new FactorsJob.Listener() {
      @Override
      public void pass(String pass, long bytes, Progress progress) {
        if (!left.isEmpty()) {
          assertThatCode(() -> left.remove().call()).doesNotThrowAnyException();
        }
      }
    };
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
  void aDocumentLongerThanTheModelReadsIsCutIntoPieces(@TempDir Path directory) throws Exception {
    StringBuilder text = new StringBuilder();
    for (Document document : SampleCorpus.tiny().subList(0, 60)) {
      text.append(document.text()).append(' ');
    }
    Path file = directory.resolve("long.jsonl");
    Files.writeString(file, "{\"text\": \"" + text.toString().replace("\n", "\\n") + "\"}\n");
    int tokens =
        model.texts().document(text.toString(), LossWeights.EVEN).stream()
            .mapToInt(e -> e.length() - 1)
            .sum();
    assertThat(tokens).isGreaterThan(8 * model.config().maxPositions());
    Path factors = TinyFactors.compute(model, file, directory.resolve("f"), TinyFactors.OPTIONS);
    assertThat(EkfacFactors.stage(factors).tokens()).isEqualTo(tokens);
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
  void aDirectoryOfAnotherJobIsRefused() {
    assertThatThrownBy(
            () -> TinyFactors.compute(model, corpus, whole, TinyFactors.OPTIONS.withSeed(9)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("covariances-1-of-1.factors was made for another job: its seed");
  }

  private static void copyTo(Path directory) throws IOException {
    for (String name : List.of("lambda.factors", "eigenvectors.factors")) {
      Files.copy(whole.resolve(name), directory.resolve(name));
    }
  }

  private static void flipAByteOf(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length / 2] ^= 1;
    Files.write(file, bytes);
  }

  @Test
  void aFileThatIsCutShortOrAlteredIsNamed(@TempDir Path directory) throws IOException {
    copyTo(directory);
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
  void anAlteredFileOfLambdaIsNamed(@TempDir Path directory) throws IOException {
    copyTo(directory);
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

  @Test
  void aSelectionThatMatchesNothingSaysWhatNamesLookLike() {
    assertThatThrownBy(() -> new LayerSelection("conv").of(model.config()))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("model.layers.0.self_attn.q_proj");
  }

  /**
   * The squared norm of a sequence's gradient is on average the sum of its tokens' only where
   * tokens do not meet again after the layer: their gradients are independent there, and 0 on
   * average.
   */
  @Test
  void perTokenIsExactAfterTheLastAttentionAndNotBeforeIt() throws Exception {
    var example =
        model.texts().document(TinyFactors.documents().get(3).text(), LossWeights.EVEN).get(0);
    LinearLayer down = layer("layers.1.mlp.down_proj");
    LinearLayer values = layer("layers.1.self_attn.v_proj");
    int draws = 150;
    double[] downRatio = ratio(example, down, draws);
    double[] valuesRatio = ratio(example, values, draws);
    assertThat(downRatio[0]).isCloseTo(1, within(4 * downRatio[1]));
    assertThat(downRatio[1]).isLessThan(0.1);
    assertThat(Math.abs(valuesRatio[0] - 1)).isGreaterThan(4 * valuesRatio[1]);
  }

  private static LinearLayer layer(String name) {
    return model.layers().stream()
        .filter(one -> one.name().endsWith(name))
        .findFirst()
        .orElseThrow();
  }

  /** Sum over draws of |G|^2, over the sum of |d|^2 |a|^2; and its standard error. */
  private static double[] ratio(
      dev.whence.engine.training.Example example, LinearLayer layer, int draws) {
    double[] sequence = new double[draws];
    double[] tokens = new double[draws];
    var pack = model.pack(List.of(example), 256).get(0);
    for (int draw = 0; draw < draws; draw++) {
      try (var taps = model.tap(pack, new LabelSeed(draw).of(pack, List.of(example)));
          var product = taps.gradient(layer).transposedTimes(taps.input(layer))) {
        for (double value : product.doubles()) {
          sequence[draw] += value * value;
        }
        float[] d = taps.gradient(layer).floats();
        float[] a = taps.input(layer).floats();
        for (int t = 0; t < d.length / layer.outputs(); t++) {
          tokens[draw] += square(d, t, layer.outputs()) * square(a, t, layer.inputs());
        }
      }
    }
    double mean = 0;
    for (double value : tokens) {
      mean += value / draws;
    }
    double ratio = 0;
    for (double value : sequence) {
      ratio += value / mean / draws;
    }
    double variance = 0;
    for (int i = 0; i < draws; i++) {
      variance += Math.pow((sequence[i] - ratio * tokens[i]) / mean, 2);
    }
    return new double[] {ratio, Math.sqrt(variance) / draws};
  }

  private static double square(float[] rows, int row, int width) {
    double sum = 0;
    for (int i = row * width; i < (row + 1) * width; i++) {
      sum += (double) rows[i] * rows[i];
    }
    return sum;
  }
}
