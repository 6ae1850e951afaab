package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.ContextAblation;
import dev.whence.attribution.NoiseFloor;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.tokens.CutWindow;
import dev.whence.benchmarks.Build;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Spread;
import dev.whence.benchmarks.fidelity.FidelityPrompt.Place;
import dev.whence.benchmarks.fidelity.FidelityReport.Ablated;
import dev.whence.benchmarks.fidelity.FidelityReport.Agreement;
import dev.whence.benchmarks.fidelity.FidelityReport.Cost;
import dev.whence.benchmarks.fidelity.FidelityReport.Row;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Answerer;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.kernel.GemmPeak;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.files.Sha256;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Cost against fidelity of every attribution method, beside the baselines of the literature, on the
 * model's own greedy answers.
 *
 * <p>Truth is exact leave-one-out in fp32. Relevant sources of a prompt are the exact top k with
 * tau above 1 nat; prompts without any are counted and left out of mAP@k. The methods run in turn
 * for each prompt, so that what else the machine does falls on all alike, after one untimed
 * attribution that meets the trunk's new shapes for all of them; they run in the dtype whose speed
 * is claimed, and exact leave-one-out in that dtype is a row of the table. Costs include the trunk.
 */
public final class FidelityBench {
  /** What a source must have done to be relevant, nats. */
  static final double RELEVANT_NATS = 1;

  /** Questions about the synthetic world, where no number is given. */
  private static final int WORLD_PROMPTS = 100;

  private final Options options;
  private final Consumer<String> progress;
  private final Map<String, Taken> taken = new TreeMap<>();
  private boolean warm;

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
   * @param limit no further prompt is begun after so long; empty = none
   * @param maxNewTokens an answer is cut off there
   * @param dtype of the methods
   * @param proxy a smaller model, for the methods that have one
   * @param full also measures by ablations and by the redundancy probe, which costs several times
   *     as much; see {@link Faithfulness} and {@link RedundancyProbe}
   * @param only methods whose name begins with one of these; empty = all
   * @param kept prompts that were measured before, see {@link MeasuredPrompts}; what is measured
   *     now is added
   */
  public record Options(
      Path model,
      Optional<Path> input,
      int paragraphs,
      int prompts,
      Optional<Duration> limit,
      int maxNewTokens,
      Dtype dtype,
      Optional<Path> proxy,
      boolean full,
      List<String> only,
      Optional<Path> kept) {
    public Options {
      only = List.copyOf(only);
      if (paragraphs < 0 || prompts < 0 || maxNewTokens < 1) {
        throw new IllegalArgumentException(
            "paragraphs and prompts must be 0 or more, and tokens of an answer 1 or more");
      }
      var unused = subjects(only, proxy.isPresent()); // which throws
    }
  }

  /** What one method gave over all prompts, by the name of the measure. */
  private static final class Taken {
    private final Subject.Origin origin;
    private final Map<String, List<Double>> values = new TreeMap<>();

    Taken(Subject.Origin origin) {
      this.origin = origin;
    }

    void add(Map<String, List<Double>> ofPrompt) {
      ofPrompt.forEach(
          (name, more) -> values.computeIfAbsent(name, key -> new ArrayList<>()).addAll(more));
    }

    List<Double> get(String name) {
      return values.getOrDefault(name, List.of());
    }

    Interval interval(String name) {
      return Interval.of(get(name));
    }

    double mean(String name) {
      return get(name).stream().mapToDouble(Double::doubleValue).average().orElse(0);
    }

    double percentile(String name, double share) {
      return get(name).isEmpty() ? 0 : Spread.percentile(get(name), share);
    }

    /** By how much more or less than another on the same prompts, prompt by prompt. */
    Optional<Interval> less(@Nullable Taken other, String name) {
      List<Double> own = get(name);
      List<Double> others = other == null ? List.of() : other.get(name);
      if (other == this || own.isEmpty() || own.size() != others.size()) {
        return Optional.empty();
      }
      return Optional.of(
          Interval.of(
              IntStream.range(0, own.size()).mapToObj(i -> own.get(i) - others.get(i)).toList()));
    }

    /**
     * @param exact what exact LOO gave in the same dtype, if it was measured
     */
    Row row(String method, @Nullable Taken exact, boolean full) {
      List<Double> pearson = get("pearson");
      return new Row(
          method,
          origin,
          new Agreement(
              interval("precision1"),
              interval("precision3"),
              interval("precision5"),
              less(exact, "precision3"),
              interval("pearson"),
              interval("pearsonRelevant"),
              pearson.stream().mapToDouble(Double::doubleValue).min().orElse(0),
              interval("spearman"),
              interval("kendall"),
              get("error").isEmpty() ? Optional.empty() : Optional.of(Spread.of(get("error"))),
              interval("gold")),
          full
              ? Optional.of(
                  new Ablated(
                      interval("lds"),
                      interval("drop1"),
                      interval("drop3"),
                      interval("drop5"),
                      interval("deletion"),
                      interval("oneCopy"),
                      interval("bothCopies")))
              : Optional.empty(),
          new Cost(
              mean("passes"),
              mean("tokens"),
              mean("flops"),
              percentile("seconds", 0.5),
              percentile("seconds", 0.95),
              mean("share")));
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
        Models models = open(files)) {
      LocalScorer methods = models.methods();
      CutWindow.settle(methods.tokenizer());
      models.proxy().ifPresent(proxy -> CutWindow.settle(proxy.tokenizer()));
      MeasuredPrompts kept = kept(files, models, machine);
      List<Measured> measured = new ArrayList<>();
      int skipped = 0;
      int takenOver = 0;
      Instant end = options.limit().map(started::plus).orElse(Instant.MAX);
      for (int i = 0; i < prompts.size() && Instant.now().isBefore(end); i++) {
        FidelityPrompt prompt = prompts.get(i);
        String id = prompt.conversation().responseId();
        Optional<Measured> before = kept.take(id);
        try {
          Measured one = before.isPresent() ? before.get() : measure(models, prompt);
          if (before.isEmpty()) {
            kept.add(one);
          } else {
            takenOver++;
          }
          measured.add(one);
          progress.accept(
              String.format(
                  Locale.ROOT,
                  "prompt %d of %d: %d sources in %d tokens%s",
                  i + 1,
                  prompts.size(),
                  one.sources(),
                  one.tokens(),
                  before.isPresent() ? ", measured before" : ""));
        } catch (NotMeasuredException | EngineException e) {
          skipped++;
          progress.accept(id + " is left out: " + e.getMessage());
        }
      }
      if (measured.isEmpty()) {
        throw new IllegalArgumentException("no prompt could be scored");
      }
      measured.forEach(this::add);
      List<Double> generation =
          measured.stream().flatMap(one -> one.generation().stream()).toList();
      List<Double> grouped = measured.stream().flatMap(one -> one.grouped().stream()).toList();
      List<Row> rows =
          taken.entrySet().stream()
              .map(e -> e.getValue().row(e.getKey(), taken.get(Subject.EXACT), options.full()))
              .sorted(Comparator.comparingDouble(r -> -r.agreement().precision3().mean()))
              .toList();
      return new FidelityReport(
          files.name(),
          files.digest(),
          methods.description().dtype(),
          started.toString(),
          machine,
          Machine.here().loadAverage(),
          measured.size(),
          takenOver,
          skipped,
          measured.stream().mapToInt(Measured::tokens).average().orElse(0),
          measured.stream().mapToInt(Measured::sources).average().orElse(0),
          generation.isEmpty() ? Optional.empty() : Optional.of(Spread.of(generation)),
          Spread.of(measured.stream().map(Measured::gemm).toList()),
          grouped.isEmpty() ? Optional.empty() : Optional.of(Interval.of(grouped)),
          rows);
    }
  }

  /** A prompt that says nothing about methods. */
  private static final class NotMeasuredException extends Exception {
    private static final long serialVersionUID = 1L;

    NotMeasuredException(String reason) {
      super(reason);
    }
  }

  /**
   * The model in the dtype of the methods and in that of the truth, which may be the same.
   *
   * @param proxy of the methods that have one
   */
  private record Models(LocalScorer methods, LocalScorer truth, Optional<LocalScorer> proxy)
      implements AutoCloseable {
    @Override
    public void close() {
      proxy.ifPresent(LocalScorer::close);
      if (truth != methods) {
        truth.close();
      }
      methods.close();
    }
  }

  private Models open(ModelFiles files) {
    LocalScorer methods = open(files, options.dtype());
    LocalScorer truth =
        methods.description().dtype().equals("fp32") ? methods : open(files, Dtype.FP32);
    Optional<LocalScorer> proxy =
        options.proxy().map(path -> open(ModelFiles.open(path), options.dtype()));
    return new Models(methods, truth, proxy);
  }

  private static LocalScorer open(ModelFiles files, Dtype dtype) {
    return LocalScorer.open(files, EngineOptions.defaults().withDtype(dtype));
  }

  private static double peak(LocalScorer scorer) {
    EngineOptions options = EngineOptions.defaults();
    return scorer.description().dtype().equals("bf16")
        ? GemmPeak.measure(options).bf16()
        : GemmPeak.fp32(options);
  }

  private static AttributionResult attribute(
      LocalScorer scorer,
      Optional<LocalScorer> proxy,
      MethodOptions method,
      Conversation conversation)
      throws NotMeasuredException {
    AttributionOptions defaults = AttributionOptions.DEFAULT;
    AttributionResult result =
        new Attributor(
                scorer,
                proxy.map(Function.identity()),
                new AttributionOptions(method, defaults.granularity(), 0, false, ""),
                NoiseFloor.of(scorer.description().dtype()))
            .attribute(conversation);
    if (result.status() != AttributionStatus.SCORED) {
      throw new NotMeasuredException(result.reason());
    }
    if (result.sources().size() < 2) {
      throw new NotMeasuredException("there are fewer than two sources to rank");
    }
    return result;
  }

  /**
   * The result of a subject: of a method that runs, its own; of one that ranks, the given one,
   * whose sources it ranks.
   */
  private static AttributionResult result(
      Models models, Subject subject, Conversation conversation, AttributionResult exact)
      throws NotMeasuredException {
    if (!(subject.way() instanceof Subject.Run run)
        || (run.method().equals(MethodOptions.DEFAULT) && models.truth() == models.methods())) {
      return exact;
    }
    return attribute(models.methods(), models.proxy(), run.method(), conversation);
  }

  private static double[] scores(
      Subject subject, Conversation conversation, AttributionResult result) {
    return subject.way() instanceof Subject.Rank rank
        ? rank.scores().apply(conversation, result)
        : taus(result);
  }

  private List<Subject> subjects() {
    return subjects(options.only(), options.proxy().isPresent());
  }

  private static List<Subject> subjects(List<String> only, boolean hasProxy) {
    return only.isEmpty() ? Subject.all(hasProxy) : Subject.beginning(only, hasProxy);
  }

  private MeasuredPrompts kept(ModelFiles files, Models models, Machine machine)
      throws IOException {
    if (options.kept().isEmpty()) {
      return MeasuredPrompts.none();
    }
    Map<String, String> of = new TreeMap<>();
    of.put("build", Build.digest());
    of.put("processor", machine.processor() + ", " + machine.cores() + " cores");
    of.put("java", machine.java());
    of.put("model", files.digest());
    of.put("proxy", models.proxy().map(proxy -> proxy.description().digest()).orElse(""));
    of.put("dtype", models.methods().description().dtype());
    of.put("input", options.input().isPresent() ? Sha256.of(options.input().get()) : "");
    of.put("paragraphs", String.valueOf(options.paragraphs()));
    of.put("max-new-tokens", String.valueOf(options.maxNewTokens()));
    of.put("full", String.valueOf(options.full()));
    of.put("methods", subjects().stream().map(Subject::name).collect(Collectors.joining(",")));
    return MeasuredPrompts.open(options.kept().get(), of);
  }

  private void add(Measured one) {
    one.subjects()
        .forEach(
            (name, given) ->
                taken.computeIfAbsent(name, key -> new Taken(given.origin())).add(given.values()));
  }

  private Measured measure(Models models, FidelityPrompt asked) throws NotMeasuredException {
    final double gemm = peak(models.methods());
    FidelityPrompt prompt = asked;
    Optional<Double> generation = Optional.empty();
    if (prompt.conversation().response().isEmpty()) {
      Answerer answerer = new Answerer(models.methods());
      var unused = answerer.answer(prompt.conversation(), 1); // the prompt's shapes are new
      long start = System.nanoTime();
      prompt = prompt.answered(answerer.answer(prompt.conversation(), options.maxNewTokens()));
      generation = Optional.of((System.nanoTime() - start) * 1e-9);
    }
    // All methods share the trunk's shapes: nobody is to be the first that meets them.
    var unused =
        attribute(
            models.methods(),
            Optional.empty(),
            MethodOptions.of("splice").withHeal(0),
            prompt.conversation());
    AttributionResult exact =
        attribute(models.truth(), Optional.empty(), MethodOptions.DEFAULT, prompt.conversation());
    Measured one =
        new Measured(
            prompt.conversation().responseId(),
            exact.promptTokens() + exact.responseTokens(),
            exact.sources().size(),
            gemm,
            generation);
    measure(models, prompt, exact, one);
    return one;
  }

  private void measure(Models models, FidelityPrompt prompt, AttributionResult exact, Measured one)
      throws NotMeasuredException {
    Conversation conversation = prompt.conversation();
    double[] tau = taus(exact);
    Set<Integer> gold = gold(prompt, exact);
    List<Subject> subjects = subjects();
    if (!warm && subjects.stream().anyMatch(subject -> subject.name().equals("gradient norm"))) {
      // loads the weights a second time, which is no part of its cost
      attribute(
          models.methods(), Optional.empty(), MethodOptions.of("gradient-norm"), conversation);
    }
    warm = true;
    Map<Subject, double[]> scored = new LinkedHashMap<>();
    for (Subject subject : subjects) {
      AttributionResult result = result(models, subject, conversation, exact);
      double[] scores = scores(subject, conversation, result);
      scored.put(subject, scores);
      Measured.Given of = one.of(subject);
      if (subject.way() instanceof Subject.Run) {
        AttributionResult.Cost cost = result.cost();
        of.add("passes", Optional.of(cost.passes()));
        of.add("tokens", Optional.of((double) cost.trunkTokens() + cost.branchTokens()));
        of.add("flops", Optional.of(cost.flops()));
        of.add("seconds", Optional.of(cost.seconds()));
        of.add("share", one.generation().map(seconds -> cost.seconds() / seconds));
      }
      for (int i = 0; i < tau.length && subject.inNats(); i++) {
        of.add("error", Optional.of(Math.abs(scores[i] - tau[i])));
      }
      for (int k : new int[] {1, 3, 5}) {
        of.add(
            "precision" + k,
            Ranking.averagePrecision(scores, Ranking.relevant(tau, k, RELEVANT_NATS)));
      }
      of.add("pearson", Ranking.pearson(scores, tau));
      if (!Ranking.relevant(tau, 1, RELEVANT_NATS).isEmpty()) {
        of.add("pearsonRelevant", Ranking.pearson(scores, tau));
      }
      of.add("spearman", Ranking.spearman(scores, tau));
      of.add("kendall", Ranking.kendall(scores, tau));
      of.add("gold", Ranking.rocAuc(scores, gold));
    }
    if (options.full()) {
      ablate(models.truth(), conversation, scored, one);
      probe(models, conversation, exact, gold, one);
    }
  }

  private static void ablate(
      LocalScorer truth, Conversation conversation, Map<Subject, double[]> scored, Measured one) {
    try (ContextAblation ablation =
        ContextAblation.open(truth, AttributionOptions.DEFAULT, conversation)) {
      Faithfulness faithfulness = new Faithfulness(ablation.sources(), ablation::without);
      scored.forEach((subject, scores) -> faithfulness.of(scores).forEach(one.of(subject)::add));
    }
  }

  private void probe(
      Models models,
      Conversation conversation,
      AttributionResult exact,
      Set<Integer> gold,
      Measured one)
      throws NotMeasuredException {
    Optional<RedundancyProbe> probe = RedundancyProbe.of(conversation, exact, gold);
    if (probe.isEmpty()) {
      return;
    }
    Conversation twice = probe.get().prompt().conversation();
    AttributionResult exactTwice =
        attribute(models.truth(), Optional.empty(), MethodOptions.DEFAULT, twice);
    Optional<List<Integer>> copies = probe.get().copies(exactTwice);
    if (copies.isEmpty()) {
      return;
    }
    one.grouped().add(RedundancyProbe.grouped(exactTwice, copies.get()));
    for (Subject subject : subjects()) {
      double[] scores = scores(subject, twice, result(models, subject, twice, exactTwice));
      Measured.Given of = one.of(subject);
      of.add("oneCopy", Optional.of(RedundancyProbe.among(scores, copies.get(), 3, 1)));
      of.add("bothCopies", Optional.of(RedundancyProbe.among(scores, copies.get(), 3, 2)));
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
}
