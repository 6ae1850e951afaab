package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Result;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceCost;
import dev.whence.schemas.avro.InfluenceStatus;
import java.time.temporal.ChronoUnit;
import java.util.Optional;

/** Results that the query stage writes itself, and the beginnings of those that the merger ends. */
final class InfluenceEvents {
  private final EventWriter writer;
  private final String topic;
  private final InfluenceConfig.Asked asked;

  InfluenceEvents(EventWriter writer, String topic, InfluenceConfig.Asked asked) {
    this.writer = writer;
    this.topic = topic;
    this.asked = asked;
  }

  /**
   * Why a response is asked about.
   *
   * @param cause of it
   * @param by who or what asked, as the request says; empty: nobody says
   */
  record Asker(InfluenceCause cause, String by) {
    static final Asker SAMPLED = new Asker(InfluenceCause.SAMPLED, "");
    static final Asker REQUESTED = new Asker(InfluenceCause.REQUESTED, "");
  }

  /** What is known of a response before anything is computed. */
  static Influence.Builder about(Conversation conversation, Asker asker, String traceparent) {
    return Influence.newBuilder()
        .setResponseId(conversation.responseId())
        .setCause(asker.cause())
        .setRequestedBy(asker.by())
        .setModel(conversation.model())
        .setOccurredAt(conversation.occurredAt().truncatedTo(ChronoUnit.MILLIS))
        .setConversationId(conversation.conversationId())
        .setSubjectId(conversation.subjectId())
        .setTraceparent(traceparent);
  }

  /** A response that no query is made of. */
  Result ended(Influence.Builder event, InfluenceStatus status, String code, String reason) {
    return write(event.setStatus(status).setReasonCode(code).setReason(reason).build());
  }

  /** A record that is given up; what it holds may not be known. */
  Result failed(
      String id,
      Optional<Conversation> conversation,
      Asker asker,
      Failure failure,
      String traceparent) {
    Influence.Builder event =
        conversation
            .map(known -> about(known, asker, traceparent))
            .orElseGet(
                () ->
                    Influence.newBuilder()
                        .setResponseId(id)
                        .setCause(asker.cause())
                        .setRequestedBy(asker.by())
                        .setTraceparent(traceparent));
    return ended(event, InfluenceStatus.FAILED, failure.code(), failure.message());
  }

  private Result write(Influence event) {
    return writer.write(
        topic, event.getResponseId(), event, 0, event.getTraceparent(), Optional::empty);
  }

  /** What is known of a result before the shards have answered. */
  Influence begun(Influence.Builder event, String queryId, QueryModel.Query query) {
    boolean multiStage = !query.fineTuning().getFactorsDigest().isEmpty();
    return event
        .setQueryId(queryId)
        .setMethod(method(query) + asked.preselect().suffix())
        .setMeasure(asked.measure().label())
        .setMeasureOfDocuments(query.index().settings().measure().label())
        .setPretraining(query.pretraining())
        .setFineTuning(query.fineTuning())
        .setAlpha(multiStage ? asked.alpha().text() : "")
        .setLambda(asked.lambda().text())
        .setIndexDigest(query.indexDigest())
        .setResponseTokens(query.gradient().tokens())
        .setLogLikelihood(query.gradient().logLikelihood())
        .setCost(
            InfluenceCost.newBuilder()
                .setTokens(query.promptAndResponse())
                .setSeconds(query.seconds())
                .build())
        .build();
  }

  static String method(QueryModel.Query query) {
    return query.fineTuning().getFactorsDigest().isEmpty() ? "single-stage" : "multi-stage";
  }
}
