package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.ContextAblation;
import dev.whence.attribution.NoiseFloor;
import dev.whence.attribution.tokens.CutWindow;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Spread;
import dev.whence.benchmarks.fidelity.SpeedReport.Row;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.kernel.GemmPeak;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Seconds of attribution methods on one prompt, all in one process and in turn, as ratios to exact
 * and to naive leave-one-out. Every round runs everything once; a ratio is taken within a round, so
 * that what else the machine does falls on both sides.
 *
 * <p>Naive leave-one-out is not run to its end: a few evenly spaced sources are read from position
 * 0, and their mean stands for all n of them; the reading of the whole prompt is counted as one
 * more. Before the first round everything ran once, since native code is generated once for each
 * matrix shape.
 */
public final class SpeedBench {
  static final String NAIVE = "naive LOO";
  private static final int PER_PARAGRAPH = 4;

  private final Options options;
  private final Consumer<String> progress;

  private SpeedBench(Options options, Consumer<String> progress) {
    this.options = options;
    this.progress = progress;
  }

  /**
   * What to measure.
   *
   * @param model that scores; with {@code randomTarget}, the proxy
   * @param input JSONL records; empty: a synthetic prompt
   * @param line of the input, from 1
   * @param sources of a synthetic prompt, in paragraphs of {@value #PER_PARAGRAPH}
   * @param tokens of a synthetic prompt, the response included
   * @param responseTokens replaces the response by words of so many tokens; 0: the input's own, and
   *     two for a synthetic prompt
   * @param proxy a smaller model, for the methods that have one
   * @param randomTarget whether a {@link RandomTarget} is scored with, and the model is its proxy
   * @param naiveSources how many sources naive leave-one-out reads in each round; 0: none
   * @param repeat rounds
   * @param only methods whose name begins with one of these
   */
  public record Options(
      Path model,
      Optional<Path> input,
      int line,
      int sources,
      int tokens,
      int responseTokens,
      Dtype dtype,
      Optional<Path> proxy,
      boolean randomTarget,
      int naiveSources,
      int repeat,
      List<String> only) {
    public Options {
      only = List.copyOf(only);
      if (line < 1 || repeat < 1 || naiveSources < 0 || responseTokens < 0) {
        throw new IllegalArgumentException(
            "line and repeat must be 1 or more, naive sources and response tokens 0 or more");
      }
      if (sources < 2 || tokens < 64) {
        throw new IllegalArgumentException("a prompt has 2 sources and 64 tokens at least");
      }
      if (randomTarget && proxy.isPresent()) {
        throw new IllegalArgumentException(
            "before a random target the model is the proxy: another proxy can not be given");
      }
      var unused = subjects(only, randomTarget || proxy.isPresent()); // which throws
    }
  }

  /** Those that run a model: ranking by texts alone takes no time. */
  private static List<Subject> subjects(List<String> only, boolean hasProxy) {
    List<Subject> subjects =
        Subject.beginning(only, hasProxy).stream()
            .filter(subject -> subject.way() instanceof Subject.Run)
            .toList();
    if (subjects.isEmpty()) {
      throw new IllegalArgumentException("no method that runs a model begins so: " + only);
    }
    return subjects;
  }

  /** What one subject gave, round by round. */
  static final class Taken {
    private final List<Double> seconds = new ArrayList<>();
    private long tokens;
    private double flops;

    void take(long computed, double operations, double time) {
      tokens = computed;
      flops = operations;
      seconds.add(time);
    }

    /** What is left of each round without some seconds of it; nothing if that is noise. */
    Optional<Taken> less(List<Double> others) {
      Taken rest = new Taken();
      for (int round = 0; round < others.size(); round++) {
        rest.take(tokens, flops, seconds.get(round) - others.get(round));
      }
      return rest.seconds.stream().allMatch(left -> left > 0)
          ? Optional.of(rest)
          : Optional.empty();
    }
  }

  /**
   * Runs the benchmark.
   *
   * @param progress is told what is going on, one sentence at a time
   * @throws IOException if the input can not be read
   * @throws IllegalArgumentException if the prompt can not be scored; the message says why
   */
  public static SpeedReport run(Options options, Consumer<String> progress) throws IOException {
    return new SpeedBench(options, progress).run();
  }

  private SpeedReport run() throws IOException {
    final Instant started = Instant.now();
    final Machine machine = Machine.here();
    EngineOptions engine = EngineOptions.defaults().withDtype(options.dtype());
    ModelFiles files = ModelFiles.open(options.model());
    try (LocalScorer model = LocalScorer.open(files, engine)) {
      Conversation conversation = conversation(model);
      if (options.randomTarget()) {
        progress.accept("making a random target");
        try (Scorer target = RandomTarget.open(model, engine)) {
          return measure(target, Optional.of(model), conversation, started, machine);
        }
      }
      if (options.proxy().isPresent()) {
        try (LocalScorer proxy = LocalScorer.open(ModelFiles.open(options.proxy().get()), engine)) {
          return measure(model, Optional.of(proxy), conversation, started, machine);
        }
      }
      return measure(model, Optional.empty(), conversation, started, machine);
    }
  }

  private SpeedReport measure(
      Scorer scorer,
      Optional<Scorer> proxy,
      Conversation conversation,
      Instant started,
      Machine machine) {
    List<Subject> subjects = subjects(options.only(), proxy.isPresent());
    Map<String, Taken> taken = new LinkedHashMap<>();
    List<Double> peak = new ArrayList<>();
    List<Double> ownPasses = new ArrayList<>();
    List<AttributionResult> first = new ArrayList<>();
    CutWindow.settle(scorer.tokenizer());
    proxy.ifPresent(front -> CutWindow.settle(front.tokenizer()));
    for (int round = 0; round <= options.repeat(); round++) {
      boolean timed = round > 0;
      progress.accept(
          timed
              ? String.format(Locale.ROOT, "round %d of %d", round, options.repeat())
              : "warming up");
      if (timed) {
        peak.add(peak(scorer));
      }
      for (Subject subject : subjects) {
        AttributionResult result = attribute(scorer, proxy, subject, conversation);
        Taken of = taken.computeIfAbsent(subject.name(), name -> new Taken());
        if (timed) {
          of.take(
              result.cost().trunkTokens() + result.cost().branchTokens(),
              result.cost().flops(),
              result.cost().seconds());
        } else {
          first.add(result);
        }
      }
      if (first.get(0).sources().size() < 2) {
        throw new IllegalArgumentException("the prompt has fewer than two sources to score");
      }
      if (options.naiveSources() > 0) {
        Taken of = taken.computeIfAbsent(NAIVE, name -> new Taken());
        double own =
            naive(scorer, conversation, first.get(0), timed ? Optional.of(of) : Optional.empty());
        if (timed) {
          ownPasses.add(own);
        }
      }
    }
    AttributionResult any = first.get(0);
    List<Row> rows = new ArrayList<>();
    taken.forEach(
        (name, of) ->
            rows.add(
                new Row(
                    name,
                    of.tokens,
                    of.flops,
                    Spread.of(of.seconds),
                    ratio(taken.get(Subject.EXACT), of),
                    ratio(taken.get(NAIVE), of),
                    name.startsWith(Subject.AT_PROXY)
                        ? of.less(ownPasses).flatMap(rest -> ratio(taken.get(NAIVE), rest))
                        : Optional.empty())));
    return new SpeedReport(
        scorer.description().model(),
        scorer.description().digest(),
        scorer.description().parameters(),
        proxy.map(model -> model.description().model()),
        proxy.map(model -> model.description().parameters()),
        scorer.description().dtype(),
        started.toString(),
        machine,
        Machine.here().loadAverage(),
        any.promptTokens() + any.responseTokens(),
        any.responseTokens(),
        any.sources().size(),
        Math.min(options.naiveSources(), any.sources().size()),
        Spread.of(peak),
        rows);
  }

  /** How many times longer the base took, round by round. */
  static Optional<Spread> ratio(@Nullable Taken base, Taken of) {
    if (base == null || base == of) {
      return Optional.empty();
    }
    return Optional.of(
        Spread.of(
            IntStream.range(0, of.seconds.size())
                .mapToObj(round -> base.seconds.get(round) / of.seconds.get(round))
                .toList()));
  }

  private static double peak(Scorer scorer) {
    EngineOptions engine = EngineOptions.defaults();
    return scorer.description().dtype().equals("bf16")
        ? GemmPeak.measure(engine).bf16()
        : GemmPeak.fp32(engine);
  }

  private static AttributionResult attribute(
      Scorer scorer, Optional<Scorer> proxy, Subject subject, Conversation conversation) {
    if (!(subject.way() instanceof Subject.Run run)) {
      throw new IllegalStateException(subject.name() + " runs no model");
    }
    AttributionResult result =
        new Attributor(
                scorer,
                proxy.map(Function.identity()),
                new AttributionOptions(
                    run.method(), AttributionOptions.DEFAULT.granularity(), 0, false, ""),
                NoiseFloor.of(scorer.description().dtype()))
            .attribute(conversation);
    if (result.status() != AttributionStatus.SCORED) {
      throw new IllegalArgumentException(subject.name() + ": " + result.reason());
    }
    return result;
  }

  /**
   * Reads the prompt without some evenly spaced sources, and the whole one, from position 0.
   *
   * @return seconds of the whole one
   */
  private double naive(
      Scorer scorer, Conversation conversation, AttributionResult shape, Optional<Taken> taken) {
    int n = shape.sources().size();
    int read = Math.min(options.naiveSources(), n);
    long start = System.nanoTime();
    try (ContextAblation ablation =
        ContextAblation.open(scorer, AttributionOptions.DEFAULT, conversation)) {
      final double whole = (System.nanoTime() - start) * 1e-9;
      start = System.nanoTime();
      for (int i = 0; i < read; i++) {
        double likelihood = ablation.naiveWithout((int) ((i + 0.5) * n / read));
        if (!Double.isFinite(likelihood)) {
          throw new IllegalArgumentException("a reading without one source gave " + likelihood);
        }
      }
      double reading = (System.nanoTime() - start) * 1e-9 / read;
      int length = shape.promptTokens() + shape.responseTokens();
      int[] lengths =
          IntStream.concat(
                  IntStream.of(length), IntStream.range(0, n).map(i -> length - ablation.tokens(i)))
              .toArray();
      double flops =
          Arrays.stream(lengths)
              .mapToDouble(t -> scorer.estimate(t, shape.responseTokens(), List.of()).flops())
              .sum();
      long tokens = Arrays.stream(lengths).asLongStream().sum();
      taken.ifPresent(of -> of.take(tokens, flops, whole + n * reading));
      return whole;
    }
  }

  private Conversation conversation(LocalScorer model) throws IOException {
    int wanted = options.responseTokens();
    if (options.input().isEmpty()) {
      String response = SyntheticPrompt.response(model.tokenizer(), wanted == 0 ? 2 : wanted);
      return SyntheticPrompt.of(
          model.tokenizer(), options.sources(), PER_PARAGRAPH, options.tokens(), response);
    }
    List<String> lines = Files.readAllLines(options.input().get());
    if (options.line() > lines.size()) {
      throw new IllegalArgumentException(
          options.input().get() + " has " + lines.size() + " lines, and none " + options.line());
    }
    Conversation read = ConversationCodec.read(lines.get(options.line() - 1));
    return wanted == 0
        ? read
        : read.answeredBy(
            read.model(), SyntheticPrompt.response(model.tokenizer(), wanted), "length");
  }
}
