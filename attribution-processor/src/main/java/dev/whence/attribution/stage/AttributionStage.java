package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.ReadConversation;
import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.WorkEstimate;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Stage;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The FAST role: an {@link LlmResponse} in, exactly one FINAL {@link
 * dev.whence.schemas.avro.Attribution} out. Owned by the model thread.
 */
final class AttributionStage implements Stage {
  private static final int LONGEST_ID = 256;

  /** Characters of a model's name, a conversationId, a subjectId. */
  private static final int LONGEST_NAME = 1024;

  /** Failures behind which a scorer stands. */
  private static final Set<String> SCORER_CODES = Set.of("SCORER_FAILED", "MODEL_FAILED");

  private final AvroValues values;
  private final AttributionEvents events;
  private final Sampling sampling;
  private final ScoringModel model;
  private final Supplier<List<ModelRelease>> releases;
  private final AttributionMetrics metrics;
  private final int largestRecordBytes;

  /** What {@link #prepare} read last, so that {@link #failed} need not read it again. */
  private Optional<Read> last = Optional.empty();

  private record Read(SourceRecord record, Conversation conversation) {}

  AttributionStage(
      AvroValues values,
      AttributionEvents events,
      Sampling sampling,
      ScoringModel model,
      Supplier<List<ModelRelease>> releases,
      AttributionMetrics metrics,
      int largestRecordBytes) {
    this.values = values;
    this.events = events;
    this.sampling = sampling;
    this.model = model;
    this.releases = releases;
    this.metrics = metrics;
    this.largestRecordBytes = largestRecordBytes;
  }

  @Override
  public String name() {
    return AttributionEvents.STAGE;
  }

  @Override
  public void open() {
    try {
      model.open(releases.get());
    } catch (ModelLoadException e) {
      throw new ConfigException(List.of("the model can not be loaded: " + e.getMessage()));
    }
  }

  @Override
  public Work prepare(SourceRecord record) {
    last = Optional.empty();
    byte[] value = record.value();
    if (value != null && value.length > largestRecordBytes) {
      return rejected(
          "RECORD_TOO_LARGE",
          "the record has "
              + value.length
              + " bytes, more than limits.record-bytes, "
              + largestRecordBytes);
    }
    Conversation conversation;
    try {
      LlmResponse response = values.read(value, LlmResponse.class, LlmResponse.getClassSchema());
      conversation = LlmResponses.fromAvro(response);
    } catch (UnreadableException e) {
      return rejected(e.code(), e.sentence());
    } catch (IllegalArgumentException e) {
      return rejected("INVALID_RESPONSE", "the record is no response: " + withoutNames(e));
    }
    String id = conversation.responseId();
    if (id.codePointCount(0, id.length()) > LONGEST_ID) {
      return rejected(
          "INVALID_RESPONSE",
          "the responseId has " + id.length() + " characters, more than " + LONGEST_ID);
    }
    Optional<String> tooLong = tooLong(conversation);
    if (tooLong.isPresent()) {
      return rejected("INVALID_RESPONSE", tooLong.get());
    }
    last = Optional.of(new Read(record, conversation));
    Cause cause = Cause.of(record, Optional.of(conversation));
    Optional<Sampling.LeftOut> leftOut = sampling.leavesOut(conversation);
    if (leftOut.isPresent()) {
      metrics.ended(AttributionStatus.SAMPLED_OUT);
      return Work.done(
          new Outcome.Written(List.of(events.sampledOut(conversation, leftOut.get(), cause))));
    }
    ReadConversation read = engine(() -> model.attributor().read(conversation));
    return new Scoring(conversation, cause, read);
  }

  /** Names that every event about the response repeats: the events must fit, too. */
  private static Optional<String> tooLong(Conversation conversation) {
    Map<String, String> repeated =
        Map.of(
            "model", conversation.model(),
            "conversationId", conversation.conversationId(),
            "subjectId", conversation.subjectId());
    return repeated.entrySet().stream()
        .filter(field -> field.getValue().length() > LONGEST_NAME)
        .findFirst()
        .map(
            field ->
                "the "
                    + field.getKey()
                    + " has "
                    + field.getValue().length()
                    + " characters, more than "
                    + LONGEST_NAME);
  }

  /** A message of ours about a conversation names its parts in quotes; names may say too much. */
  private static String withoutNames(IllegalArgumentException e) {
    return String.valueOf(e.getMessage()).replaceAll("(?s)'.*'", "'...'");
  }

  private static Work rejected(String code, String message) {
    return Work.done(new Outcome.Rejected(new Failure(code, message)));
  }

  /** A response that is to be scored. */
  private final class Scoring implements Work {
    private final Conversation conversation;
    private final Cause cause;
    private final ReadConversation read;

    Scoring(Conversation conversation, Cause cause, ReadConversation read) {
      this.conversation = conversation;
      this.cause = cause;
      this.read = read;
    }

    @Override
    public Duration predicted() {
      // Nothing is estimated for what the scorer will refuse without running the model.
      WorkEstimate estimate = read.estimate();
      return estimate.tokens() == 0
          ? Duration.ZERO
          : Duration.ofMillis(1).plusNanos((long) (estimate.seconds() * 1e9));
    }

    @Override
    public Outcome run() {
      AttributionResult result = engine(() -> model.attributor().attribute(read));
      if (result.status() == AttributionStatus.FAILED) {
        return new Outcome.ModelFailed(new Failure(result.reasonCode(), result.reason()));
      }
      metrics.ended(result.status());
      metrics.scored(result);
      return new Outcome.Written(List.of(events.of(conversation, result, cause)));
    }
  }

  @Override
  public List<Result> failed(SourceRecord record, Failure failure) {
    metrics.ended(AttributionStatus.FAILED);
    Optional<Conversation> conversation =
        last.filter(read -> read.record().equals(record)).map(Read::conversation);
    Optional<ScorerDescription> scorer =
        SCORER_CODES.contains(failure.code()) ? model.description() : Optional.empty();
    return List.of(
        events.failed(
            conversation,
            record.idWithoutValue(),
            failure,
            scorer,
            Cause.of(record, conversation)));
  }

  /** What the scorer throws is not the record's fault; what is, it says in its result. */
  private static <T> T engine(Supplier<T> call) {
    try {
      return call.get();
    } catch (EngineException e) {
      throw new EnvironmentException("the scorer failed: " + e.getMessage(), e);
    }
  }

  /** Takes over another model. On the model thread, between batches. */
  void takeOver(Optional<ModelRelease> release) {
    model.takeOver(release);
  }

  @Override
  public void close() {
    model.close();
    values.close();
  }
}
