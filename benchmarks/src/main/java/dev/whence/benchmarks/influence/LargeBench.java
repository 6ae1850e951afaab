package dev.whence.benchmarks.influence;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.RandomWeights;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.training.Example;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ExpectedTensors;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.files.FileTree;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.influence.query.ResponseGradient;
import dev.whence.samples.BundledModels;
import dev.whence.samples.recipes.Architecture;
import dev.whence.samples.recipes.Architecture.Family;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * What influence costs on a large model, in time and memory: a GPT-NeoX with {@link RandomWeights}
 * is written in bf16 and loaded, factors of some layers are computed, a response's gradient is
 * taken and preconditioned. What comes out means nothing; what it takes is what a trained model
 * takes.
 */
public final class LargeBench {
  private static final String TOKENIZER_OF = BundledModels.CHAT;

  private LargeBench() {}

  /** A GPT-NeoX that rotates a quarter of each head. */
  public record Shape(String name, Architecture architecture) {
    /** As databricks/dolly-v2-3b: 2.8 B parameters. */
    public static final Shape DOLLY_V2_3B =
        new Shape(
            "dolly-v2-3b",
            new Architecture(Family.GPT_NEOX, 50_280, 2560, 32, 32, 80, 10_240, 2048));

    private String config() throws IOException {
      ObjectNode config = (ObjectNode) JsonMapper.builder().build().readTree(architecture.config());
      return config.put("rotary_pct", 0.25).toPrettyString();
    }
  }

  /**
   * What to measure.
   *
   * @param directory for the model, its factors and their corpus, all removed in the end
   * @param layers whose factors are computed
   * @param documents of the sample world that the factors see, at most; at least 1
   * @param promptTokens of the query
   * @param responseTokens of the query
   */
  public record Options(
      Path directory,
      Shape shape,
      LayerSelection layers,
      int documents,
      int promptTokens,
      int responseTokens) {
    public Options {
      if (documents < 1 || promptTokens < 1 || responseTokens < 1) {
        throw new IllegalArgumentException("documents, prompt and response have at least one each");
      }
      if (promptTokens + responseTokens > shape.architecture().positions()) {
        throw new IllegalArgumentException(
            shape.name() + " reads " + shape.architecture().positions() + " tokens at most");
      }
    }
  }

  /**
   * Measures once.
   *
   * @throws IOException if the model can not be written: it takes two bytes a parameter
   */
  public static LargeReport run(Options options, Consumer<String> progress) throws IOException {
    Path work = Files.createTempDirectory(Files.createDirectories(options.directory()), "large");
    try {
      Path model = Files.createDirectory(work.resolve("model"));
      progress.accept("writing a random " + options.shape().name());
      write(model, options.shape());
      Path corpus = work.resolve("corpus.jsonl");
      int documents = SampleCorpus.write(corpus, TOKENIZER_OF, options.documents());
      return measure(options, model, corpus, documents, work.resolve("factors"), progress);
    } finally {
      FileTree.delete(work);
    }
  }

  private static LargeReport measure(
      Options options,
      Path directory,
      Path corpus,
      int documents,
      Path factors,
      Consumer<String> progress) {
    String started = Instant.now().toString();
    Steps steps = new Steps(progress);
    steps.begin("load");
    try (TappedModel model =
        TappedModel.open(directory, options.layers(), EngineOptions.defaults().withDevice("cpu"))) {
      steps.end();
      steps.begin("factors");
      new FactorsJob(
              model,
              new CorpusFile(corpus),
              factors,
              FactorsJob.Options.DEFAULT.withSelection(options.layers()))
          .run(steps);
      steps.end();
      steps.begin("gradient of a response");
      ResponseGradient gradient =
          ResponseGradient.of(model, example(options), Measure.LOG_LIKELIHOOD);
      steps.end();
      steps.begin("reading the factors");
      try (EkfacFactors read = EkfacFactors.read(factors, model.matrices())) {
        steps.end();
        steps.begin("preconditioning");
        double norm =
            new MultiStageQuery(read, Optional.empty(), model.matrices())
                .whitened(gradient, Damping.DEFAULT, Damping.DEFAULT, Damping.DEFAULT)
                .norm();
        steps.end();
        if (!(norm > 0) || Double.isInfinite(norm)) {
          throw new IllegalStateException("the preconditioned gradient has the norm " + norm);
        }
        return new LargeReport(
            started,
            Machine.here(),
            options.shape().name(),
            parameters(model.config()),
            model.layers(),
            documents,
            (int) read.stage().tokens(),
            options.promptTokens(),
            options.responseTokens(),
            steps.done);
      }
    }
  }

  private static long parameters(ModelConfig config) {
    return ExpectedTensors.of(config).values().stream()
        .mapToLong(shape -> shape.stream().reduce(1L, Math::multiplyExact))
        .sum();
  }

  /** Random tokens: to random weights they say as much as a text. */
  private static Example example(Options options) {
    int tokens = options.promptTokens() + options.responseTokens();
    Random random = new Random(1);
    float[] lossWeights = new float[tokens];
    Arrays.fill(lossWeights, options.promptTokens(), tokens, 1);
    return new Example(
        random.ints(tokens, 0, options.shape().architecture().vocabulary()).toArray(), lossWeights);
  }

  private static void write(Path model, Shape shape) throws IOException {
    Path lender = BundledModels.unpack(TOKENIZER_OF);
    try (Stream<Path> files = Files.list(lender)) {
      for (Path file : files.toList()) {
        String name = String.valueOf(file.getFileName());
        if (!name.endsWith(".safetensors") && !name.equals("config.json")) {
          Files.copy(file, model.resolve(name));
        }
      }
    }
    String config = shape.config();
    Files.writeString(model.resolve("config.json"), config);
    RandomWeights weights = new RandomWeights(ModelConfig.parse(config, shape.name()));
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    weights
        .tensors()
        .forEach(
            (name, info) ->
                tensors.add(
                    new SafetensorsWriter.Tensor(
                        name, info.shape(), (offset, n) -> weights.floats(name, offset, n))));
    SafetensorsWriter.write(
        model.resolve("model.safetensors"), ElementType.BF16, tensors, Map.of());
  }

  /** Takes times. */
  private static final class Steps implements FactorsJob.Listener {
    final List<LargeReport.Step> done = new ArrayList<>();
    private final Consumer<String> progress;
    private String name = "";
    private long began;

    Steps(Consumer<String> progress) {
      this.progress = progress;
    }

    void begin(String step) {
      progress.accept(step);
      name = step;
      began = System.nanoTime();
    }

    void end() {
      done.add(
          new LargeReport.Step(
              name,
              Duration.ofNanos(System.nanoTime() - began).toMillis() / 1e3,
              Machine.peakResidentBytes().orElse(0)));
    }

    @Override
    public void note(String sentence) {
      progress.accept(sentence);
    }
  }
}
