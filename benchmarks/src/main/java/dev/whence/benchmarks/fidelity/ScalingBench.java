package dev.whence.benchmarks.fidelity;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.NoiseFloor;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.benchmarks.Machine;
import dev.whence.benchmarks.Spread;
import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * How the cost of every method grows with the number of sources n and the length T, beside what its
 * formula foretells: n is swept at one T, T at one n, on synthetic prompts of common words whose
 * paragraphs have {@value #PER_PARAGRAPH} sources each.
 *
 * <p>Formulas, in tokens computed, for P paragraphs, q tokens after the last source, r of the
 * response, c of the context in between; {@code e = q + r} is what the reading without any context
 * computes in every method:
 *
 * <pre>
 *   exact LOO                T + e + n t(n),  t(k) = c (k - 1) / 2 k + e: what follows a k-th of the context
 *   naive LOO                T + e + n T - c
 *   splice                   T + e + n (w + e)
 *   cascade                  splice + m t(n): its m stand in the middle on average
 *   paragraph-first splice   T + e + (P + n_K) (w + e),  n_K sources in the K kept paragraphs
 *   hierarchical             T + e + P t(P), then the same of the kept paragraphs: T' + n_K t'(n_K)
 *   ContextCite              T + e + m (c (n - 2 + 2^(1 - n)) / 2 n + e): half of what follows the first removed
 *   attention                T + e + r
 *   similarity               T + e + T
 *   gradient norm            T + e + 2 T: a forward and a backward of one statement
 *   proxy                    T + e, and at the proxy what exact LOO takes
 *   proxy pruning            proxy + T' + k t'(k),  T' with the k sources only: c' = c k / n
 * </pre>
 *
 * The model is its own proxy here: the proxy's tokens are those that it counts by exact LOO alone.
 *
 * <p>The last token of a reading is never computed; formulas do not mind.
 */
public final class ScalingBench {
  static final int PER_PARAGRAPH = 4;
  private static final int HEAL = 16;
  private static final int TOP = 6;
  private static final int KEEP = 2;
  private static final int MASKS = 32;
  private static final String RESPONSE = "The answer is in the long report about the old town.";

  private ScalingBench() {}

  /**
   * What to measure.
   *
   * @param sources numbers of sources; the middle one stays where T is swept
   * @param tokens lengths of prompts; the middle one stays where n is swept
   * @param repeat timed rounds; the median counts
   */
  public record Options(
      Path model, Dtype dtype, List<Integer> sources, List<Integer> tokens, int repeat) {
    public Options {
      sources = List.copyOf(sources);
      tokens = List.copyOf(tokens);
      if (sources.isEmpty() || tokens.isEmpty() || repeat < 1) {
        throw new IllegalArgumentException(
            "there must be a number of sources, a length and a round to measure");
      }
      if (sources.stream().anyMatch(n -> n < 2) || tokens.stream().anyMatch(t -> t < 64)) {
        throw new IllegalArgumentException(
            "sources must be 2 or more and tokens 64 or more, not " + sources + " and " + tokens);
      }
    }
  }

  /**
   * The lengths that a formula reads.
   *
   * @param n sources
   * @param paragraphs P
   * @param length T, prompt and response
   * @param before tokens of the prompt before the first source
   * @param after e = q + r, tokens after the last source, response included
   * @param response r
   */
  record Shape(int n, int paragraphs, double length, double before, double after, double response) {
    /** What follows one of so many equal pieces of the context, in the mean over all of them. */
    private double following(double pieces) {
      return context() * (pieces - 1) / (2 * pieces) + after;
    }

    /**
     * What a random mask leaves after the first source that it removes, in the mean: the i-th is
     * the first removed one with probability 1 / 2^(i + 1), and half of those after it stay.
     */
    private double masked() {
      return context() * (n - 2 + Math.pow(2, 1.0 - n)) / (2 * n) + after;
    }

    private double context() {
      return length - before - after;
    }

    private double base() {
      return length + after;
    }
  }

  /** What a method computes by its formula. */
  interface Formula {
    double tokens(Shape shape);
  }

  private record Method(String name, MethodOptions options, Formula formula) {}

  private static final List<Method> METHODS =
      List.of(
          new Method(
              "exact LOO", MethodOptions.DEFAULT, s -> s.base() + s.n() * s.following(s.n())),
          new Method(
              "naive LOO",
              MethodOptions.of("naive-loo"),
              s -> s.base() + s.n() * s.length() - s.context()),
          new Method(
              "splice, w = 16",
              MethodOptions.of("splice").withHeal(HEAL),
              s -> s.base() + s.n() * (HEAL + s.after())),
          new Method(
              "cascade, top 6",
              MethodOptions.of("cascade").withHeal(HEAL).withExactTop(TOP),
              s ->
                  s.base()
                      + s.n() * (HEAL + s.after())
                      + Math.min(TOP, s.n()) * s.following(s.n())),
          new Method(
              "paragraph-first splice, K = 2",
              MethodOptions.of("paragraph-splice").withHeal(HEAL).withKeepParagraphs(KEEP),
              s ->
                  s.base()
                      + (s.paragraphs() + Math.min(KEEP * PER_PARAGRAPH, s.n()))
                          * (HEAL + s.after())),
          new Method(
              "hierarchical, K = 2",
              MethodOptions.of("hierarchical").withKeepParagraphs(KEEP),
              ScalingBench::hierarchical),
          new Method(
              "ContextCite-32",
              MethodOptions.of("contextcite").withMasks(MASKS, 7),
              s -> s.base() + MASKS * s.masked()),
          new Method("attention", MethodOptions.of("attention"), s -> s.base() + s.response()),
          new Method(
              "gradient norm", MethodOptions.of("gradient-norm"), s -> s.base() + 2 * s.length()),
          new Method("similarity", MethodOptions.of("similarity"), s -> s.base() + s.length()),
          new Method("proxy: exact LOO", MethodOptions.of("proxy"), ScalingBench::proxy),
          new Method(
              "proxy pruning, k = 6",
              MethodOptions.of("proxy-pruning").withExactTop(TOP),
              ScalingBench::pruning));

  private static double proxy(Shape s) {
    return s.base() + s.base() + s.n() * s.following(s.n());
  }

  private static double pruning(Shape s) {
    if (s.n() <= TOP) {
      return proxy(s) + s.n() * s.following(s.n());
    }
    double left = s.context() * TOP / s.n();
    return proxy(s)
        + s.before()
        + left
        + s.after()
        + TOP * (left * (TOP - 1) / (2 * TOP) + s.after());
  }

  private static double hierarchical(Shape s) {
    double first = s.base() + s.paragraphs() * s.following(s.paragraphs());
    if (s.paragraphs() <= KEEP) {
      return first + s.n() * s.following(s.n());
    }
    int kept = KEEP * PER_PARAGRAPH;
    double left = s.context() * KEEP / s.paragraphs();
    double pruned = s.before() + left + s.after();
    return first + pruned + kept * (left * (kept - 1) / (2 * kept) + s.after());
  }

  /**
   * Runs the benchmark.
   *
   * @param progress is told what is going on, one sentence at a time
   * @throws IllegalArgumentException if a prompt can not be scored, as one longer than the model's
   *     window
   */
  public static ScalingReport run(Options options, Consumer<String> progress) {
    Instant started = Instant.now();
    Machine machine = Machine.here();
    try (ModelFiles files = ModelFiles.open(options.model());
        LocalScorer scorer =
            LocalScorer.open(files, EngineOptions.defaults().withDtype(options.dtype()))) {
      int middleN = options.sources().get(options.sources().size() / 2);
      int middleT = options.tokens().get(options.tokens().size() / 2);
      List<ScalingReport.Point> points = new ArrayList<>();
      List<int[]> places = new ArrayList<>();
      options.sources().forEach(n -> places.add(new int[] {n, middleT}));
      options.tokens().stream()
          .filter(t -> t != middleT)
          .forEach(t -> places.add(new int[] {middleN, t}));
      for (int[] place : places) {
        Conversation conversation =
            SyntheticPrompt.of(scorer.tokenizer(), place[0], PER_PARAGRAPH, place[1], RESPONSE);
        Shape shape = shape(scorer, conversation, place[0]);
        for (Method method : METHODS) {
          points.add(measure(scorer, conversation, shape, place[1], method, options.repeat()));
        }
        progress.accept("measured " + place[0] + " sources in about " + place[1] + " tokens");
      }
      return new ScalingReport(
          files.name(),
          files.digest(),
          scorer.description().dtype(),
          started.toString(),
          machine,
          Machine.here().loadAverage(),
          middleN,
          middleT,
          points);
    }
  }

  private static ScalingReport.Point measure(
      LocalScorer scorer,
      Conversation conversation,
      Shape shape,
      int wantedLength,
      Method method,
      int repeat) {
    AttributionOptions defaults = AttributionOptions.DEFAULT;
    boolean proxied = method.options().name().startsWith("proxy");
    Attributor attributor =
        new Attributor(
            scorer,
            proxied ? Optional.of(scorer) : Optional.empty(),
            new AttributionOptions(method.options(), defaults.granularity(), 0, false, ""),
            NoiseFloor.of(scorer.description().dtype()));
    long ofProxy = 0;
    if (proxied) {
      AttributionOptions alone =
          new AttributionOptions(MethodOptions.DEFAULT, defaults.granularity(), 0, false, "");
      ofProxy = tokens(new Attributor(scorer, alone).attribute(conversation));
    }
    List<Double> seconds = new ArrayList<>();
    long tokens = 0;
    for (int round = 0; round <= repeat; round++) {
      AttributionResult result = attributor.attribute(conversation);
      if (result.status() != AttributionStatus.SCORED) {
        throw new IllegalArgumentException(method.name() + ": " + result.reason());
      }
      if (round > 0) { // the first compiles, and loads what is loaded late
        seconds.add(result.cost().seconds());
      }
      tokens = ofProxy + tokens(result);
    }
    return new ScalingReport.Point(
        method.name(),
        shape.n(),
        wantedLength,
        (int) shape.length(),
        method.formula().tokens(shape),
        tokens,
        Spread.of(seconds));
  }

  private static long tokens(AttributionResult result) {
    return result.cost().trunkTokens() + result.cost().branchTokens();
  }

  /** The lengths of a prompt in the model's tokens. */
  private static Shape shape(LocalScorer scorer, Conversation conversation, int n) {
    Tokenizer tokenizer = scorer.tokenizer();
    RenderedPrompt prompt = scorer.template().render(conversation);
    List<Integer> starts = new ArrayList<>();
    List<Integer> ends = new ArrayList<>();
    for (RenderedPrompt.Segment segment : prompt.segments()) {
      if (segment.part().attributable()) {
        starts.add(segment.rendered().start());
        ends.add(segment.rendered().end());
      }
    }
    int before = tokenizer.encode(prompt.text().substring(0, starts.get(0))).length();
    int after = tokenizer.encode(prompt.text().substring(ends.get(ends.size() - 1))).length();
    int response = tokenizer.encode(conversation.response()).length();
    int length = tokenizer.encode(prompt.text()).length() + response;
    return new Shape(n, starts.size(), length, before, after + response, response);
  }
}
