package dev.whence.influence.compression;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tiny-base, compressed and scored with. */
class CompressionTest {
  @TempDir private static Path directory;
  private static Path model;
  private static Path factors;

  @BeforeAll
  static void compute() throws Exception {
    model = BundledModels.unpack("tiny-base");
    factors = factors(model, "factors", TinyFactors.documents());
  }

  private static Path factors(Path of, String name, List<Document> documents) throws Exception {
    Path corpus = SampleCorpus.write(directory.resolve(name + ".jsonl"), documents);
    try (TappedModel tapped = TappedModel.open(of, LayerSelection.ALL, TinyFactors.CPU)) {
      return TinyFactors.compute(
          tapped, corpus, directory.resolve(name), FactorsJob.Options.DEFAULT.withPackTokens(512));
    }
  }

  private static Path compress(String name, Compression.Options options) {
    Path output = directory.resolve(name);
    new Compression(model, factors, options).write(output, TinyFactors.CPU, product -> {});
    return output;
  }

  private static Compression.Options share(double share) {
    return new Compression.Options(Optional.empty(), share, ElementType.F32);
  }

  /** Log-probabilities of a document's tokens: a trunk, and a branch that sees its first half. */
  private static double[] logProbs(Path path) {
    try (LocalScorer scorer =
        LocalScorer.open(ModelFiles.open(path), TinyFactors.CPU.withDtype(Dtype.FP32))) {
      int[] tokens = scorer.tokenizer().encode(TinyFactors.documents().get(0).text()).ids();
      try (Trunk trunk = scorer.trunk(tokens, 1)) {
        int half = tokens.length / 2;
        int[] rest = Arrays.copyOfRange(tokens, half, tokens.length);
        int[] positions = IntStream.range(half - 1, tokens.length - 1).toArray();
        double[] branch =
            scorer
                .score(
                    trunk,
                    List.of(new Branch(List.of(new View(0, half - 1, 0)), rest, positions, 1)))
                .get(0);
        double[] both = Arrays.copyOf(trunk.logProbs(), trunk.logProbs().length + branch.length);
        System.arraycopy(branch, 0, both, trunk.logProbs().length, branch.length);
        return both;
      }
    }
  }

  private static void assertClose(double[] found, double[] expected, double within) {
    assertThat(found).hasSameSizeAs(expected);
    for (int i = 0; i < found.length; i++) {
      assertThat(found[i]).as("token %d", i).isCloseTo(expected[i], within(within));
    }
  }

  @Test
  void atFullRankTheModelSaysTheSame() {
    Path full =
        compress("full", new Compression.Options(Optional.of(1 << 20), 0.5, ElementType.F32));
    assertClose(logProbs(full), logProbs(model), 1e-3);
  }

  @Test
  void biasesAreKeptAsTheyAre() throws Exception {
    Path biased = BiasedModel.write(directory.resolve("qwen2"), 0.5);
    Path own = factors(biased, "qwen2-factors", TinyFactors.documents().subList(0, 10));
    Path full = directory.resolve("qwen2-full");
    new Compression(
            biased, own, new Compression.Options(Optional.of(1 << 20), 0.5, ElementType.F32))
        .write(full, TinyFactors.CPU, product -> {});
    double[] expected = logProbs(biased);
    assertClose(logProbs(full), expected, 1e-3);
    double moved = 0;
    double[] without = logProbs(BiasedModel.write(directory.resolve("qwen2-unbiased"), 0));
    for (int i = 0; i < expected.length; i++) {
      moved = Math.max(moved, Math.abs(expected[i] - without[i]));
    }
    assertThat(moved).as("biases count").isGreaterThan(0.1);
  }

  /** The kernel with factors against the ordinary kernel with their products as matrices. */
  @Test
  void aFactoredModelScoresAsTheModelOfItsProducts() throws Exception {
    Path thin = compress("thin", share(0.5));
    Path dense = Files.createDirectories(directory.resolve("dense"));
    for (String file : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(model.resolve(file), dense.resolve(file));
    }
    try (ModelFiles files = ModelFiles.open(thin)) {
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      files
          .weights()
          .tensors()
          .forEach(
              (name, info) -> {
                float[] values =
                    files.weights().floats(name, 0, Math.toIntExact(elements(info.shape())));
                if (name.endsWith(".weight_b")) {
                  String first = firstOf(name);
                  List<Long> shape = files.weights().tensors().get(first).shape();
                  float[] a = files.weights().floats(first, 0, Math.toIntExact(elements(shape)));
                  float[] product =
                      product(
                          values, a, Math.toIntExact(shape.get(0)), Math.toIntExact(shape.get(1)));
                  tensors.add(
                      tensor(
                          name.replace(".weight_b", ".weight"),
                          List.of(info.shape().get(0), shape.get(1)),
                          product));
                } else if (!name.endsWith(".weight_a")) {
                  tensors.add(tensor(name, info.shape(), values));
                }
              });
      SafetensorsWriter.write(
          dense.resolve("model.safetensors"), ElementType.F32, tensors, Map.of());
    }
    double[] thinProbs = logProbs(thin);
    assertClose(thinProbs, logProbs(dense), 1e-3);
    double moved = 0;
    double[] whole = logProbs(model);
    for (int i = 0; i < whole.length; i++) {
      moved = Math.max(moved, Math.abs(whole[i] - thinProbs[i]));
    }
    assertThat(moved).as("half of the elements are gone").isGreaterThan(0.1);
  }

  private static String firstOf(String second) {
    return second
        .replaceAll("\\.[qkv]_proj\\.weight_b", ".qkv_proj.weight_a")
        .replaceAll("\\.(gate|up)_proj\\.weight_b", ".gate_up_proj.weight_a")
        .replace(".weight_b", ".weight_a");
  }

  private static long elements(List<Long> shape) {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  private static float[] product(float[] b, float[] a, int rank, int inputs) {
    int outputs = b.length / rank;
    float[] product = new float[outputs * inputs];
    for (int o = 0; o < outputs; o++) {
      for (int i = 0; i < inputs; i++) {
        double sum = 0;
        for (int k = 0; k < rank; k++) {
          sum += (double) b[o * rank + k] * a[k * inputs + i];
        }
        product[o * inputs + i] = (float) sum;
      }
    }
    return product;
  }

  private static SafetensorsWriter.Tensor tensor(String name, List<Long> shape, float[] values) {
    return new SafetensorsWriter.Tensor(
        name, shape, (offset, n) -> Arrays.copyOfRange(values, (int) offset, (int) offset + n));
  }

  @Test
  void ranksKeepTheShareThatWasAskedFor() {
    long before = 0;
    long after = 0;
    for (Compression.Product product :
        new Compression(model, factors, share(0.4))
            .write(directory.resolve("share"), TinyFactors.CPU, product -> {})) {
      before += product.before();
      after += product.after();
      assertThat(product.error()).isBetween(0.0, 1.0);
    }
    assertThat((double) after / before).isBetween(0.35, 0.4);
  }

  @Test
  void whatCanNotBeIsSaidInOneSentence() throws Exception {
    Path thin = compress("once", share(0.5));
    assertThatThrownBy(() -> TappedModel.open(thin, LayerSelection.ALL, TinyFactors.CPU))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("neither trained nor differentiated");
    assertThatThrownBy(() -> compress("once", share(0.5)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("is not empty");
    assertThatThrownBy(
            () ->
                new Compression(BundledModels.unpack("tiny-chat"), factors, share(0.5))
                    .write(directory.resolve("other"), TinyFactors.CPU, product -> {}))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("The factors are of model tiny-base");
    for (double wrong : new double[] {0, 1, Double.NaN}) {
      assertThatThrownBy(() -> share(wrong))
          .isInstanceOf(InfluenceException.class)
          .hasMessageContaining("share " + wrong + " is none");
    }
    Path config = thin.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(
        config, text.replaceAll("\"whence_ranks\" : \\[ \\[ \\d+", "\"whence_ranks\" : [ [ 1"));
    assertThatThrownBy(() -> ModelFiles.open(thin))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("qkv_proj.weight_a");
    Files.writeString(
        config, text.replaceAll("\"whence_ranks\" : \\[ \\[ \\d+", "\"whence_ranks\" : [ [ -1"));
    assertThatThrownBy(() -> ModelFiles.open(thin))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("whence_ranks of layer 0 is not four whole numbers");
  }
}
