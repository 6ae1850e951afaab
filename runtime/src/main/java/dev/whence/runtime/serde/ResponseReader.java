package dev.whence.runtime.serde;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.runtime.worker.Failure;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.LlmResponse;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** From a response as it was sent to a conversation that events can be written about. */
public final class ResponseReader {

  /** Characters of a model's name, a conversationId, a subjectId, the id of a part. */
  private static final int LONGEST_NAME = 1024;

  private ResponseReader() {}

  /** The record is no response that can be worked with. */
  public static final class UnusableException extends Exception {
    private static final long serialVersionUID = 1;

    private final transient Failure failure;

    public UnusableException(String code, String message) {
      super(message);
      this.failure = new Failure(code, message);
    }

    public Failure failure() {
      return failure;
    }
  }

  /** Refuses a value that is too large to be read. */
  public static void checkSize(byte[] value, int largest) throws UnusableException {
    if (value.length > largest) {
      throw new UnusableException(
          "RECORD_TOO_LARGE",
          "the record has " + value.length + " bytes, more than limits.record-bytes, " + largest);
    }
  }

  /**
   * Reads a response.
   *
   * @throws UnusableException if it is none, or a name in it is too long to be repeated in events
   */
  public static Conversation read(LlmResponse response) throws UnusableException {
    Conversation conversation;
    try {
      conversation = LlmResponses.fromAvro(response);
    } catch (IllegalArgumentException e) {
      throw unusable("the record is no response: " + withoutNames(e));
    }
    String id = conversation.responseId();
    if (id.codePointCount(0, id.length()) > Conversation.LONGEST_ID) {
      throw unusable(
          "the responseId has "
              + id.length()
              + " characters, more than "
              + Conversation.LONGEST_ID);
    }
    Optional<String> tooLong = tooLong(conversation);
    if (tooLong.isPresent()) {
      throw unusable(tooLong.get());
    }
    return conversation;
  }

  private static UnusableException unusable(String message) {
    return new UnusableException("INVALID_RESPONSE", message);
  }

  /**
   * Names that every event about the response repeats, that of a part for each of its sources: the
   * events must fit, too.
   */
  private static Optional<String> tooLong(Conversation conversation) {
    Map<String, String> repeated = new LinkedHashMap<>();
    repeated.put("model", conversation.model());
    repeated.put("conversationId", conversation.conversationId());
    repeated.put("subjectId", conversation.subjectId());
    for (int i = 0; i < conversation.messages().size(); i++) {
      List<Part> parts = conversation.messages().get(i).parts();
      for (int j = 0; j < parts.size(); j++) {
        repeated.put("id of messages[" + i + "].parts[" + j + "]", parts.get(j).id());
      }
    }
    return repeated.entrySet().stream()
        .filter(name -> name.getValue().length() > LONGEST_NAME)
        .findFirst()
        .map(
            name ->
                "the "
                    + name.getKey()
                    + " has "
                    + name.getValue().length()
                    + " characters, more than "
                    + LONGEST_NAME);
  }

  /** A message of ours about a conversation names its parts in quotes; names may say too much. */
  private static String withoutNames(IllegalArgumentException e) {
    return String.valueOf(e.getMessage()).replaceAll("(?s)'.*'", "'...'");
  }
}
