package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceRequest;

/** Makes requests for services that ask about single responses; the record's key is responseId. */
public final class InfluenceRequests {
  /** Characters of {@code requestedBy}. */
  public static final int LONGEST_REQUESTED_BY = 256;

  private InfluenceRequests() {}

  /**
   * A request.
   *
   * @param cause REQUESTED or ALERT
   * @param requestedBy a person, a service, or the rule of the alert; the result says it again
   * @throws IllegalArgumentException if the cause is none of the two, or requestedBy is longer than
   *     {@link #LONGEST_REQUESTED_BY}
   */
  public static InfluenceRequest of(
      Conversation conversation, InfluenceCause cause, String requestedBy) {
    if (cause != InfluenceCause.REQUESTED && cause != InfluenceCause.ALERT) {
      throw new IllegalArgumentException("a request is REQUESTED or an ALERT, not " + cause);
    }
    if (requestedBy.length() > LONGEST_REQUESTED_BY) {
      throw new IllegalArgumentException(
          "requestedBy has "
              + requestedBy.length()
              + " characters, more than "
              + LONGEST_REQUESTED_BY);
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
