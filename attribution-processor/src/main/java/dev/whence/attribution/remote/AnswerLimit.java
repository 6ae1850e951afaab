package dev.whence.attribution.remote;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.io.IOException;

/**
 * How much is read of an answer: what was asked for, several times over. A server is untrusted, and
 * JSON grows as it is read: an empty list takes 3 bytes of the body and some 50 of the heap.
 *
 * @param bytes of the body
 * @param jsonTokens of the JSON in it: names, values, begins and ends of objects and lists
 */
record AnswerLimit(long bytes, long jsonTokens) {
  /** Of the list of what is served: there are servers of hundreds of models. */
  static final AnswerLimit MODELS = new AnswerLimit(1L << 20, 1L << 17);

  /** Whatever stands around the log-probabilities. */
  private static final long BYTES = 64L << 10;

  private static final long JSON_TOKENS = 8L << 10;

  /** vLLM, which says most, has some 100: id, log-probability, rank and text of a token. */
  private static final long BYTES_PER_TOKEN = 1L << 10;

  /** vLLM has 11. */
  private static final long JSON_TOKENS_PER_TOKEN = 24;

  /** However long the prompt is; vLLM reaches it at 300,000 tokens, SGLang at a million. */
  private static final long MOST_BYTES = 32L << 20;

  private static final long MOST_JSON_TOKENS = 1L << 22;

  /** Of the answer to a prompt of so many tokens. */
  static AnswerLimit ofPrompt(int tokens) {
    return new AnswerLimit(
        Math.min(MOST_BYTES, BYTES + BYTES_PER_TOKEN * tokens),
        Math.min(MOST_JSON_TOKENS, JSON_TOKENS + JSON_TOKENS_PER_TOKEN * tokens));
  }

  /**
   * The JSON in a body; missing if that is empty.
   *
   * @throws EngineException if it is more than this
   * @throws IOException if it is none
   */
  JsonNode read(String body) throws IOException {
    JsonFactory bounded =
        JsonFactory.builder()
            .streamReadConstraints(
                StreamReadConstraints.builder().maxTokenCount(jsonTokens).build())
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .build();
    try (JsonParser parser = bounded.createParser(body)) {
      JsonNode read = ServerApi.JSON.readTree(parser);
      return read == null ? MissingNode.getInstance() : read;
    } catch (StreamConstraintsException e) {
      throw exceeded(e);
    }
  }

  /** An answer was more than this: of kind MODEL, as any answer to something else. */
  EngineException exceeded(Throwable cause) {
    return new EngineException(
        Kind.MODEL,
        "the server's answer is larger than one to what was asked: it has more than "
            + (bytes >> 10)
            + " KiB, or more than "
            + jsonTokens
            + " names and values",
        cause);
  }
}
