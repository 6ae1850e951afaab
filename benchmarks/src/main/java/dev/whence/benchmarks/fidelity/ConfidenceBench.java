package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.AttributionNote;
import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.Proportion;
import dev.whence.attribution.confidence.Calibration;
import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.confidence.Features;
import dev.whence.attribution.confidence.TopSources;
import dev.whence.attribution.method.AttributionMethod;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.fidelity.ConfidenceReport.Row;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Answerer;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.Kind;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Whether the fast path keeps its word: responses are scored both ways; the {@link Calibration} is
 * learnt from one half of them and tried on the other, for several agreements that a user may want.
 * As in the FAST role, what is wanted is held against the low end of what the calibration promises,
 * and a text that one of the models can not spell is left out.
 */
public final class ConfidenceBench {
  private static final List<Double> WANTED = List.of(0.8, 0.85, 0.9, 0.95);
  private static final int BINS = 10;

  private ConfidenceBench() {}

  /**
   * What to measure.
   *
   * @param target model that counts; also answers
   * @param fast model of the fast path
   * @param fastMethod its method
   * @param targetMethod of the target
   * @param input prompts; empty: questions about the synthetic world
   * @param paragraphs most of a prompt; 0: all
   * @param responses to score
   * @param maxNewTokens of an answer that the model gives
   * @param dtype of both
   */
  public record Options(
      Path target,
      Path fast,
      MethodOptions fastMethod,
      MethodOptions targetMethod,
      Optional<Path> input,
      int paragraphs,
      int responses,
      int maxNewTokens,
      Dtype dtype) {
    public Options {
      if (responses < 40) {
        throw new IllegalArgumentException(
            "responses is " + responses + ", but half of them must teach something: 40 or more");
      }
      if (AttributionMethod.of(fastMethod).needsProxy()) {
        throw new IllegalArgumentException(
            "the fast path scores with one model, but the method '"
                + fastMethod.name()
                + "' needs a second one");
      }
      if (!AttributionMethod.of(fastMethod).givesNats()) {
        throw new IllegalArgumentException(
            "scores of the method '"
                + fastMethod.name()
                + "' are not in nats: agreement with the target's is not defined");
      }
    }
  }

  /**
   * Runs the benchmark.
   *
   * @param progress is told what is going on, one sentence at a time
   * @throws IOException if the input can not be read
   */
  public static ConfidenceReport run(Options options, Consumer<String> progress)
      throws IOException {
    Instant started = Instant.now();
    Machine machine = Machine.here();
    List<FidelityPrompt> prompts =
        options.input().isPresent()
            ? FidelityPrompt.read(options.input().get(), options.paragraphs(), options.responses())
            : FidelityPrompt.ofWorld(options.responses(), Kind.values());
    EngineOptions engine = EngineOptions.defaults().withDtype(options.dtype());
    try (ModelFiles targetFiles = ModelFiles.open(options.target());
        ModelFiles fastFiles = ModelFiles.open(options.fast());
        LocalScorer target = LocalScorer.open(targetFiles, engine);
        LocalScorer fast = LocalScorer.open(fastFiles, engine)) {
      Attributor behind = new Attributor(target, of(options.targetMethod()));
      Attributor front = new Attributor(fast, of(options.fastMethod()));
      Answerer answerer = new Answerer(target);
      List<Pair> pairs = new ArrayList<>();
      double fastSeconds = 0;
      double targetSeconds = 0;
      int skipped = 0;
      for (int i = 0; i < prompts.size(); i++) {
        try {
          Conversation answered = prompts.get(i).conversation();
          if (answered.response().isEmpty()) {
            answered = answerer.answer(answered, options.maxNewTokens());
          }
          AttributionResult before = front.attribute(answered);
          AttributionResult after = behind.attribute(answered);
          if (before.status() != AttributionStatus.SCORED
              || after.status() != AttributionStatus.SCORED
              || before.sources().isEmpty()
              || !isRead(before)
              || !isRead(after)) {
            skipped++;
            continue;
          }
          fastSeconds += before.cost().seconds();
          targetSeconds += after.cost().seconds();
          pairs.add(
              Pair.of(
                  Features.of(before, answered.response()),
                  TopSources.agree(taus(before), taus(after)),
                  false));
        } catch (EngineException e) {
          skipped++;
          progress.accept(prompts.get(i).conversation().responseId() + ": " + e.getMessage());
        }
        if ((i + 1) % 100 == 0) {
          progress.accept(String.format(Locale.ROOT, "%d of %d responses", i + 1, prompts.size()));
        }
      }
      if (pairs.size() < 40) {
        throw new IllegalArgumentException("only " + pairs.size() + " responses could be scored");
      }
      List<Pair> learnt = half(pairs, 0);
      List<Pair> heldBack = half(pairs, 1);
      return new ConfidenceReport(
          fastFiles.name(),
          options.fastMethod().name(),
          targetFiles.name(),
          options.targetMethod().name(),
          fast.description().dtype(),
          started.toString(),
          machine,
          learnt.size(),
          heldBack.size(),
          skipped,
          agreement(heldBack),
          fastSeconds / targetSeconds,
          calibrationError(Calibration.fit(learnt, 0.9), heldBack),
          WANTED.stream().map(wanted -> row(learnt, heldBack, wanted)).toList());
    }
  }

  private static AttributionOptions of(MethodOptions method) {
    return new AttributionOptions(method, AttributionOptions.DEFAULT.granularity(), 0, false, "");
  }

  private static boolean isRead(AttributionResult result) {
    return !result.flags().contains(AttributionNote.TEXT_NOT_READ.name());
  }

  private static double[] taus(AttributionResult result) {
    return result.sources().stream().mapToDouble(SourceScore::tau).toArray();
  }

  private static List<Pair> half(List<Pair> pairs, int which) {
    return IntStream.range(0, pairs.size())
        .filter(i -> i % 2 == which)
        .mapToObj(pairs::get)
        .toList();
  }

  private static Proportion agreement(List<Pair> pairs) {
    return Proportion.of((int) pairs.stream().filter(Pair::agreed).count(), pairs.size());
  }

  private static Row row(List<Pair> learnt, List<Pair> heldBack, double wanted) {
    Calibration calibration = Calibration.fit(learnt, wanted);
    List<Pair> kept = heldBack.stream().filter(pair -> calibration.keeps(pair.features())).toList();
    return new Row(
        wanted,
        agreement(kept),
        calibration.keptAgreement(),
        Proportion.of(heldBack.size() - kept.size(), heldBack.size()));
  }

  /**
   * Expected calibration error (Naeini et al., AAAI 2015): mean over ten bins of equally many
   * responses of |mean confidence - agreement|.
   */
  static double calibrationError(Calibration calibration, List<Pair> pairs) {
    List<double[]> sorted =
        pairs.stream()
            .map(
                pair ->
                    new double[] {calibration.confidence(pair.features()), pair.agreed() ? 1 : 0})
            .sorted(java.util.Comparator.comparingDouble(one -> one[0]))
            .toList();
    double error = 0;
    for (int bin = 0; bin < BINS; bin++) {
      List<double[]> part =
          sorted.subList(bin * sorted.size() / BINS, (bin + 1) * sorted.size() / BINS);
      double difference = part.stream().mapToDouble(one -> one[0] - one[1]).sum();
      error += Math.abs(difference) / sorted.size();
    }
    return error;
  }
}
