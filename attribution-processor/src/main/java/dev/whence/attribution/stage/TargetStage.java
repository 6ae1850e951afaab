package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionNote;
import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.EarlierScores;
import dev.whence.attribution.NoiseFloor;
import dev.whence.attribution.ReadConversation;
import dev.whence.attribution.SourcePlace;
import dev.whence.attribution.confidence.TopSources;
import dev.whence.attribution.method.ProxyPruning;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Span;
import dev.whence.runtime.dlq.Replays;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.serde.ResponseReader;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Stage;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.avro.Agreement;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.CandidateSource;
import dev.whence.schemas.avro.Escalation;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ScoringStatus;
import dev.whence.schemas.avro.SourceScore;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The TARGET role: an {@link Escalation} in, exactly one FINAL {@link Attribution} out.
 *
 * <ul>
 *   <li>With candidates: these are scored again in a prompt without the other sources, which keep
 *       the fast scores; L(C) and groundedness are the target's on the whole prompt.
 *   <li>Without: all sources are scored by the configured method, and compared with the fast
 *       result. What was drawn whatever its scores are goes to {@code
 *       whence.attributions.agreements}: there the FAST role learns how far it can be trusted.
 *   <li>Past its deadline, over the budget, or where the target can not score it: the fast result
 *       is final, and says why.
 * </ul>
 *
 * Owned by the model thread.
 */
final class TargetStage implements Stage {
  static final String EXPIRED = "ESCALATION_EXPIRED";
  static final String OVER_BUDGET = "OVER_BUDGET";
  static final String UNSUPPORTED = "TARGET_UNSUPPORTED";
  static final String FAILED = "TARGET_FAILED";

  /** What a result says that another can not be held against. */
  private static final Set<String> NO_MEASURE =
      Set.of(
          AttributionNote.COST_BOUNDED.name(),
          AttributionNote.DEADLINE_REACHED.name(),
          AttributionNote.TEXT_NOT_READ.name());

  /** What a result says that is of a part of the prompt. */
  private static final Set<String> NOT_WHOLE =
      Set.of(AttributionNote.WINDOWED.name(), AttributionNote.TEXT_NOT_READ.name());

  /** More than any number of replays makes; what claims more is not ours. */
  private static final int MOST_REVISIONS = 1 << 24;

  private final AvroValues values;
  private final AttributionEvents events;
  private final EventWriter writer;
  private final String agreements;
  private final ScoringModel model;
  private final Supplier<List<ModelRelease>> releases;
  private final AttributionMetrics metrics;
  private final Budget budget;
  private final InstantSource clock;
  private final int largestRecordBytes;

  /** What {@link #prepare} read last, so that {@link #failed} need not read it again. */
  private Optional<Read> last = Optional.empty();

  /** An escalation that could be read. */
  private record Read(
      SourceRecord record, Escalation escalation, Conversation conversation, Cause cause) {
    Optional<Attribution> fast() {
      return Optional.ofNullable(escalation.getFast());
    }
  }

  TargetStage(
      AvroValues values,
      AttributionEvents events,
      EventWriter writer,
      String agreements,
      ScoringModel model,
      Supplier<List<ModelRelease>> releases,
      AttributionMetrics metrics,
      Budget budget,
      InstantSource clock,
      int largestRecordBytes) {
    this.values = values;
    this.events = events;
    this.writer = writer;
    this.agreements = agreements;
    this.model = model;
    this.releases = releases;
    this.metrics = metrics;
    this.budget = budget;
    this.clock = clock;
    this.largestRecordBytes = largestRecordBytes;
  }

  @Override
  public String name() {
    return Role.TARGET.stage();
  }

  /** What somebody asked for has the right of way; {@link Escalations} puts it there. */
  @Override
  public boolean urgentFirst() {
    return true;
  }

  @Override
  public void open() {
    model.openFirst(releases.get());
  }

  @Override
  public void coming(List<SourceRecord> records) {
    model.bringBack();
  }

  @Override
  public Work prepare(SourceRecord record) {
    last = Optional.empty();
    Read read;
    try {
      read = read(record);
    } catch (UnreadableException e) {
      return Work.done(new Outcome.Rejected(new Failure(e.code(), e.sentence())));
    } catch (ResponseReader.UnusableException e) {
      return Work.done(new Outcome.Rejected(e.failure()));
    }
    last = Optional.of(read);
    // Who replays a dead letter asks for it now, whatever was meant when it was written.
    boolean replayed = Replays.of(record.headers()) > 0;
    boolean urgent = replayed || read.escalation().getUrgent();
    if (!replayed && expired(read.escalation())) {
      return Work.done(
          closed(read, EXPIRED, "The target did not look before the deadline of the escalation."));
    }
    if (!budget.allows(urgent)) {
      return Work.done(closed(read, OVER_BUDGET, "The target's budget was spent."));
    }
    Optional<EarlierScores> earlier = earlier(read.escalation());
    ReadConversation reading =
        model.attributing(
            attributor ->
                earlier.isPresent()
                    ? attributor.read(read.conversation(), earlier.get())
                    : attributor.read(read.conversation()));
    if (readsLess(read, reading)) {
      return Work.done(
          closed(
              read,
              UNSUPPORTED,
              "The target does not read all of the prompt, as the fast path did."));
    }
    return new Scoring(read, reading, urgent);
  }

  /**
   * Whether the fast result is of the whole prompt and this one would not be, though nobody asked
   * for the target's: then it would say less, and the fast one stands.
   */
  private static boolean readsLess(Read read, ReadConversation reading) {
    return reading.notes().stream().map(Enum::name).anyMatch(NOT_WHOLE::contains)
        && !read.escalation().getReasonCode().equals(FastPath.REQUESTED)
        && read.fast()
            .filter(fast -> fast.getStatus() == ScoringStatus.SCORED)
            .filter(fast -> fast.getFlags().stream().noneMatch(NOT_WHOLE::contains))
            .isPresent();
  }

  private Read read(SourceRecord record)
      throws UnreadableException, ResponseReader.UnusableException {
    byte[] value = record.value();
    if (value != null) {
      ResponseReader.checkSize(value, largestRecordBytes);
    }
    Escalation escalation = values.read(value, Escalation.class, Escalation.getClassSchema());
    if (escalation.getResponse() == null) {
      throw new ResponseReader.UnusableException(
          "INVALID_ESCALATION", "the escalation holds no response");
    }
    Conversation conversation = ResponseReader.read(escalation.getResponse());
    Attribution fast = escalation.getFast();
    if (fast != null && !fast.getResponseId().equals(conversation.responseId())) {
      throw new ResponseReader.UnusableException(
          "INVALID_ESCALATION", "the escalation's response and fast result are of two responses");
    }
    return new Read(
        record, escalation, conversation, cause(record, Optional.of(conversation), fast));
  }

  /** One revision above the fast result's; two more for each replay of the escalation. */
  private static Cause cause(
      SourceRecord record, Optional<Conversation> conversation, @Nullable Attribution fast) {
    Cause cause = Cause.of(record, conversation);
    int before = fast == null ? 0 : Math.min(MOST_REVISIONS, Math.max(0, fast.getRevision()));
    return new Cause(cause.traceparent(), Math.addExact(before + 1, cause.revision()));
  }

  private boolean expired(Escalation escalation) {
    Instant deadline = escalation.getDeadline();
    return deadline.toEpochMilli() != 0 && clock.instant().isAfter(deadline);
  }

  /** The fast scores and the candidates, if only those are to be scored again. */
  static Optional<EarlierScores> earlier(Escalation escalation) {
    Attribution fast = escalation.getFast();
    if (fast == null || escalation.getCandidates().isEmpty()) {
      return Optional.empty();
    }
    Set<SourcePlace> candidates = new HashSet<>();
    for (CandidateSource candidate : escalation.getCandidates()) {
      place(candidate.getSegment(), candidate.getStart(), candidate.getEnd())
          .ifPresent(candidates::add);
    }
    List<AttributionResult.SourceScore> sources = new ArrayList<>();
    for (SourceScore source : fast.getSources()) {
      Optional<SourcePlace> place = place(source.getSegment(), source.getStart(), source.getEnd());
      if (place.isEmpty()) {
        return Optional.empty();
      }
      sources.add(
          new AttributionResult.SourceScore(
              source.getSegment(),
              place.get().span(),
              "",
              source.getTau(),
              optional(source.getReasoningTau()),
              source.getExact(),
              source.getMethod(),
              source.getScorer(),
              source.getContext()));
    }
    return Optional.of(new EarlierScores(sources, fast.getMatrix(), candidates, noise(fast)));
  }

  private static Optional<NoiseFloor> noise(Attribution fast) {
    Double nats = fast.getNoiseFloor();
    return nats != null && nats >= 0 && nats < Double.POSITIVE_INFINITY
        ? Optional.of(new NoiseFloor(nats / Math.sqrt(Math.max(1, fast.getResponseTokens()))))
        : Optional.empty();
  }

  private static OptionalDouble optional(@Nullable Double value) {
    return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
  }

  private static Optional<SourcePlace> place(String segment, int start, int end) {
    return start < 0 || end < start
        ? Optional.empty()
        : Optional.of(new SourcePlace(segment, new Span(start, end)));
  }

  /** The fast result is final. */
  private Outcome closed(Read read, String code, String sentence) {
    return new Outcome.Written(
        List.of(events.write(closing(read, code, sentence))), () -> countClosed(read, code));
  }

  private Attribution closing(Read read, String code, String sentence) {
    return read.fast().isPresent()
        ? AttributionEvents.closed(read.fast().get(), code, sentence, read.cause().revision())
        : AttributionEvents.unsupported(read.conversation(), code, sentence, read.cause());
  }

  private void countClosed(Read read, String code) {
    metrics.closed(code);
    boolean scored =
        read.fast().filter(fast -> fast.getStatus() == ScoringStatus.SCORED).isPresent();
    metrics.ended(scored ? AttributionStatus.SCORED : AttributionStatus.UNSUPPORTED);
  }

  /** An escalation that is to be scored. */
  private final class Scoring implements Work {
    private final Read read;
    private final ReadConversation reading;
    private final boolean urgent;

    Scoring(Read read, ReadConversation reading, boolean urgent) {
      this.read = read;
      this.reading = reading;
      this.urgent = urgent;
    }

    @Override
    public Duration predicted() {
      return FastStage.predicted(reading.estimate());
    }

    @Override
    public Outcome run() {
      AttributionResult result = model.attributing(attributor -> attributor.attribute(reading));
      budget.pay(result.cost().trunkTokens() + result.cost().branchTokens(), urgent);
      metrics.worked(result);
      if (result.status() == AttributionStatus.FAILED) {
        return new Outcome.ModelFailed(new Failure(result.reasonCode(), result.reason()));
      }
      if (result.status() != AttributionStatus.SCORED) {
        return closed(
            read,
            UNSUPPORTED,
            "The target could not score it (" + result.reasonCode() + "): " + result.reason());
      }
      Attribution.Builder event = events.of(read.conversation(), result, read.cause());
      if (read.fast().isPresent()) {
        event.setConfidence(read.fast().get().getConfidence());
      }
      Optional<Boolean> agreed = agreed(result);
      boolean drawn = FastPath.drawn(read.escalation().getReasonCode());
      Runnable counted =
          () -> {
            metrics.ended(result.status());
            metrics.closed("refined");
            metrics.scored(scoredHere(result));
            if (drawn) {
              metrics.compared(agreed.map(String::valueOf).orElse("unknown"));
            }
          };
      if (agreed.isEmpty()) {
        return new Outcome.Written(List.of(events.write(event.build())), counted);
      }
      Attribution compared = event.setAgreed(agreed.get()).build();
      List<Result> results = new ArrayList<>();
      results.add(events.write(compared));
      if (drawn) {
        results.add(agreement(compared, result, agreed.get()));
      }
      return new Outcome.Written(results, counted);
    }

    /** All, or the candidates alone. */
    private long scoredHere(AttributionResult result) {
      boolean candidates =
          result.method().equals(ProxyPruning.NAME) && !read.escalation().getCandidates().isEmpty();
      return result.sources().stream()
          .filter(source -> !candidates || source.method().equals(ProxyPruning.NAME))
          .count();
    }

    /** Whether the fast result has the same top sources; empty if it can not be said. */
    private Optional<Boolean> agreed(AttributionResult result) {
      boolean whole =
          result.sources().stream()
              .allMatch(source -> source.context().equals(AttributionResult.SourceScore.FULL));
      boolean measures = NO_MEASURE.stream().noneMatch(result.flags()::contains);
      if (!whole || !measures || read.fast().isEmpty() || result.sources().isEmpty()) {
        return Optional.empty();
      }
      Map<SourcePlace, Double> fast = new HashMap<>();
      for (SourceScore source : read.fast().get().getSources()) {
        place(source.getSegment(), source.getStart(), source.getEnd())
            .ifPresent(place -> fast.put(place, source.getTau()));
      }
      if (fast.size() != result.sources().size()) {
        return Optional.empty(); // the two read other sources
      }
      double[] fastTaus = new double[result.sources().size()];
      double[] targetTaus = new double[fastTaus.length];
      for (int i = 0; i < fastTaus.length; i++) {
        AttributionResult.SourceScore source = result.sources().get(i);
        Double tau = fast.get(new SourcePlace(source.segment(), source.span()));
        if (tau == null) {
          return Optional.empty();
        }
        fastTaus[i] = tau;
        targetTaus[i] = source.tau();
      }
      return Optional.of(TopSources.agree(fastTaus, targetTaus));
    }

    private Result agreement(Attribution event, AttributionResult result, boolean agreed) {
      double[] taus =
          result.sources().stream().mapToDouble(AttributionResult.SourceScore::tau).toArray();
      Agreement agreement =
          Agreement.newBuilder()
              .setResponseId(event.getResponseId())
              .setAgreed(agreed)
              .setRelevant(TopSources.relevant(taus))
              .setWouldStand(read.escalation().getWouldStand())
              .setFeatures(read.escalation().getFeatures())
              .setFastScorer(read.escalation().getFastScorer())
              .setTargetScorer(model.key(result.method()))
              .setMeasuredAt(clock.instant())
              .build();
      return writer.write(
          agreements,
          event.getResponseId(),
          agreement,
          event.getRevision(),
          event.getTraceparent(),
          Optional::empty);
    }
  }

  /** The dead letter queue gets the escalation; the fast result, where it can be read, stands. */
  @Override
  public Outcome.Written failed(SourceRecord record, Failure failure) {
    Optional<Read> read = last.filter(one -> one.record().equals(record));
    if (read.flatMap(Read::fast).isPresent()) {
      return new Outcome.Written(
          List.of(
              events.writeSurely(
                  closing(
                      read.get(),
                      FAILED,
                      "The target failed (" + failure.code() + "): " + failure.message() + "."))),
          () -> countClosed(read.get(), FAILED));
    }
    Optional<Conversation> conversation = read.map(Read::conversation);
    return new Outcome.Written(
        List.of(
            events.failed(
                conversation,
                record.idWithoutValue(),
                failure,
                model.description(),
                cause(record, conversation, null))),
        () -> {
          metrics.closed(FAILED);
          metrics.ended(AttributionStatus.FAILED);
        });
  }

  /** The fast result stands here, too; reading it takes no model. */
  @Override
  public Outcome.Written exhausted(SourceRecord record, Failure failure) {
    try {
      last = Optional.of(read(record));
    } catch (UnreadableException | ResponseReader.UnusableException e) {
      last = Optional.empty();
    }
    return failed(record, failure);
  }

  @Override
  public void close() {
    model.close();
    values.close();
  }
}
