package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.ReadConversation;
import dev.whence.conversation.Conversation;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.WorkEstimate;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.ResponseReader;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Stage;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.avro.Attribution;
import dev.whence.schemas.avro.AttributionPhase;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The FAST role: an {@link LlmResponse} in, one {@link Attribution} out: FINAL, or PROVISIONAL with
 * an escalation to the TARGET role, which then writes the FINAL one. Owned by the model thread.
 */
final class FastStage implements Stage {
  private static final String TOO_LARGE = "TOO_LARGE_TO_ESCALATE";

  /** Failures behind which a scorer stands. */
  private static final Set<String> SCORER_CODES = Set.of("SCORER_FAILED", "MODEL_FAILED");

  private final AvroValues values;
  private final AttributionEvents events;
  private final Sampling sampling;
  private final ScoringModel model;
  private final Supplier<List<ModelRelease>> releases;
  private final AttributionMetrics metrics;
  private final Optional<FastPath> fastPath;
  private final Escalations escalations;
  private final Runnable awaitMeasured;
  private final int largestRecordBytes;

  /** What {@link #prepare} read last, so that {@link #failed} need not read it again. */
  private Optional<Read> last = Optional.empty();

  private record Read(SourceRecord record, Conversation conversation) {}

  FastStage(
      AvroValues values,
      AttributionEvents events,
      Sampling sampling,
      ScoringModel model,
      Supplier<List<ModelRelease>> releases,
      AttributionMetrics metrics,
      Optional<FastPath> fastPath,
      Escalations escalations,
      Runnable awaitMeasured,
      int largestRecordBytes) {
    this.values = values;
    this.events = events;
    this.sampling = sampling;
    this.model = model;
    this.releases = releases;
    this.metrics = metrics;
    this.fastPath = fastPath;
    this.escalations = escalations;
    this.awaitMeasured = awaitMeasured;
    this.largestRecordBytes = largestRecordBytes;
  }

  @Override
  public String name() {
    return Role.FAST.stage();
  }

  @Override
  public void open() {
    if (fastPath.isPresent()) {
      escalations.open();
    }
    model.openFirst(releases.get());
    awaitMeasured.run();
  }

  @Override
  public void coming(List<SourceRecord> records) {
    model.bringBack();
  }

  @Override
  public Work prepare(SourceRecord record) {
    last = Optional.empty();
    LlmResponse response;
    Conversation conversation;
    try {
      byte[] value = record.value();
      if (value != null) {
        ResponseReader.checkSize(value, largestRecordBytes);
      }
      response = values.read(value, LlmResponse.class, LlmResponse.getClassSchema());
      conversation = ResponseReader.read(response);
    } catch (UnreadableException e) {
      return rejected(new Failure(e.code(), e.sentence()));
    } catch (ResponseReader.UnusableException e) {
      return rejected(e.failure());
    }
    last = Optional.of(new Read(record, conversation));
    Cause cause = Cause.of(record, Optional.of(conversation));
    Optional<Sampling.LeftOut> leftOut =
        sampling.leavesOut(
            conversation, fastPath.filter(path -> path.requested(conversation)).isPresent());
    if (leftOut.isPresent()) {
      return Work.done(
          new Outcome.Written(
              List.of(events.sampledOut(conversation, leftOut.get(), cause)),
              () -> metrics.ended(AttributionStatus.SAMPLED_OUT)));
    }
    ReadConversation read = model.attributing(attributor -> attributor.read(conversation));
    return new Scoring(response, conversation, cause, read);
  }

  private static Work rejected(Failure failure) {
    return Work.done(new Outcome.Rejected(failure));
  }

  /** Model time of what an estimate says. */
  static Duration predicted(WorkEstimate estimate) {
    // Nothing is estimated for what the scorer will refuse without running the model.
    return estimate.tokens() == 0
        ? Duration.ZERO
        : Duration.ofMillis(1).plusNanos((long) (estimate.seconds() * 1e9));
  }

  /** A response that is to be scored. */
  private final class Scoring implements Work {
    private final LlmResponse response;
    private final Conversation conversation;
    private final Cause cause;
    private final ReadConversation read;

    Scoring(LlmResponse response, Conversation conversation, Cause cause, ReadConversation read) {
      this.response = response;
      this.conversation = conversation;
      this.cause = cause;
      this.read = read;
    }

    @Override
    public Duration predicted() {
      return FastStage.predicted(read.estimate());
    }

    @Override
    public Outcome run() {
      AttributionResult result = model.attributing(attributor -> attributor.attribute(read));
      metrics.worked(result);
      if (result.status() == AttributionStatus.FAILED) {
        return new Outcome.ModelFailed(new Failure(result.reasonCode(), result.reason()));
      }
      Attribution.Builder event = events.of(conversation, result, cause);
      return fastPath.isPresent()
          ? judged(fastPath.get(), result, event)
          : ended(event.build(), result, () -> {});
    }

    private Outcome ended(Attribution event, AttributionResult result, Runnable more) {
      return new Outcome.Written(
          List.of(events.write(event)),
          () -> {
            metrics.ended(result.status());
            metrics.scored(result.sources().size());
            more.run();
          });
    }

    /** The final event, or a provisional one and what the target is asked, in one transaction. */
    private Outcome judged(FastPath path, AttributionResult result, Attribution.Builder event) {
      String scorer = model.key(FastPath.measuredAs(result));
      FastPath.Verdict verdict = path.judge(conversation, result, scorer);
      verdict.confidence().ifPresent(event::setConfidence);
      if (verdict instanceof FastPath.Escalated why) {
        Attribution provisional = event.setPhase(AttributionPhase.PROVISIONAL).build();
        Optional<Result> escalation =
            escalations.of(response, provisional, scorer, why, path.options().deadline());
        if (escalation.isPresent()) {
          return new Outcome.Written(
              List.of(events.write(provisional), escalation.get()),
              () -> {
                metrics.escalated(why.code());
                metrics.scored(result.sources().size());
              });
        }
        return ended(
            AttributionEvents.closed(
                provisional,
                TOO_LARGE,
                "The target was not asked: response and result do not fit into one record.",
                provisional.getRevision()),
            result,
            metrics::tooLargeToEscalate);
      }
      return ended(event.build(), result, () -> {});
    }
  }

  /**
   * FAILED is final at once; no target is asked, whatever the reason:
   *
   * <ul>
   *   <li>The record can not be read, is no usable response, or it or its result is larger than is
   *       taken: an escalation holds both.
   *   <li>The fast model failed on it, or its environment did (SCORER_FAILED, MODEL_FAILED,
   *       ENVIRONMENT_FAILED), and on others it works. That is a defect to be looked into and not a
   *       limit to be lived with, so a dead letter is written; once it is mended, or with another
   *       model, {@code whence dlq replay} takes the response through both roles.
   *   <li>Processes died of it (ATTEMPTS_EXHAUSTED): the target's would be the next.
   * </ul>
   */
  @Override
  public Outcome.Written failed(SourceRecord record, Failure failure) {
    Optional<Conversation> conversation =
        last.filter(read -> read.record().equals(record)).map(Read::conversation);
    Optional<ScorerDescription> scorer =
        SCORER_CODES.contains(failure.code()) ? model.description() : Optional.empty();
    return new Outcome.Written(
        List.of(
            events.failed(
                conversation,
                record.idWithoutValue(),
                failure,
                scorer,
                Cause.of(record, conversation))),
        () -> metrics.ended(AttributionStatus.FAILED));
  }

  @Override
  public void close() {
    model.close();
    values.close();
  }
}
