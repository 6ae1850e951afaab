package dev.whence.benchmarks;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Attributor;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.tokens.CutWindow;
import dev.whence.benchmarks.ExactReport.Forward;
import dev.whence.benchmarks.ExactReport.GemmRate;
import dev.whence.benchmarks.ExactReport.LeaveOneOutRun;
import dev.whence.benchmarks.ExactReport.Noise;
import dev.whence.benchmarks.ExactReport.PromptFigures;
import dev.whence.benchmarks.ExactReport.SourceTau;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.kernel.GemmPeak;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Speed and exactness of exact leave-one-out on a model, all in one process and in turn, so that
 * what else the machine does falls on everything alike:
 *
 * <ol>
 *   <li>the GEMM peak: the best matrix product of the native library, measured before every other
 *       measurement;
 *   <li>the whole forward of prompt and response, against that peak, and how its time splits:
 *       fitted as a T + b T^2 over four lengths, the first part being linear layers and norms, the
 *       second attention;
 *   <li>exact leave-one-out with the KV cache and naive (AttriBoT, section 3), their difference in
 *       tau, and the noise of tau in bf16 against fp32.
 * </ol>
 *
 * One untimed round of each comes first: native code is generated for each matrix shape once.
 */
public final class ExactBench {
  private static final int LENGTHS = 4;

  private final Options options;
  private final Consumer<String> progress;
  private final Map<String, List<Double>> gemm = new TreeMap<>();

  private ExactBench(Options options, Consumer<String> progress) {
    this.options = options;
    this.progress = progress;
  }

  /**
   * What to measure.
   *
   * @param model a Hugging Face directory or a GGUF file
   * @param input JSONL records
   * @param line only this line of it, from 1; 0 = all
   * @param dtype of the figures; with bf16, fp32 is run once too, for the noise of tau
   * @param repeat timed rounds
   * @param naive whether naive leave-one-out is run too (once, it is slow)
   * @param dumpIds where the token sequences are written, one JSON object per prompt
   */
  public record Options(
      Path model,
      Path input,
      int line,
      Dtype dtype,
      int repeat,
      boolean naive,
      Optional<Path> dumpIds) {
    public Options {
      if (line < 0 || repeat < 1) {
        throw new IllegalArgumentException(
            "line " + line + " is negative or repeat " + repeat + " is below 1");
      }
    }
  }

  /**
   * Runs the benchmark.
   *
   * @param progress is told what is going on, one sentence at a time
   * @throws IOException if the input can not be read or the token ids not be written
   * @throws IllegalArgumentException if a record can not be scored; the message says which and why
   */
  public static ExactReport run(Options options, Consumer<String> progress) throws IOException {
    return new ExactBench(options, progress).run();
  }

  private ExactReport run() throws IOException {
    final Instant started = Instant.now();
    final Machine machine = Machine.here();
    List<Conversation> conversations = conversations();
    List<Subject> subjects = new ArrayList<>();
    try (ModelFiles files = ModelFiles.open(options.model())) {
      progress.accept("loading " + files.name());
      subjects.add(open(files, options.dtype()));
      if (subjects.get(0).dtype().equals("bf16")) {
        subjects.add(open(files, Dtype.FP32));
      }
      return measure(files, subjects, conversations, started, machine);
    } finally {
      subjects.forEach(subject -> subject.scorer.close());
    }
  }

  private static Subject open(ModelFiles files, Dtype dtype) {
    EngineOptions engine = EngineOptions.defaults().withDtype(dtype);
    return new Subject(LocalScorer.open(files, engine), files.config());
  }

  private ExactReport measure(
      ModelFiles files,
      List<Subject> subjects,
      List<Conversation> conversations,
      Instant started,
      Machine machine)
      throws IOException {
    List<String> dump = new ArrayList<>();
    subjects.forEach(subject -> CutWindow.settle(subject.scorer.tokenizer()));
    for (Conversation conversation : conversations) {
      for (Subject subject : subjects) {
        progress.accept(conversation.responseId() + ": warming up " + subject.dtype());
        AttributionResult result = subject.attribute(conversation, "exact-loo");
        if (options.naive()) {
          var unused = subject.attribute(conversation, "naive-loo"); // its lengths are others
        }
        if (subject == subjects.get(0)) {
          dump.add(TokenIds.write(subject.scorer, conversation, result));
        }
      }
      for (int round = 1; round <= options.repeat(); round++) {
        for (Subject subject : subjects) {
          boolean main = subject == subjects.get(0);
          if (!main && round > 1) {
            continue; // fp32 beside bf16 is there for its tau
          }
          progress.accept(
              String.format(
                  Locale.ROOT,
                  "%s: round %d of %d, %s",
                  conversation.responseId(),
                  round,
                  options.repeat(),
                  subject.dtype()));
          measureGemm();
          subject.forward(conversation);
          measureGemm();
          subject.exact(conversation);
          if (options.naive() && round == 1) {
            progress.accept(conversation.responseId() + ": naive, " + subject.dtype());
            subject.naive(conversation);
          }
        }
      }
    }
    if (options.dumpIds().isPresent()) {
      Files.write(options.dumpIds().get(), dump);
    }
    return report(files, subjects, conversations, started, machine);
  }

  private void measureGemm() {
    EngineOptions engine = EngineOptions.defaults();
    if (options.dtype()
        == Dtype.FP32) { // in bf16 it may take seconds, and nothing is measured by it
      gemm.computeIfAbsent("fp32", key -> new ArrayList<>()).add(GemmPeak.fp32(engine));
      return;
    }
    GemmPeak peak = GemmPeak.measure(engine);
    gemm.computeIfAbsent("bf16", key -> new ArrayList<>()).add(peak.bf16());
    gemm.computeIfAbsent("fp32", key -> new ArrayList<>()).add(peak.fp32());
  }

  private ExactReport report(
      ModelFiles files,
      List<Subject> subjects,
      List<Conversation> conversations,
      Instant started,
      Machine machine) {
    List<GemmRate> rates =
        gemm.entrySet().stream()
            .map(entry -> new GemmRate(entry.getKey(), Spread.of(entry.getValue())))
            .toList();
    List<Forward> forwards = new ArrayList<>();
    List<PromptFigures> prompts = new ArrayList<>();
    for (Conversation conversation : conversations) {
      List<LeaveOneOutRun> runs = new ArrayList<>();
      for (Subject subject : subjects) {
        double peak = peak(rates, subject.dtype());
        forwards.add(subject.forwardFigures(conversation, peak));
        runs.add(subject.leaveOneOutFigures(conversation, peak));
      }
      AttributionResult any = subjects.get(0).taken(conversation).exact.get(0);
      prompts.add(
          new PromptFigures(
              conversation.responseId(),
              any.promptTokens() + any.responseTokens(),
              any.responseTokens(),
              runs));
    }
    Map<String, Double> exactness = new TreeMap<>();
    for (Subject subject : subjects) {
      conversations.stream()
          .flatMap(conversation -> subject.exactness(conversation).stream())
          .max(Double::compare)
          .ifPresent(largest -> exactness.put(subject.dtype(), largest));
    }
    return new ExactReport(
        files.name(),
        files.digest(),
        started.toString(),
        machine,
        Machine.here().loadAverage(),
        rates,
        forwards,
        prompts,
        exactness,
        noise(subjects, conversations),
        Machine.peakResidentBytes());
  }

  private static double peak(List<GemmRate> rates, String dtype) {
    return rates.stream()
        .filter(rate -> rate.dtype().equals(dtype))
        .mapToDouble(rate -> rate.flopsPerSecond().max())
        .findFirst()
        .orElseThrow();
  }

  private static Optional<Noise> noise(List<Subject> subjects, List<Conversation> conversations) {
    if (subjects.size() < 2) {
      return Optional.empty();
    }
    List<Double> differences = new ArrayList<>();
    for (Conversation conversation : conversations) {
      differences.addAll(
          differences(
              subjects.get(0).taken(conversation).exact.get(0),
              subjects.get(1).taken(conversation).exact.get(0)));
    }
    return differences.isEmpty()
        ? Optional.empty()
        : Optional.of(
            new Noise(
                differences.size(),
                Spread.of(differences).median(),
                Spread.percentile(differences, 0.99),
                Spread.of(differences).max()));
  }

  /** |tau - tau| source by source. */
  private static List<Double> differences(AttributionResult one, AttributionResult other) {
    return IntStream.range(0, one.sources().size())
        .mapToObj(i -> Math.abs(one.sources().get(i).tau() - other.sources().get(i).tau()))
        .toList();
  }

  private List<Conversation> conversations() throws IOException {
    List<Conversation> found = new ArrayList<>();
    try (BufferedReader reader = Files.newBufferedReader(options.input())) {
      int number = 0;
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        number++;
        if (!line.isBlank() && (options.line() == 0 || options.line() == number)) {
          found.add(ConversationCodec.read(line));
        }
      }
      if (found.isEmpty()) {
        throw new IllegalArgumentException(
            options.input()
                + " has "
                + number
                + " lines and none to measure"
                + (options.line() == 0 ? "" : " at line " + options.line()));
      }
    }
    return found;
  }

  /** What was taken of one prompt. */
  private static final class Taken {
    private final List<Double> forwardSeconds = new ArrayList<>();
    private final Map<Integer, Double> secondsOfLength = new TreeMap<>();
    private final List<AttributionResult> exact = new ArrayList<>();
    private final List<Double> processorSeconds = new ArrayList<>();
    private Optional<AttributionResult> naive = Optional.empty();
    private int[] tokens = {};
    private int scored;
  }

  /** A scorer of one dtype and what was measured with it. */
  private static final class Subject {
    private final LocalScorer scorer;
    private final ModelConfig config;

    /** By line: two lines may be equal, or have the same id. */
    private final IdentityHashMap<Conversation, Taken> taken = new IdentityHashMap<>();

    Subject(LocalScorer scorer, ModelConfig config) {
      this.scorer = scorer;
      this.config = config;
    }

    String dtype() {
      return scorer.description().dtype();
    }

    Taken taken(Conversation conversation) {
      return taken.computeIfAbsent(conversation, line -> new Taken());
    }

    AttributionResult attribute(Conversation conversation, String method) {
      AttributionOptions defaults = AttributionOptions.DEFAULT;
      AttributionOptions options =
          new AttributionOptions(MethodOptions.of(method), defaults.granularity(), 0, false, "");
      AttributionResult result = new Attributor(scorer, options).attribute(conversation);
      if (result.status() != AttributionStatus.SCORED) {
        throw new IllegalArgumentException(
            conversation.responseId() + " was not scored: " + result.reason());
      }
      return result;
    }

    void exact(Conversation conversation) {
      double before = Machine.processorSeconds();
      taken(conversation).exact.add(attribute(conversation, "exact-loo"));
      taken(conversation).processorSeconds.add(Machine.processorSeconds() - before);
    }

    void naive(Conversation conversation) {
      taken(conversation).naive = Optional.of(attribute(conversation, "naive-loo"));
    }

    /** Forwards over a quarter, a half, three quarters and all of the tokens. */
    void forward(Conversation conversation) {
      Taken of = taken(conversation);
      if (of.tokens.length == 0) {
        RenderedPrompt prompt = scorer.template().render(conversation);
        int[] before = scorer.tokenizer().encode(prompt.text()).ids();
        int[] response =
            scorer.tokenizer().encodeContinuation(prompt.text(), conversation.response()).ids();
        of.tokens = IntStream.concat(Arrays.stream(before), Arrays.stream(response)).toArray();
        of.scored = response.length;
      }
      for (int part = 1; part <= LENGTHS; part++) {
        int length = of.tokens.length * part / LENGTHS;
        int[] tokens = Arrays.copyOf(of.tokens, length);
        int scoredFrom = Math.max(1, length - of.scored); // the response may be longer than a part
        trunk(tokens, scoredFrom); // native code for this length
        double seconds = trunk(tokens, scoredFrom);
        of.secondsOfLength.merge(length, seconds, Math::min);
        if (part == LENGTHS) {
          of.forwardSeconds.add(seconds);
        }
      }
    }

    private double trunk(int[] tokens, int scoredFrom) {
      long start = System.nanoTime();
      try (Trunk trunk = scorer.trunk(tokens, scoredFrom)) {
        double seconds = (System.nanoTime() - start) * 1e-9;
        if (trunk.logProbs().length != tokens.length - scoredFrom) {
          throw new IllegalStateException("the forward did not score what was asked");
        }
        return seconds;
      }
    }

    Forward forwardFigures(Conversation conversation, double peak) {
      Taken of = taken(conversation);
      int length = of.tokens.length;
      ForwardFlops flops = ForwardFlops.of(config, length, of.scored);
      Spread seconds = Spread.of(of.forwardSeconds);
      double[] growth = growth(of.secondsOfLength);
      return new Forward(
          dtype(),
          length,
          of.scored,
          flops,
          scorer.estimate(length, of.scored, List.of()).flops(),
          seconds,
          length / seconds.median(),
          flops.total() / seconds.median() / peak,
          growth[0] * length,
          growth[1] * length * (double) length);
    }

    LeaveOneOutRun leaveOneOutFigures(Conversation conversation, double peak) {
      Taken of = taken(conversation);
      AttributionResult first = of.exact.get(0);
      Spread seconds = Spread.of(of.exact.stream().map(result -> result.cost().seconds()).toList());
      return new LeaveOneOutRun(
          dtype(),
          seconds,
          Spread.of(of.processorSeconds),
          computed(first),
          first.cost().flops(),
          first.cost().flops() / seconds.median() / peak,
          of.naive.isPresent()
              ? OptionalDouble.of(of.naive.get().cost().seconds())
              : OptionalDouble.empty(),
          of.naive.isPresent() ? OptionalLong.of(computed(of.naive.get())) : OptionalLong.empty(),
          first.logLikelihood().orElseThrow(),
          first.sources().stream().map(Subject::tau).toList());
    }

    private static long computed(AttributionResult result) {
      return result.cost().trunkTokens() + result.cost().branchTokens();
    }

    private static SourceTau tau(SourceScore source) {
      return new SourceTau(
          source.segment(), source.span().start(), source.span().end(), source.tau());
    }

    List<Double> exactness(Conversation conversation) {
      Taken of = taken(conversation);
      return of.naive.isEmpty() ? List.of() : differences(of.exact.get(0), of.naive.get());
    }
  }

  /** Least squares of seconds = a T + b T^2. */
  static double[] growth(Map<Integer, Double> secondsOfLength) {
    double s2 = 0;
    double s3 = 0;
    double s4 = 0;
    double y1 = 0;
    double y2 = 0;
    for (Map.Entry<Integer, Double> entry : secondsOfLength.entrySet()) {
      double t = entry.getKey();
      s2 += t * t;
      s3 += t * t * t;
      s4 += t * t * t * t;
      y1 += t * entry.getValue();
      y2 += t * t * entry.getValue();
    }
    double determinant = s2 * s4 - s3 * s3;
    return new double[] {(y1 * s4 - y2 * s3) / determinant, (y2 * s2 - y1 * s3) / determinant};
  }
}
