package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Spread;
import dev.whence.benchmarks.fidelity.FidelityPrompt.Place;
import dev.whence.benchmarks.fidelity.FidelityReport.Row;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.PartKind;
import dev.whence.engine.Answerer;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.kernel.GemmPeak;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Cost against fidelity of every attribution method, beside the baselines of the literature, on the
 * model's own greedy answers.
 *
 * <p>Truth is exact leave-one-out in fp32. Relevant sources of a prompt are the exact top k with
 * tau above 1 nat; prompts without any are counted and left out of mAP@k. The methods run in turn
 * for each prompt, so that what else the machine does falls on all alike; they run in the dtype
 * whose speed is claimed, and exact leave-one-out in that dtype is a row of the table. Costs
 * include the trunk.
 */
public final class FidelityBench {
  /** What a source must have done to be relevant, nats. */
  static final double RELEVANT_NATS = 1;

  /** Questions about the synthetic world, where no number is given. */
  private static final int WORLD_PROMPTS = 100;

  private final Options options;
  private final Consumer<String> progress;
  private final Map<String, Taken> taken = new TreeMap<>();
  private final List<Double> gemm = new ArrayList<>();

  private FidelityBench(Options options, Consumer<String> progress) {
    this.options = options;
    this.progress = progress;
  }

  /**
   * What to measure.
   *
   * @param model that answers and scores
   * @param input prompts, see {@link FidelityPrompt#read}; empty: {@link FidelityPrompt#ofWorld}
   * @param paragraphs most paragraphs of a prompt; 0 = all
   * @param prompts how many; 0 = all
   * @param maxNewTokens an answer is cut off there
   * @param dtype of the methods
   * @param only methods whose name begins with one of these; empty = all
   */
  public record Options(
      Path model,
      Optional<Path> input,
      int paragraphs,
      int prompts,
      int maxNewTokens,
      Dtype dtype,
      List<String> only) {
    public Options {
      only = List.copyOf(only);
      if (paragraphs < 0 || prompts < 0 || maxNewTokens < 1) {
        throw new IllegalArgumentException(
            "paragraphs and prompts must be 0 or more, and tokens of an answer 1 or more");
      }
    }
  }

  /** A method of the engine, or a baseline that only ranks. */
  private record Subject(
      String name,
      Optional<MethodOptions> method,
      Optional<Function<AttributionResult, double[]>> rank) {
    static Subject of(String name, MethodOptions method) {
      return new Subject(name, Optional.of(method), Optional.empty());
    }
  }

  /** What one method gave, prompt by prompt. */
  private static final class Taken {
    private final Map<Integer, List<Double>> precision = new TreeMap<>();
    private final Map<String, List<Double>> values = new TreeMap<>();

    void add(String name, Optional<Double> value) {
      List<Double> list = values.computeIfAbsent(name, key -> new ArrayList<>());
      value.ifPresent(list::add);
    }

    List<Double> get(String name) {
      return values.getOrDefault(name, List.of());
    }
  }

  /**
   * Runs the benchmark.
   *
   * @param progress is told what is going on, one sentence at a time
   * @throws IOException if the input can not be read
   * @throws IllegalArgumentException if a line is no prompt, or no prompt can be scored
   */
  public static FidelityReport run(Options options, Consumer<String> progress) throws IOException {
    return new FidelityBench(options, progress).run();
  }

  private FidelityReport run() throws IOException {
    final Instant started = Instant.now();
    final Machine machine = Machine.here();
    List<FidelityPrompt> prompts =
        options.input().isPresent()
            ? FidelityPrompt.read(options.input().get(), options.paragraphs(), options.prompts())
            : FidelityPrompt.ofWorld(options.prompts() == 0 ? WORLD_PROMPTS : options.prompts());
    try (ModelFiles files = ModelFiles.open(options.model());
        LocalScorer methods = open(files, options.dtype());
        LocalScorer truth =
            methods.description().dtype().equals("fp32") ? methods : open(files, Dtype.FP32)) {
      List<Integer> lengths = new ArrayList<>();
      List<Integer> sources = new ArrayList<>();
      List<Double> generation = new ArrayList<>();
      int skipped = 0;
      for (int i = 0; i < prompts.size(); i++) {
        FidelityPrompt prompt = prompts.get(i);
        gemm.add(peak(methods));
        try {
          long start = System.nanoTime();
          boolean generated = prompt.conversation().response().isEmpty();
          if (generated) {
            prompt =
                prompt.answered(
                    new Answerer(methods).answer(prompt.conversation(), options.maxNewTokens()));
          }
          double seconds = (System.nanoTime() - start) * 1e-9;
          AttributionResult exact = attribute(truth, MethodOptions.DEFAULT, prompt.conversation());
          measure(methods, prompt, exact, generated ? Optional.of(seconds) : Optional.empty());
          lengths.add(exact.promptTokens() + exact.responseTokens());
          sources.add(exact.sources().size());
          if (generated) {
            generation.add(seconds);
          }
          progress.accept(
              String.format(
                  Locale.ROOT,
                  "prompt %d of %d: %d sources in %d tokens",
                  i + 1,
                  prompts.size(),
                  exact.sources().size(),
                  exact.promptTokens() + exact.responseTokens()));
        } catch (NotMeasuredException | EngineException e) {
          skipped++;
          progress.accept(prompt.conversation().responseId() + " is left out: " + e.getMessage());
        }
      }
      if (lengths.isEmpty()) {
        throw new IllegalArgumentException("no prompt could be scored");
      }
      List<Row> rows = taken.entrySet().stream().map(e -> row(e.getKey(), e.getValue())).toList();
      return new FidelityReport(
          files.name(),
          files.digest(),
          methods.description().dtype(),
          started.toString(),
          machine,
          Machine.here().loadAverage(),
          lengths.size(),
          skipped,
          lengths.stream().mapToInt(Integer::intValue).average().orElse(0),
          sources.stream().mapToInt(Integer::intValue).average().orElse(0),
          generation.isEmpty() ? Optional.empty() : Optional.of(Spread.of(generation)),
          Spread.of(gemm),
          rows.stream()
              .sorted(java.util.Comparator.comparingDouble(r -> -r.precision3().mean()))
              .toList());
    }
  }

  /** A prompt that says nothing about methods. */
  private static final class NotMeasuredException extends Exception {
    private static final long serialVersionUID = 1L;

    NotMeasuredException(String reason) {
      super(reason);
    }
  }

  private static LocalScorer open(ModelFiles files, Dtype dtype) {
    return LocalScorer.open(files, EngineOptions.defaults().withDtype(dtype));
  }

  private static double peak(LocalScorer scorer) {
    GemmPeak peak = GemmPeak.measure(EngineOptions.defaults());
    return scorer.description().dtype().equals("bf16") ? peak.bf16() : peak.fp32();
  }

  private static AttributionResult attribute(
      LocalScorer scorer, MethodOptions method, Conversation conversation)
      throws NotMeasuredException {
    AttributionOptions defaults = AttributionOptions.DEFAULT;
    AttributionResult result =
        new Attributor(scorer, new AttributionOptions(method, defaults.granularity(), 0, false, ""))
            .attribute(conversation);
    if (result.status() != AttributionStatus.SCORED) {
      throw new NotMeasuredException(result.reason());
    }
    if (result.sources().size() < 2) {
      throw new NotMeasuredException("there are fewer than two sources to rank");
    }
    return result;
  }

  private static List<Subject> subjects(FidelityPrompt prompt) {
    List<Subject> subjects = new ArrayList<>();
    subjects.add(Subject.of("exact LOO", MethodOptions.of("exact-loo")));
    for (int heal : new int[] {0, 16, 48}) {
      subjects.add(Subject.of("splice, w = " + heal, MethodOptions.of("splice").withHeal(heal)));
    }
    subjects.add(Subject.of("cascade: splice, exact on the top 6", MethodOptions.of("cascade")));
    subjects.add(Subject.of("paragraph-first splice, K = 3", MethodOptions.of("paragraph-splice")));
    subjects.add(Subject.of("hierarchical, K = 3", MethodOptions.of("hierarchical")));
    for (int masks : new int[] {32, 64}) {
      subjects.add(
          Subject.of("ContextCite-" + masks, MethodOptions.of("contextcite").withMasks(masks, 7)));
    }
    subjects.add(ranked("BM25", result -> Bm25.scores(texts(result), query(prompt))));
    subjects.add(ranked("position", result -> position(result.sources().size())));
    String id = prompt.conversation().responseId();
    subjects.add(ranked("random", result -> random(result.sources().size(), id)));
    return subjects;
  }

  private static Subject ranked(String name, Function<AttributionResult, double[]> rank) {
    return new Subject(name, Optional.empty(), Optional.of(rank));
  }

  private static List<String> texts(AttributionResult result) {
    return result.sources().stream().map(SourceScore::text).toList();
  }

  private static String query(FidelityPrompt prompt) {
    String question =
        prompt
            .conversation()
            .parts()
            .filter(part -> part.kind() == PartKind.QUESTION)
            .map(part -> part.text())
            .collect(Collectors.joining(" "));
    return question + " " + prompt.conversation().response();
  }

  /** The earlier the better. */
  private static double[] position(int sources) {
    double[] scores = new double[sources];
    for (int i = 0; i < sources; i++) {
      scores[i] = -i;
    }
    return scores;
  }

  private static double[] random(int sources, String id) {
    SplittableRandom random = new SplittableRandom(id.hashCode());
    return random.doubles(sources).toArray();
  }

  private boolean isWanted(String name) {
    return options.only().isEmpty() || options.only().stream().anyMatch(name::startsWith);
  }

  private void measure(
      LocalScorer scorer,
      FidelityPrompt prompt,
      AttributionResult exact,
      Optional<Double> generation)
      throws NotMeasuredException {
    double[] tau = taus(exact);
    Set<Integer> gold = gold(prompt, exact);
    for (Subject subject : subjects(prompt)) {
      if (!isWanted(subject.name())) {
        continue;
      }
      Taken of = taken.computeIfAbsent(subject.name(), name -> new Taken());
      double[] scores;
      if (subject.method().isPresent()) {
        boolean isTruth =
            subject.method().get().equals(MethodOptions.DEFAULT)
                && scorer.description().dtype().equals("fp32");
        AttributionResult result =
            isTruth ? exact : attribute(scorer, subject.method().get(), prompt.conversation());
        scores = taus(result);
        of.add("passes", Optional.of(result.cost().passes()));
        of.add(
            "tokens",
            Optional.of((double) result.cost().trunkTokens() + result.cost().branchTokens()));
        of.add("flops", Optional.of(result.cost().flops()));
        of.add("seconds", Optional.of(result.cost().seconds()));
        of.add("share", generation.map(seconds -> result.cost().seconds() / seconds));
        if (!subject.method().get().name().equals("contextcite")) { // its scores are of logits
          for (int i = 0; i < tau.length; i++) {
            of.add("error", Optional.of(Math.abs(scores[i] - tau[i])));
          }
        }
      } else {
        scores = subject.rank().orElseThrow().apply(exact);
      }
      for (int k : new int[] {1, 3, 5}) {
        List<Double> list = of.precision.computeIfAbsent(k, key -> new ArrayList<>());
        Ranking.averagePrecision(scores, Ranking.relevant(tau, k, RELEVANT_NATS))
            .ifPresent(list::add);
      }
      of.add("pearson", Ranking.pearson(scores, tau));
      of.add("spearman", Ranking.spearman(scores, tau));
      of.add("kendall", Ranking.kendall(scores, tau));
      of.add("gold", Ranking.rocAuc(scores, gold));
    }
  }

  private static double[] taus(AttributionResult result) {
    return result.sources().stream().mapToDouble(SourceScore::tau).toArray();
  }

  private static Set<Integer> gold(FidelityPrompt prompt, AttributionResult result) {
    Set<Integer> gold = new HashSet<>();
    for (int i = 0; i < result.sources().size(); i++) {
      SourceScore source = result.sources().get(i);
      if (prompt.gold().contains(new Place(source.segment(), source.span().start()))) {
        gold.add(i);
      }
    }
    return gold;
  }

  private static Row row(String name, Taken of) {
    List<Double> seconds = of.get("seconds");
    return new Row(
        name,
        Interval.of(of.precision.getOrDefault(1, List.of())),
        Interval.of(of.precision.getOrDefault(3, List.of())),
        Interval.of(of.precision.getOrDefault(5, List.of())),
        Interval.of(of.get("pearson")),
        of.get("pearson").stream().mapToDouble(Double::doubleValue).min().orElse(0),
        Interval.of(of.get("spearman")),
        Interval.of(of.get("kendall")),
        of.get("error").isEmpty() ? Optional.empty() : Optional.of(Spread.of(of.get("error"))),
        Interval.of(of.get("gold")),
        mean(of.get("passes")),
        mean(of.get("tokens")),
        mean(of.get("flops")),
        seconds.isEmpty() ? 0 : Spread.percentile(seconds, 0.5),
        seconds.isEmpty() ? 0 : Spread.percentile(seconds, 0.95),
        mean(of.get("share")));
  }

  private static double mean(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).average().orElse(0);
  }
}
