package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.influence.InfluenceException;
import dev.whence.runtime.config.SamplingRate;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.ResponseReader;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Stage;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceRequest;
import dev.whence.schemas.avro.InfluenceStatus;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.IntSupplier;
import java.util.function.Supplier;

/**
 * A response in, a query out: gradient at theta_ft, both inverses, sketch. What can not be asked
 * about gets its result here: UNSUPPORTED if the weights of its model are not ours, FAILED if its
 * gradient says nothing. Owned by its model thread; the model is shared.
 */
final class QueryStage implements Stage {
  static final String SAMPLED = "influence-query";
  static final String REQUESTED = "influence-request";

  private final String name;
  private final Optional<SamplingRate> sampling;
  private final AvroValues values;
  private final InfluenceEvents events;
  private final ResponseQueries queries;
  private final QueryModel model;
  private final Supplier<List<ModelRelease>> releases;
  private final IntSupplier partitionsOfQueries;
  private final InfluenceConfig config;
  private final InfluenceMetrics metrics;
  private int partitions;

  /** What {@link #prepare} read last, so that {@link #failed} need not read it again. */
  private Optional<Read> last = Optional.empty();

  private Optional<SourceRecord> lastRecord = Optional.empty();

  /** Why that record asks, as far as it could be read. */
  private InfluenceEvents.Asker lastAsker = InfluenceEvents.Asker.REQUESTED;

  private record Read(
      SourceRecord record,
      LlmResponse response,
      Conversation conversation,
      InfluenceEvents.Asker asker) {
    String traceparent() {
      return record.traceparentOr(conversation.traceparent());
    }
  }

  /**
   * A stage.
   *
   * @param name {@link #SAMPLED} or {@link #REQUESTED}
   * @param sampling which responses are asked about; empty: the source holds requests
   * @param values closed with the stage
   * @param model stays the caller's
   */
  QueryStage(
      String name,
      Optional<SamplingRate> sampling,
      AvroValues values,
      InfluenceEvents events,
      ResponseQueries queries,
      QueryModel model,
      Supplier<List<ModelRelease>> releases,
      IntSupplier partitionsOfQueries,
      InfluenceConfig config,
      InfluenceMetrics metrics) {
    this.name = name;
    this.sampling = sampling;
    this.values = values;
    this.events = events;
    this.queries = queries;
    this.model = model;
    this.releases = releases;
    this.partitionsOfQueries = partitionsOfQueries;
    this.config = config;
    this.metrics = metrics;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public void open() {
    partitions = partitionsOfQueries.getAsInt();
    model.openFirst(releases.get());
  }

  @Override
  public void coming(List<SourceRecord> records) {
    model.bringBack();
  }

  @Override
  public Work prepare(SourceRecord record) {
    last = Optional.empty();
    lastRecord = Optional.of(record);
    lastAsker = unread();
    if (leftOut(record.idWithoutValue())) {
      return Work.done(new Outcome.Written(List.of(), metrics::notSampled));
    }
    Read read;
    try {
      read = read(record);
    } catch (UnreadableException e) {
      return Work.done(new Outcome.Rejected(new Failure(e.code(), e.sentence())));
    } catch (ResponseReader.UnusableException e) {
      return Work.done(new Outcome.Rejected(e.failure()));
    }
    last = Optional.of(read);
    if (!model.answersTo(read.conversation().model())) {
      return Work.done(notOurs(read));
    }
    return new Asking(read);
  }

  /** The id is the key, by the topic's contract: what is left out need not even be read. */
  private boolean leftOut(String responseId) {
    return sampling.isPresent() && !sampling.get().takes(responseId);
  }

  private Read read(SourceRecord record)
      throws UnreadableException, ResponseReader.UnusableException {
    byte[] value = record.value();
    if (value != null) {
      ResponseReader.checkSize(value, config.largestRecordBytes());
    }
    if (sampling.isPresent()) {
      LlmResponse response = values.read(value, LlmResponse.class, LlmResponse.getClassSchema());
      return new Read(record, response, ResponseReader.read(response), lastAsker);
    }
    InfluenceRequest request =
        values.read(value, InfluenceRequest.class, InfluenceRequest.getClassSchema());
    lastAsker = asker(request);
    LlmResponse response = request.getResponse();
    if (response == null) {
      throw new ResponseReader.UnusableException(
          "INVALID_REQUEST", "the request comes without its response");
    }
    Conversation conversation = ResponseReader.read(response);
    if (!conversation.responseId().equals(request.getResponseId())) {
      throw new ResponseReader.UnusableException(
          "INVALID_REQUEST", "the request names another responseId than the response in it");
    }
    return new Read(record, response, conversation, lastAsker);
  }

  private InfluenceEvents.Asker asker(InfluenceRequest request)
      throws ResponseReader.UnusableException {
    InfluenceCause cause =
        request.getCause() == InfluenceCause.ALERT
            ? InfluenceCause.ALERT
            : InfluenceCause.REQUESTED;
    int length = request.getRequestedBy().length();
    if (length > InfluenceRequests.LONGEST_REQUESTED_BY) {
      lastAsker = new InfluenceEvents.Asker(cause, "");
      throw new ResponseReader.UnusableException(
          "INVALID_REQUEST",
          "the request's requestedBy has "
              + length
              + " characters, more than "
              + InfluenceRequests.LONGEST_REQUESTED_BY);
    }
    return new InfluenceEvents.Asker(cause, request.getRequestedBy());
  }

  /** Why a record asks that was not read. */
  private InfluenceEvents.Asker unread() {
    return sampling.isPresent() ? InfluenceEvents.Asker.SAMPLED : InfluenceEvents.Asker.REQUESTED;
  }

  private Outcome notOurs(Read read) {
    return new Outcome.Written(
        List.of(
            ended(
                read,
                InfluenceStatus.UNSUPPORTED,
                "MODEL_NOT_OURS",
                "The weights of the model that gave the response are not here: its name is none of"
                    + " models.aliases, nor of the live release's aliases.")),
        () -> metrics.ended(InfluenceStatus.UNSUPPORTED));
  }

  private Result ended(Read read, InfluenceStatus status, String code, String reason) {
    return events.ended(
        InfluenceEvents.about(read.conversation(), read.asker(), read.traceparent()),
        status,
        code,
        reason);
  }

  /** A response whose gradient is to be taken. */
  private final class Asking implements Work {
    private final Read read;

    Asking(Read read) {
      this.read = read;
    }

    @Override
    public Duration predicted() {
      return model.expected(read.conversation());
    }

    @Override
    public Outcome run() {
      try {
        Optional<QueryModel.Query> asked = model.ask(read.conversation(), predicted());
        if (asked.isEmpty()) {
          return notOurs(read);
        }
        QueryModel.Query query = asked.get();
        List<Result> results = write(query);
        return new Outcome.Written(results, () -> metrics.asked(read.asker().cause()));
      } catch (InfluenceException e) {
        return done(InfluenceStatus.FAILED, "NO_QUERY", e);
      } catch (EngineException e) {
        return switch (e.kind()) {
          case UNSUPPORTED -> done(InfluenceStatus.UNSUPPORTED, "MODEL_CANNOT_READ", e);
          case ENVIRONMENT -> {
            String why = "the model failed: " + e.getMessage();
            throw e.isDeviceLost()
                ? EnvironmentException.ofProcess(why, e)
                : EnvironmentException.ofScorer(why, e);
          }
          case MODEL, RECORD ->
              new Outcome.ModelFailed(new Failure("MODEL_FAILED", String.valueOf(e.getMessage())));
        };
      }
    }

    private List<Result> write(QueryModel.Query query) {
      String method = InfluenceEvents.method(query);
      Influence.Builder about =
          InfluenceEvents.about(read.conversation(), read.asker(), read.traceparent());
      String queryId =
          QueryId.of(
              read.conversation().responseId(),
              query.fineTuning().getModelDigest(),
              query.indexDigest(),
              query.pretraining().getFactorsDigest(),
              query.fineTuning().getFactorsDigest(),
              method.equals("multi-stage") ? config.query().alpha().text() : "",
              config.query().lambda().text(),
              method + config.query().preselect().suffix(),
              config.query().measure().label(),
              config.query().top(),
              config.query().rerank(),
              config.query().includeExcerpts());
      return queries.of(query, read.response(), events.begun(about, queryId, query), partitions);
    }

    private Outcome done(InfluenceStatus status, String code, RuntimeException e) {
      return new Outcome.Written(
          List.of(ended(read, status, code, String.valueOf(e.getMessage()))),
          () -> metrics.ended(status));
    }
  }

  /** A record that killed the process is given up unread, and may have been an alert's. */
  private InfluenceEvents.Asker asker(SourceRecord record) {
    return lastRecord.filter(record::equals).isPresent() ? lastAsker : unread();
  }

  @Override
  public Outcome.Written failed(SourceRecord record, Failure failure) {
    Optional<Read> read = last.filter(one -> one.record().equals(record));
    return new Outcome.Written(
        List.of(
            events.failed(
                record.idWithoutValue(),
                read.map(Read::conversation),
                asker(record),
                failure,
                record.traceparentOr(
                    read.map(one -> one.conversation().traceparent()).orElse("")))),
        () -> metrics.ended(InfluenceStatus.FAILED));
  }

  @Override
  public void close() {
    values.close();
  }
}
