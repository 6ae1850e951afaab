package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceRequest;

/** Makes requests for services that ask about single responses; the record's key is responseId. */
public final class InfluenceRequests {
  private InfluenceRequests() {}

  /**
   * A request.
   *
   * @param cause REQUESTED or ALERT
   * @param requestedBy a person, a service, or the rule of the alert
   * @throws IllegalArgumentException if the cause is none of the two
   */
  public static InfluenceRequest of(
      Conversation conversation, InfluenceCause cause, String requestedBy) {
    if (cause != InfluenceCause.REQUESTED && cause != InfluenceCause.ALERT) {
      throw new IllegalArgumentException("a request is REQUESTED or an ALERT, not " + cause);
    }
    return InfluenceRequest.newBuilder()
        .setResponseId(conversation.responseId())
        .setResponse(LlmResponses.toAvro(conversation))
        .setCause(cause)
        .setRequestedBy(requestedBy)
        .setTraceparent(conversation.traceparent())
        .build();
  }
}
