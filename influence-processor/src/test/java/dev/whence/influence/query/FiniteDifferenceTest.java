package dev.whence.influence.query;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.ParameterLayout.Parameter;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.LossWeights;
import dev.whence.engine.training.TrainingTexts;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.influence.SampleCorpus;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.ekfac.Solve;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import dev.whence.influence.query.TwoStageTraining.Stage;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Is it the influence, with sign, alpha and scale? A transformer of one block is trained to the
 * optimum in two stages, in fp64, its values, attention's output and MLP; then an example of
 * pretraining gets a little more and a little less weight, both stages are trained again, and the
 * loss of a response is read.
 */
class FiniteDifferenceTest {
  private static final EngineOptions CPU = EngineOptions.defaults().withDevice("cpu");
  private static final LayerSelection LAYERS = new LayerSelection("mlp|v_proj|o_proj");
  private static final double LAMBDA = 1;
  private static final double ALPHA = 1;
  private static final double EPSILON = 1.0 / 128;
  private static final int DOCUMENTS = 8;

  @Test
  void influenceIsWhatReweightingAnExampleDoes(@TempDir Path directory) throws Exception {
    Path model = microModel(directory.resolve("micro"));
    List<Document> shortest =
        SampleCorpus.tiny().stream()
            .sorted(Comparator.comparingInt((Document document) -> document.text().length()))
            .limit(DOCUMENTS + 4)
            .toList();
    List<Document> pretraining = shortest.subList(0, DOCUMENTS);
    List<Document> fineTuning = shortest.subList(DOCUMENTS, DOCUMENTS + 3);
    try (ModelFiles files = ModelFiles.open(model);
        TrainableDecoder decoder =
            TrainableDecoder.inDouble(
                files.config(), name -> name.matches(".*(mlp|v_proj|o_proj).*"), CPU)) {
      TorchRuntime.workAlone();
      decoder.load(files.weights());
      TwoStageTraining training = new TwoStageTraining(decoder);
      TrainingTexts texts = new TrainingTexts(files.tokenizer(), files.template(), 64);
      List<Example> learnt = examples(texts, pretraining);
      Example asked =
          masked(examples(texts, shortest.subList(DOCUMENTS + 3, DOCUMENTS + 4)).get(0));
      double[] ones = new double[DOCUMENTS];
      Arrays.fill(ones, 1);
      double[] start = training.theta();
      Stage first = new Stage(learnt, ones, LAMBDA, start);
      double[] rough = training.descend(start, first, 1e-4);
      double[][] firstHessian = training.hessian(rough, first);
      double[][] firstFactor = Solve.cholesky(TwoStageTraining.damped(firstHessian, LAMBDA));
      double[] pretrained = training.polish(rough, first, firstFactor);
      Stage second =
          new Stage(examples(texts, fineTuning), new double[] {1, 1, 1}, ALPHA, pretrained);
      double[] roughSecond = training.descend(pretrained, second, 1e-4);
      double[][] secondHessian = training.hessian(roughSecond, second);
      double[][] secondFactor = Solve.cholesky(TwoStageTraining.damped(secondHessian, ALPHA));
      double[] fineTuned = training.polish(roughSecond, second, secondFactor);

      // the formula with exact Hessians: dL/dw_i = -(1/N) q' alpha (H_ft + alpha)^-1 (H_pt +
      // lambda)^-1 g_i
      double[] q = training.gradient(fineTuned, asked);
      double[] exact = exact(training, q, pretrained, first, secondFactor, firstFactor, ALPHA);

      int checked = 0;
      double largest = Arrays.stream(exact).map(Math::abs).max().orElseThrow();
      for (int i = 0; i < DOCUMENTS && checked < 4; i++) {
        if (Math.abs(exact[i]) < 0.1 * largest) {
          continue;
        }
        double[] losses = new double[2];
        for (int side = 0; side < 2; side++) {
          Stage moved = first.withWeight(i, side == 0 ? 1 + EPSILON : 1 - EPSILON);
          double[] base = training.polish(pretrained, moved, firstFactor);
          double[] tuned = training.polish(fineTuned, second.withCentre(base), secondFactor);
          losses[side] = training.loss(tuned, asked);
        }
        double measured = (losses[0] - losses[1]) / (2 * EPSILON);
        assertThat(measured)
            .as("example %d", i)
            .isCloseTo(exact[i], within(0.01 * Math.abs(exact[i])));
        checked++;
      }
      assertThat(checked).isGreaterThanOrEqualTo(3);

      // EK-FAC as it ships, from files, in fp32
      Path base = save(training, pretrained, model, directory.resolve("base"));
      Path chat = save(training, fineTuned, model, directory.resolve("chat"));
      Path corpus = SampleCorpus.write(directory.resolve("pretraining.jsonl"), pretraining);
      Path later = SampleCorpus.write(directory.resolve("fine-tuning.jsonl"), fineTuning);
      double[] ekfac = ekfac(directory, base, chat, corpus, later, asked, learnt, ALPHA, LAMBDA);
      double[] published = Arrays.stream(exact).map(value -> -value).toArray();
      System.out.printf(
          "EK-FAC against the exact Hessian: Spearman %.3f, Pearson %.3f, %d examples%n",
          pearson(ranks(ekfac), ranks(published)), pearson(ekfac, published), DOCUMENTS);
      assertThat(pearson(ranks(ekfac), ranks(published))).isGreaterThan(0.7);

      // where damping outweighs curvature EK-FAC's error vanishes: sign, scale, N and alpha remain
      double strong = 1e5;
      double[] expected =
          exact(
              training,
              q,
              pretrained,
              first,
              Solve.cholesky(TwoStageTraining.damped(secondHessian, strong)),
              Solve.cholesky(TwoStageTraining.damped(firstHessian, strong)),
              strong);
      double[] found = ekfac(directory, base, chat, corpus, later, asked, learnt, strong, strong);
      double scale = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
      for (int i = 0; i < DOCUMENTS; i++) {
        assertThat(found[i]).as("example %d", i).isCloseTo(-expected[i], within(0.02 * scale));
      }
    }
  }

  private static double[] exact(
      TwoStageTraining training,
      double[] q,
      double[] pretrained,
      Stage first,
      double[][] secondFactor,
      double[][] firstFactor,
      double alpha) {
    double[] u = Solve.solve(secondFactor, q);
    for (int i = 0; i < u.length; i++) {
      u[i] *= alpha;
    }
    double[] v = Solve.solve(firstFactor, u);
    double[] influences = new double[first.examples().size()];
    for (int i = 0; i < influences.length; i++) {
      double[] g = training.gradient(pretrained, first.examples().get(i));
      influences[i] = -TwoStageTraining.dot(v, g) / first.tokens();
    }
    return influences;
  }

  private static double[] ekfac(
      Path directory,
      Path base,
      Path chat,
      Path corpus,
      Path later,
      Example asked,
      List<Example> learnt,
      double alpha,
      double lambda) {
    try (TappedModel pretrained = TappedModel.open(base, LAYERS, CPU);
        TappedModel fineTuned = TappedModel.open(chat, LAYERS, CPU)) {
      FactorsJob.Options options = FactorsJob.Options.DEFAULT.withSelection(LAYERS);
      Path first = directory.resolve("factors-base");
      Path second = directory.resolve("factors-chat");
      new FactorsJob(pretrained, new CorpusFile(corpus), first, options)
          .run(FactorsJob.Listener.NONE);
      new FactorsJob(fineTuned, new CorpusFile(later), second, options)
          .run(FactorsJob.Listener.NONE);
      try (EkfacFactors ofBase = EkfacFactors.read(first, fineTuned.matrices());
          EkfacFactors ofChat = EkfacFactors.read(second, fineTuned.matrices())) {
        IndexSettings settings =
            new IndexSettings(
                "",
                "",
                "",
                "",
                "",
                Measure.LOG_LIKELIHOOD,
                Damping.DEFAULT,
                false,
                new BlockSketch(256, 1),
                "",
                "",
                1);
        MultiStageQuery.Preconditioned query =
            new MultiStageQuery(ofBase, Optional.of(ofChat), fineTuned.matrices())
                .precondition(
                    ResponseGradient.of(fineTuned, asked, Measure.LOG_LIKELIHOOD),
                    Damping.absolute(alpha),
                    Damping.absolute(lambda),
                    settings);
        List<CorpusDocument> documents = new ArrayList<>();
        for (Example example : learnt) {
          documents.add(
              new CorpusDocument(new CorpusDocument.Reference(1, 0, 0), "", "", List.of(example)));
        }
        return new ExactInfluence(pretrained, Measure.LOG_LIKELIHOOD, 512)
            .of(query, documents).stream()
                .mapToDouble(ExactInfluence.Breakdown::influence)
                .toArray();
      }
    }
  }

  /** Tiny-base's tokenizer and family, one block of width 4, values drawn. */
  private static Path microModel(Path directory) throws Exception {
    Path from = BundledModels.unpack("tiny-base");
    Files.createDirectories(directory);
    for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(from.resolve(file), directory.resolve(file));
    }
    String config = Files.readString(from.resolve("config.json"));
    for (Map.Entry<String, Integer> entry :
        Map.of(
                "hidden_size", 4,
                "intermediate_size", 6,
                "num_hidden_layers", 1,
                "num_attention_heads", 2,
                "num_key_value_heads", 2,
                "head_dim", 2)
            .entrySet()) {
      config =
          config.replaceAll(
              "\"" + entry.getKey() + "\" : \\d+",
              "\"" + entry.getKey() + "\" : " + entry.getValue());
    }
    Files.writeString(directory.resolve("config.json"), config);
    try (TrainableDecoder decoder =
        TrainableDecoder.frozen(
            dev.whence.engine.weights.ModelConfig.parse(config, "micro"), List.of(), CPU)) {
      Random random = new Random(4);
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      for (Parameter parameter : decoder.layout().parameters()) {
        float[] values = new float[Math.toIntExact(parameter.elements())];
        boolean matrix = parameter.shape().size() == 2;
        // embeddings outweigh what the block adds: a residual stream near 0 has no curvature to
        // speak
        // of but an infinite one, in its norm
        double deviation =
            parameter.name().contains("embed")
                ? 3
                : 1 / Math.sqrt(parameter.shape().get(matrix ? 1 : 0));
        float norm = parameter.name().equals("model.norm.weight") ? 1 / 3f : 1;
        for (int i = 0; i < values.length; i++) {
          values[i] = matrix ? (float) (deviation * random.nextGaussian()) : norm;
        }
        tensors.add(
            new SafetensorsWriter.Tensor(
                parameter.name(),
                parameter.shape(),
                (offset, n) -> Arrays.copyOfRange(values, (int) offset, (int) offset + n)));
      }
      SafetensorsWriter.write(
          directory.resolve("model.safetensors"), ElementType.F32, tensors, Map.of());
    }
    return directory;
  }

  private static Path save(TwoStageTraining training, double[] theta, Path from, Path directory)
      throws Exception {
    Files.createDirectories(directory);
    for (String file : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(from.resolve(file), directory.resolve(file));
    }
    training.fill(theta);
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    for (Parameter parameter : training.parameters()) {
      float[] values = training.values(parameter);
      tensors.add(
          new SafetensorsWriter.Tensor(
              parameter.name(),
              parameter.shape(),
              (offset, n) -> Arrays.copyOfRange(values, (int) offset, (int) offset + n)));
    }
    SafetensorsWriter.write(
        directory.resolve("model.safetensors"), ElementType.F32, tensors, Map.of());
    return directory;
  }

  private static List<Example> examples(TrainingTexts texts, List<Document> documents) {
    return documents.stream()
        .map(document -> texts.document(document.text(), LossWeights.EVEN).get(0))
        .toList();
  }

  /** The first half is the prompt. */
  private static Example masked(Example example) {
    float[] weights = example.lossWeights().clone();
    Arrays.fill(weights, 0, weights.length / 2, 0);
    return new Example(example.tokens(), weights);
  }

  private static double[] ranks(double[] values) {
    double[] ranks = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      for (double other : values) {
        ranks[i] += other < values[i] ? 1 : other == values[i] ? 0.5 : 0;
      }
    }
    return ranks;
  }

  private static double pearson(double[] x, double[] y) {
    double mx = Arrays.stream(x).average().orElseThrow();
    double my = Arrays.stream(y).average().orElseThrow();
    double xy = 0;
    double xx = 0;
    double yy = 0;
    for (int i = 0; i < x.length; i++) {
      xy += (x[i] - mx) * (y[i] - my);
      xx += Math.pow(x[i] - mx, 2);
      yy += Math.pow(y[i] - my, 2);
    }
    return xy / Math.sqrt(xx * yy);
  }
}
