package dev.whence.attribution.remote;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelText;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * A model behind an inference server: for targets that need several accelerators. It is asked for
 * log-probabilities of whole token sequences; what sequences share is left to the server's prefix
 * cache, for which those that share most with the trunk are sent first. Each is put together when
 * it is sent, and few are under way at a time: together they may be many gigabytes.
 *
 * <p>Prompts are rendered and tokenised here, with the model's own tokenizer and template. A server
 * that reads other tokens, serves another model or gives no log-probabilities is refused in one
 * sentence (kind MODEL); one that does not answer is asked again, then left alone for a while (kind
 * ENVIRONMENT: the record waits, and is given up only if that lasts while others go through). So is
 * one that has changed since: what it does not score is that sequence's fault only while it still
 * serves the model and scores a short prompt. Of an answer as much is read as what was asked can
 * take, see {@link AnswerLimit}.
 *
 * <p>Branches may see a beginning of the trunk and nothing else: a server can not splice.
 */
public final class RemoteScorer implements Scorer {
  private static final Duration CHECK_EVERY = Duration.ofMinutes(1);

  /**
   * Tokens that every request has generated: none of the servers takes a prompt without room for
   * it.
   */
  private static final int GENERATED = 1;

  /**
   * Requests that are built and not read yet, for each that is sent at a time: the next one waits
   * behind it, and answers that overtake the oldest are not kept without end.
   */
  private static final long AHEAD = 2;

  /** Tokens per second below which no estimate goes. */
  private static final double SLOWEST = 0.1;

  /** How many times faster than {@link #rate} says a server may be that was never measured. */
  private static final double NEVER_MEASURED = 32;

  /** So long without a measurement, and it may be twice as fast as the last one says. */
  private static final Duration DOUBLES = Duration.ofMinutes(5);

  /** However long ago the last measurement was: work that is tried in vain is not to cost more. */
  private static final double MOST_DOUBLINGS = 3;

  private static final Conversation PROBE =
      Conversation.builder("probe")
          .occurredAt(Instant.parse("2026-01-01T00:00:00Z")) // templates may write the date
          .messages(
              List.of(
                  Message.of(
                      "user", List.of(Part.of(PartKind.QUESTION, "question", "one two three")))))
          .build();

  private final ModelText text;
  private final ServerApi api;
  private final ServerCalls calls;
  private final RemoteOptions options;
  private ScorerDescription description;

  private final Duration checkEvery;

  /** What the server serves to those who name no model, as it said at the start. */
  private Optional<String> serves = Optional.empty();

  private Set<String> known = Set.of();

  /** The model that answers were said to come from at the start. */
  private Optional<String> answers = Optional.empty();

  /** Whether the server has scored anything since the clock was started. */
  private boolean scoredInTime;

  private long checkedAt;

  /** Whether {@link #begin} said how long the work at hand may take. */
  private boolean begun;

  /** When the work at hand, or without any the call, is given up: {@link System#nanoTime}. */
  private long endsAt;

  /** Tokens per second of the last calls, all requests at a time together. */
  private volatile double rate = 2000;

  /** When {@link #rate} was measured: {@link System#nanoTime}. */
  private volatile OptionalLong measuredAt = OptionalLong.empty();

  /** How many times longer is waited than that says, since work was given up that took too long. */
  private volatile double slowdown = 1;

  private RemoteScorer(ModelText text, RemoteOptions options, Duration checkEvery) {
    this.checkEvery = checkEvery;
    this.text = text;
    this.options = options;
    this.api = ServerApi.of(options.protocol(), text.tokenizer());
    this.calls = new ServerCalls(options);
    this.description = described(options.model().orElse(text.name()));
  }

  private ScorerDescription described(String model) {
    return new ScorerDescription(
        model,
        "",
        options.dtype(),
        "remote",
        text.config().modelType(),
        text.config().layers(),
        text.config().maxPositions() - GENERATED,
        false,
        0,
        options.aliases());
  }

  /**
   * Connects to a server.
   *
   * @param text tokenizer, template and shape of the model that it serves; belongs to the scorer
   *     from here on
   * @throws EngineException of kind MODEL if it serves another model than the one that is named,
   *     ENVIRONMENT if it does not answer
   */
  public static RemoteScorer open(ModelText text, RemoteOptions options) {
    return open(text, options, CHECK_EVERY);
  }

  /**
   * @param checkEvery how often the server is asked what it serves
   */
  static RemoteScorer open(ModelText text, RemoteOptions options, Duration checkEvery) {
    RemoteScorer scorer = new RemoteScorer(text, options, checkEvery);
    boolean complete = false;
    try {
      scorer.startClock(0);
      scorer.checkModel();
      scorer.description = scorer.described(options.model().or(() -> scorer.serves).orElseThrow());
      scorer.probe();
      complete = true;
      return scorer;
    } finally {
      if (!complete) {
        scorer.close();
      }
    }
  }

  private void checkModel() {
    List<String> names =
        api.served(
            read(await(calls.get(api.modelsPath(), AnswerLimit.MODELS)), AnswerLimit.MODELS));
    if (names.isEmpty()) {
      throw new EngineException(
          Kind.MODEL, "the server at " + options.where() + " does not say what it serves");
    }
    if (options.model().isPresent() && !names.contains(options.model().get())) {
      throw new EngineException(
          Kind.MODEL,
          "the server at "
              + options.where()
              + " does not serve the model '"
              + options.model().get()
              + "'");
    }
    if (options.model().isEmpty() && !serves.orElse(names.get(0)).equals(names.get(0))) {
      throw new EngineException(
          Kind.MODEL,
          "the server at " + options.where() + " serves another model than it did at the start");
    }
    serves = Optional.of(names.get(0));
    known = Set.copyOf(names);
    checkedAt = System.nanoTime();
  }

  /** Scores a short prompt: what a server can not do at all is not found record by record. */
  private void probe() {
    int[] prompt = text.tokenizer().encode(text.template().render(PROBE).text()).ids();
    AnswerLimit limit = AnswerLimit.ofPrompt(prompt.length);
    try {
      api.prove(
          prompt,
          options.model(),
          request -> answer(await(calls.post(api.path(), request.toString(), limit)), limit));
    } catch (EngineException e) {
      if (e.kind() == Kind.ENVIRONMENT) {
        throw e;
      }
      throw new EngineException(
          Kind.MODEL,
          "the server at " + options.where() + " does not score prompts: " + e.getMessage(),
          e);
    }
  }

  /**
   * Sees whose fault it is that the server did not score a sequence: the sequence's, if the server
   * is still what it was at the start; else everything has to wait until it is again.
   */
  private EngineException judged(EngineException refused) {
    try {
      checkModel();
      probe();
    } catch (EngineException e) {
      return new EngineException(Kind.ENVIRONMENT, String.valueOf(e.getMessage()), e);
    }
    return new EngineException(Kind.UNSUPPORTED, String.valueOf(refused.getMessage()), refused);
  }

  /** How many of the last calls that were to score something failed. */
  int failures() {
    return calls.failures();
  }

  @Override
  public ScorerDescription description() {
    return description;
  }

  @Override
  public String textDigest() {
    return text.digest();
  }

  @Override
  public Tokenizer tokenizer() {
    return text.tokenizer();
  }

  @Override
  public PromptTemplate template() {
    return text.template();
  }

  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record RemoteTrunk(int[] tokens, int scoredFrom, double[] logProbs) implements Trunk {
    @Override
    public int length() {
      return tokens.length;
    }

    @Override
    public long bytes() {
      return 0;
    }

    @Override
    public void close() {}
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    if (tokens.length > description.maxPositions()) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "The sequence has "
              + tokens.length
              + " tokens; the model takes at most "
              + description.maxPositions()
              + ".");
    }
    int[] kept = tokens.clone();
    double[] logProbs = score(List.of(() -> new Sequence(kept, scoredFrom)), kept.length).get(0);
    return new RemoteTrunk(kept, scoredFrom, logProbs);
  }

  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Sequence(int[] tokens, int scoredFrom) {}

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    branches.forEach(RemoteScorer::checkWhole);
    int[] trunkTokens = trunk.tokens();
    List<Integer> order =
        IntStream.range(0, branches.size())
            .boxed()
            .sorted(Comparator.comparingInt(i -> -seen(branches.get(i))))
            .toList();
    List<Supplier<Sequence>> sequences = new ArrayList<>();
    long tokens = 0;
    for (int i : order) {
      Branch branch = branches.get(i);
      sequences.add(() -> sequence(trunkTokens, branch));
      tokens += length(branch);
    }
    List<double[]> sorted = score(sequences, tokens);
    List<double[]> scores = new ArrayList<>(branches.stream().map(b -> new double[0]).toList());
    for (int i = 0; i < order.size(); i++) {
      scores.set(order.get(i), sorted.get(i));
    }
    return scores;
  }

  private static int seen(Branch branch) {
    return branch.views().isEmpty() ? 0 : branch.views().get(0).to();
  }

  /** Tokens of the whole sequence that a branch stands for. */
  private static long length(Branch branch) {
    return (long) seen(branch) + branch.tokens().length;
  }

  private static void checkWhole(Branch branch) {
    int shared = seen(branch);
    boolean whole =
        branch.views().size() <= 1
            && branch.views().stream().allMatch(RemoteScorer::isBeginning)
            && branch.positions()[0] == shared
            && branch.positions()[branch.positions().length - 1]
                == shared + branch.positions().length - 1;
    if (!whole) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "A server scores whole prompts and can not splice them: choose a method of exact, naive"
              + " or hierarchical leave-one-out, proxy-pruning or contextcite.");
    }
  }

  private static Sequence sequence(int[] trunk, Branch branch) {
    int shared = seen(branch);
    int[] tokens = Arrays.copyOf(trunk, shared + branch.tokens().length);
    System.arraycopy(branch.tokens(), 0, tokens, shared, branch.tokens().length);
    return new Sequence(tokens, shared + branch.scoredFrom());
  }

  private static boolean isBeginning(View view) {
    return view.from() == 0 && view.shift() == 0;
  }

  /**
   * @param sequences in the order in which they are sent
   * @param tokens that they have together
   */
  private List<double[]> score(List<Supplier<Sequence>> sequences, long tokens) {
    if (!begun) {
      startClock(slowdown * tokens / rate);
    }
    try {
      if (System.nanoTime() - checkedAt >= checkEvery.toNanos()) {
        checkModel();
      }
      return answers(sequences, tokens);
    } catch (EngineException e) {
      throw e.kind() == Kind.MODEL || e.kind() == Kind.UNSUPPORTED ? judged(e) : e;
    }
  }

  /** A sequence that the server was asked about. */
  private record Asked(Sequence sequence, AnswerLimit limit, Future<String> answer) {}

  private List<double[]> answers(List<Supplier<Sequence>> sequences, long tokens) {
    long start = System.nanoTime();
    Deque<Asked> unread = new ArrayDeque<>();
    List<double[]> scores = new ArrayList<>();
    long scored = 0;
    boolean complete = false;
    try {
      int sent = 0;
      while (scores.size() < sequences.size()) {
        while (sent < sequences.size() && unread.size() < AHEAD * options.concurrency()) {
          unread.add(ask(sequences.get(sent++).get()));
        }
        Asked oldest = unread.element();
        scores.add(logProbs(oldest));
        scoredInTime = true;
        scored += oldest.sequence().tokens().length;
        unread.remove();
      }
      complete = true;
    } finally {
      if (!complete) {
        unread.forEach(asked -> asked.answer().cancel(true));
        if (System.nanoTime() - endsAt >= 0) {
          slower(scored, System.nanoTime() - start);
        }
      }
    }
    double seconds = Math.max(1e-4, (System.nanoTime() - start) * 1e-9);
    // After a slow spell only what was just seen counts.
    rate = slowdown > 1 ? tokens / seconds : 0.8 * rate + 0.2 * tokens / seconds;
    slowdown = 1;
    measuredAt = OptionalLong.of(System.nanoTime());
    return scores;
  }

  private Asked ask(Sequence sequence) {
    AnswerLimit limit = AnswerLimit.ofPrompt(sequence.tokens().length);
    String request =
        api.request(sequence.tokens(), sequence.scoredFrom(), options.model()).toString();
    return new Asked(sequence, limit, calls.post(api.path(), request, limit));
  }

  private double[] logProbs(Asked asked) {
    JsonNode answer = answer(await(asked.answer()), asked.limit());
    return api.logProbs(answer, asked.sequence().tokens(), asked.sequence().scoredFrom());
  }

  /** The time that the same work gets at the next try is longer. */
  private void slower(long scored, long nanos) {
    double seen = scored / Math.max(1e-4, nanos * 1e-9);
    double now = rate / slowdown;
    slowdown = rate / Math.max(SLOWEST, Math.min(now / 2, Math.max(now / 8, seen)));
  }

  /**
   * {@inheritDoc} A spell in which the server was slow makes work take longer, and not too dear for
   * a bound: estimates are of what was measured.
   */
  @Override
  public WorkEstimate expected(WorkEstimate estimate) {
    return new WorkEstimate(estimate.tokens(), estimate.flops(), slowdown * estimate.seconds());
  }

  private void startClock(double estimatedSeconds) {
    scoredInTime = false;
    endsAt = System.nanoTime() + (long) (options.patience().seconds(estimatedSeconds) * 1e9);
  }

  /**
   * {@inheritDoc} All its requests together get the time after which the process would take itself
   * to hang, less some: then it is the server that takes too long, and the same work is tried
   * again, later and with more time.
   */
  @Override
  public void begin(WorkEstimate estimate) {
    begun = true;
    startClock(estimate.seconds());
  }

  private JsonNode answer(String body, AnswerLimit limit) {
    JsonNode answer = read(body, limit);
    JsonNode model = answer.path("model");
    if (model.isTextual()) {
      // Asked for by name, a server answers by it, or by another of its names for the same.
      if (options.model().isPresent() && !known.contains(model.asText())) {
        throw new EngineException(
            Kind.MODEL,
            "the server at "
                + options.where()
                + " answers with another model than '"
                + options.model().get()
                + "', which it was asked for");
      }
      if (!answers.orElse(model.asText()).equals(model.asText())) {
        throw new EngineException(
            Kind.MODEL, "the server at " + options.where() + " answers with another model");
      }
      answers = Optional.of(model.asText());
    }
    return answer;
  }

  private JsonNode read(String answer, AnswerLimit limit) {
    try {
      return limit.read(answer);
    } catch (IOException e) {
      throw new EngineException(
          Kind.MODEL,
          "the server at " + options.where() + " answers with something else than JSON");
    }
  }

  /** The body of an answer; the {@link Error} that ended its call, if one did. */
  String await(Future<String> answer) {
    try {
      return answer.get(Math.max(0, endsAt - System.nanoTime()), TimeUnit.NANOSECONDS);
    } catch (TimeoutException e) {
      answer.cancel(true);
      if (!scoredInTime) {
        calls.failed(); // no request came to see it
      }
      throw new EngineException(
          Kind.ENVIRONMENT, "the server at " + options.where() + " takes too long");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EngineException(
          Kind.ENVIRONMENT, "the server at " + options.where() + " was not waited for");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof EngineException known) {
        throw known;
      }
      if (e.getCause() instanceof Error error) {
        throw error;
      }
      throw new IllegalStateException("a call failed in a way that it should not", e.getCause());
    }
  }

  /**
   * {@inheritDoc} Tokens are those that no earlier sequence has; the seconds are of whole
   * sequences, as the measured rate is: whether the server takes over what they share, and how much
   * that saves, is its own affair. Floating point operations are not known and given as 0.
   */
  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    long tokens = trunkTokens;
    long read = trunkTokens;
    for (Branch branch : branches) {
      tokens += branch.tokens().length;
      read += length(branch);
    }
    return new WorkEstimate(tokens, 0, read / rate);
  }

  @Override
  public double mayBeFaster() {
    OptionalLong at = measuredAt;
    return at.isEmpty()
        ? NEVER_MEASURED
        : mayBeFaster(Duration.ofNanos(System.nanoTime() - at.getAsLong()));
  }

  /**
   * @param since it was measured
   */
  static double mayBeFaster(Duration since) {
    return Math.pow(2, Math.min(MOST_DOUBLINGS, (double) since.toNanos() / DOUBLES.toNanos()));
  }

  @Override
  public void close() {
    calls.close();
    text.close();
  }
}
