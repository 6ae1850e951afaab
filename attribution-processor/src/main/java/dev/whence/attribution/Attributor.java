package dev.whence.attribution;

import dev.whence.attribution.AttributionResult.Cost;
import dev.whence.attribution.AttributionResult.Reasoning;
import dev.whence.attribution.AttributionResult.SourceGroup;
import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.AttributionResult.Statement;
import dev.whence.attribution.AttributionResult.TokenScore;
import dev.whence.attribution.method.AttributionMethod;
import dev.whence.attribution.method.ContextScores;
import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.attribution.method.GivenScores;
import dev.whence.attribution.method.Hierarchical;
import dev.whence.attribution.method.Meter;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.method.ParagraphSplice;
import dev.whence.attribution.method.ProxyPruning;
import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.WorkEstimate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Says which spans of a prompt drove its response: the door of this module.
 *
 * <p>Every conversation gets a result. What this scorer can not score (a template that fails, a
 * media part, a prompt past its window, a cost over the bound) is UNSUPPORTED; what makes the model
 * fail is FAILED. Only what is not the conversation's fault is thrown: {@link EngineException} of
 * kind MODEL or ENVIRONMENT.
 *
 * <p>Not thread-safe, as the scorer is not: the model thread owns both.
 */
public final class Attributor {
  /** Sources times statements: some 200 MB while a result is put together. */
  static final int MOST_SCORES = 4_000_000;

  private final Scorer scorer;
  private final AttributionOptions options;
  private final AttributionMethod method;
  private final Optional<AttributionMethod> cheaper;
  private final TaskReader reader;
  private final Optional<ProxyReader> proxy;
  private final NoiseFloor noise;

  /**
   * @param scorer stays the caller's to close
   * @throws IllegalArgumentException if an option is not usable; the message says which
   */
  public Attributor(Scorer scorer, AttributionOptions options) {
    this(scorer, options, NoiseFloor.of(scorer.description().dtype()));
  }

  /**
   * @param noise of this scorer, where it was measured on the model at hand
   */
  public Attributor(Scorer scorer, AttributionOptions options, NoiseFloor noise) {
    this(scorer, Optional.empty(), options, noise);
  }

  /**
   * @param proxy a smaller model for the methods that need one; stays the caller's to close
   * @throws IllegalArgumentException if an option is not usable; the message says which
   */
  public Attributor(
      Scorer scorer, Optional<Scorer> proxy, AttributionOptions options, NoiseFloor noise) {
    this.scorer = scorer;
    this.options = options;
    this.method = AttributionMethod.of(options.method());
    if (!(options.maxCostSeconds() >= 0)) {
      throw new IllegalArgumentException(
          "maxCostSeconds is " + options.maxCostSeconds() + ", but must be 0 or more");
    }
    this.cheaper =
        options.maxCostSeconds() == 0 || method instanceof ParagraphSplice
            ? Optional.empty()
            : Optional.of(cheap(scorer, options.method()));
    this.reader = new TaskReader(scorer, options);
    if (method.needsProxy() && proxy.isEmpty()) {
      throw new IllegalArgumentException("the method '" + method.name() + "' needs a proxy model");
    }
    this.proxy =
        method.needsProxy()
            ? proxy.map(smaller -> new ProxyReader(smaller, options))
            : Optional.empty();
    this.noise = noise;
  }

  /** What a bound on the cost falls back to: keys that can not be shifted can not be spliced. */
  private static AttributionMethod cheap(Scorer scorer, MethodOptions dials) {
    return scorer.description().shiftable()
        ? new ParagraphSplice(dials.heal(), dials.keepParagraphs())
        : new Hierarchical(dials.keepParagraphs());
  }

  /**
   * Attributes one response.
   *
   * @throws EngineException of kind MODEL or ENVIRONMENT; the same conversation may go through
   *     later
   */
  public AttributionResult attribute(Conversation conversation) {
    return attribute(read(conversation));
  }

  /**
   * Reads one response without running the model: says what {@link #attribute(ReadConversation)}
   * will cost, and refuses what can not be scored.
   *
   * @throws EngineException of kind MODEL or ENVIRONMENT
   */
  public ReadConversation read(Conversation conversation) {
    return read(conversation, Optional.empty());
  }

  /**
   * The same for a response that somebody has scored before: only the candidates are scored again,
   * by {@link ProxyPruning} and until the deadline, and the others keep their scores.
   *
   * @throws EngineException of kind MODEL or ENVIRONMENT
   */
  public ReadConversation read(Conversation conversation, EarlierScores earlier) {
    return read(conversation, Optional.of(earlier));
  }

  private ReadConversation read(Conversation conversation, Optional<EarlierScores> earlier) {
    long started = System.nanoTime();
    try {
      TaskReader.ReadTask read = reader.read(conversation);
      AttributionMethod wanted = method;
      NoiseFloor ofOthers = noise;
      ScoringTask task = read.task();
      requireMatrix(task);
      // Earlier scores are of the whole prompt, or lack other sources than this reading does.
      Optional<GivenScores> given =
          read.fitted().isPresent() ? Optional.empty() : earlier.flatMap(scores -> scores.of(task));
      if (given.isPresent()) {
        read = read.with(given.get());
        ofOthers = earlier.flatMap(EarlierScores::noise).orElse(noise);
        wanted = new ProxyPruning(options.method().exactTop(), options.method().deadline());
      } else {
        if (earlier.isPresent()) {
          read.notes().add(AttributionNote.FAST_SCORES_UNUSABLE);
        }
        if (proxy.isPresent()) {
          read = read.with(proxy.get().read(conversation, task, read.leftOut()));
          ofOthers = proxy.get().noise();
        }
      }
      AttributionMethod chosen = affordable(wanted, read.task());
      if (!chosen.name().equals(wanted.name())) {
        read.notes().add(AttributionNote.COST_BOUNDED);
      }
      WorkEstimate estimate = scorer.expected(chosen.estimate(scorer, read.task()));
      return new ReadConversation(
          conversation,
          new ReadConversation.Ready(
              read, chosen, chosen.needsProxy() ? noise.orLarger(ofOthers) : noise),
          estimate,
          System.nanoTime() - started);
    } catch (NotScorableException e) {
      return new ReadConversation(conversation, unscored(conversation, e, Cost.NONE));
    } catch (EngineException e) {
      return new ReadConversation(conversation, unscored(conversation, e, Cost.NONE));
    }
  }

  /** Before any work: a short record can ask for more scores than there is memory. */
  private static void requireMatrix(ScoringTask task) throws NotScorableException {
    int sources = task.sources().size();
    int statements = task.response().statements().size();
    if ((long) sources * statements > MOST_SCORES) {
      throw new NotScorableException(
          Refusal.MATRIX_TOO_LARGE,
          String.format(
              Locale.ROOT,
              "%d sources times %d statements are more scores than a result can hold (%d); use a"
                  + " coarser granularity or declare less of the prompt as context.",
              sources,
              statements,
              MOST_SCORES));
    }
  }

  /**
   * Scores what {@link #read} has read. The cost's seconds include the reading.
   *
   * @throws EngineException of kind MODEL or ENVIRONMENT; the same conversation may go through
   *     later
   */
  public AttributionResult attribute(ReadConversation reading) {
    if (reading.ready().isEmpty()) {
      return reading.refusal().orElseThrow();
    }
    long started = System.nanoTime() - reading.nanos();
    Conversation conversation = reading.conversation();
    ReadConversation.Ready ready = reading.ready().get();
    Meter meter = new Meter();
    try {
      scorer.begin(reading.estimate());
      ContextScores scores = ready.method().score(scorer, ready.read().task(), meter);
      return result(conversation, ready, scores, meter, started);
    } catch (NotScorableException e) {
      return unscored(conversation, e, cost(meter, ready.read().task(), started));
    } catch (EngineException e) {
      return unscored(conversation, e, cost(meter, ready.read().task(), started));
    }
  }

  private Cost cost(Meter meter, ScoringTask task, long started) {
    return new Cost(
        meter.trunkTokens(),
        meter.branchTokens(),
        meter.passes(scorer, task),
        (System.nanoTime() - started) / 1e9,
        meter.flops());
  }

  private AttributionResult unscored(Conversation conversation, NotScorableException e, Cost cost) {
    return unscored(conversation, AttributionStatus.UNSUPPORTED, e.code(), e.sentence(), cost);
  }

  private AttributionResult unscored(Conversation conversation, EngineException e, Cost cost) {
    return switch (e.kind()) {
      case UNSUPPORTED ->
          unscored(
              conversation,
              AttributionStatus.UNSUPPORTED,
              Refusal.SCORER_UNSUPPORTED.name(),
              message(e),
              cost);
      case RECORD ->
          unscored(conversation, AttributionStatus.FAILED, "SCORER_FAILED", message(e), cost);
      case MODEL, ENVIRONMENT -> throw e;
    };
  }

  /**
   * What {@link #attribute} would spend on a conversation: that of the method it would choose, and
   * nothing for one it would refuse.
   */
  public WorkEstimate estimate(Conversation conversation) {
    return read(conversation).estimate();
  }

  /** The method asked for, or paragraph-first splice where only that keeps within the bound. */
  private AttributionMethod affordable(AttributionMethod wanted, ScoringTask task)
      throws NotScorableException {
    double bound = options.maxCostSeconds();
    if (bound == 0) {
      return wanted;
    }
    double most = bound * scorer.mayBeFaster();
    WorkEstimate asked = wanted.estimate(scorer, task);
    if (asked.seconds() <= most) {
      return wanted;
    }
    String figures = figures(wanted, asked);
    if (cheaper.isPresent()) {
      WorkEstimate estimate = cheaper.get().estimate(scorer, task);
      if (estimate.seconds() <= most) {
        return cheaper.get();
      }
      figures += ", and " + figures(cheaper.get(), estimate);
    }
    throw new NotScorableException(
        Refusal.COST_OVER_BOUND,
        String.format(
            Locale.ROOT,
            "%s for %d sources in %d tokens: more than the bound of %.1f s.",
            figures,
            task.sources().size(),
            task.length(),
            bound));
  }

  private static String figures(AttributionMethod method, WorkEstimate estimate) {
    return String.format(
        Locale.ROOT,
        "%s is estimated at %.1f s (%d tokens, %.2e floating point operations)",
        method.name(),
        estimate.seconds(),
        estimate.tokens(),
        estimate.flops());
  }

  private AttributionResult result(
      Conversation conversation,
      ReadConversation.Ready ready,
      ContextScores scores,
      Meter meter,
      long started)
      throws NotScorableException {
    TaskReader.ReadTask read = ready.read();
    AttributionMethod chosen = ready.method();
    NoiseFloor floor = ready.noise();
    ScoringTask task = read.task();
    boolean whole = read.fitted().isEmpty();
    List<List<Double>> matrix = new ArrayList<>();
    List<SourceScore> sources = new ArrayList<>();
    for (int i = 0; i < task.sources().size(); i++) {
      Source source = task.sources().get(i);
      SourceTau tau = scores.sources().get(i);
      List<Double> row = Arrays.stream(tau.byStatement()).boxed().toList();
      matrix.add(row);
      sources.add(
          new SourceScore(
              source.segment(),
              source.span(),
              source.text(),
              finite(sum(tau.byStatement())),
              scores.reasoning().isPresent() ? finite(tau.reasoning()) : OptionalDouble.empty(),
              tau.exact() && whole,
              tau.method(),
              tau.scorer(),
              tau.pruned() || !whole ? SourceScore.PRUNED : SourceScore.FULL));
    }
    List<Statement> statements = new ArrayList<>();
    for (int j = 0; j < task.response().statements().size(); j++) {
      statements.add(
          new Statement(task.response().statements().get(j), finite(scores.byStatement()[j])));
    }
    List<TokenScore> tokens = new ArrayList<>();
    for (int t = 0; t < task.response().length(); t++) {
      tokens.add(new TokenScore(task.response().spans().get(t), finite(scores.tokenLogProbs()[t])));
    }
    OptionalDouble without =
        scores.withoutContext().isPresent()
            ? OptionalDouble.of(finite(sum(scores.withoutContext().get())))
            : OptionalDouble.empty();
    Set<AttributionNote> notes = read.notes();
    if (without.isEmpty()) {
      notes.add(AttributionNote.NO_PROMPT_WITHOUT_CONTEXT);
    }
    if (meter.deadlineReached()) {
      notes.add(AttributionNote.DEADLINE_REACHED);
    }
    if (meter.groupsLeftOut()) {
      notes.add(AttributionNote.GROUPS_NOT_SCORED);
    }
    Optional<Reasoning> reasoning = scores.reasoning().map(scored -> reasoning(scored, floor));
    if (reasoning.isPresent()
        && sources.stream().anyMatch(source -> source.reasoningTau().isEmpty())) {
      notes.add(AttributionNote.REASONING_NOT_ATTRIBUTED);
    }
    if (chosen.givesNats()) {
      Set<String> cut =
          read.leftOut().stream().map(SourcePlace::segment).collect(Collectors.toSet());
      int[] lengths = task.response().tokensByStatement();
      notes.addAll(
          CitationCheck.of(conversation, sources, cut, statements, lengths, matrix, floor));
    } else {
      notes.add(AttributionNote.SCORES_RANK_ONLY);
    }
    return new AttributionResult(
        conversation.responseId(),
        AttributionStatus.SCORED,
        notes.isEmpty() ? "" : notes.iterator().next().name(),
        reason(notes, read.fitted()),
        chosen.name(),
        scorer.description(),
        isSurrogate(conversation),
        task.prompt().length(),
        task.response().length(),
        task.response().hasEndToken(),
        OptionalDouble.of(finite(sum(scores.byStatement()))),
        without,
        OptionalDouble.of(floor.nats(task.response().length())),
        reasoning,
        sources,
        read.leftOut(),
        scores.groups().stream()
            .map(
                group ->
                    new SourceGroup(
                        group.sources(), finite(group.tau()), finite(group.reasoning())))
            .toList(),
        statements,
        matrix,
        tokens,
        notes.stream().map(Enum::name).toList(),
        scores.retokenized(),
        false,
        cost(meter, task, started));
  }

  private static String reason(Set<AttributionNote> notes, Optional<ContextWindow.Fitted> fitted) {
    String sentences = AttributionNote.sentences(notes);
    return fitted.map(of -> of.sizes() + " " + sentences).orElse(sentences);
  }

  private static Reasoning reasoning(ContextScores.Reasoning scored, NoiseFloor floor) {
    return new Reasoning(
        scored.tokens(),
        finite(scored.logLikelihood()),
        finite(scored.withoutContext()),
        floor.nats(scored.tokens()));
  }

  private static OptionalDouble finite(OptionalDouble value) {
    value.ifPresent(Attributor::finite);
    return value;
  }

  private static double sum(double[] values) {
    return Arrays.stream(values).sum();
  }

  private static double finite(double value) {
    if (!Double.isFinite(value)) {
      throw new EngineException(
          EngineException.Kind.RECORD, "the model gave a log-probability that is not finite");
    }
    return value;
  }

  private AttributionResult unscored(
      Conversation conversation, AttributionStatus status, String code, String reason, Cost cost) {
    ScorerDescription description = scorer.description();
    return new AttributionResult(
        conversation.responseId(),
        status,
        code,
        reason,
        method.name(),
        description,
        isSurrogate(conversation),
        0,
        0,
        false,
        OptionalDouble.empty(),
        OptionalDouble.empty(),
        OptionalDouble.empty(),
        Optional.empty(),
        List.of(),
        List.of(),
        List.of(),
        List.of(),
        List.of(),
        List.of(),
        List.of(),
        0,
        false,
        cost);
  }

  private boolean isSurrogate(Conversation conversation) {
    return !scorer.description().aliases().contains(conversation.model());
  }

  private static String message(EngineException e) {
    String message = e.getMessage();
    return message == null || message.isEmpty() ? "the scorer gave no reason" : message;
  }
}
