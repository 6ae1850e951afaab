package dev.whence.influence.ekfac;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
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
import dev.whence.influence.corpus.Progress;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a job reads: lines that are no document, a corpus that changes, and what a model overflows
 * on.
 */
class FactorsCorpusTest {
  private static TappedModel model;

  @TempDir private static Path shared;

  private static Path corpus;

  @BeforeAll
  static void open() throws Exception {
    model = TinyFactors.base();
    corpus = SampleCorpus.write(shared.resolve("corpus.jsonl"), TinyFactors.documents());
  }

  @AfterAll
  static void close() {
    model.close();
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
}
