package dev.whence.influence.correction;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.influence.query.DocumentInfluence;
import dev.whence.influence.query.InfluenceResult;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * An answer that somebody objects to, and the documents that drove it.
 *
 * @param responseId of the answer
 * @param model whose gradient was taken
 * @param method {@code multi-stage} or {@code single-stage}, and what else was done
 * @param index digest of the index that was asked
 * @param parts documents with their influences, each once
 */
public record FlaggedAnswer(
    String responseId, String model, String method, String index, List<Part> parts) {
  public FlaggedAnswer {
    parts = List.copyOf(parts);
  }

  /**
   * A document's part in an answer.
   *
   * @param line of the corpus, from 1
   * @param id of the document
   * @param influence nats, positive: made the answer more likely
   * @param exact by a gradient computed anew, not by a sketch
   */
  public record Part(long line, String id, double influence, boolean exact) {}

  /** What a search said. */
  public static FlaggedAnswer of(InfluenceResult result) {
    return new FlaggedAnswer(
        result.responseId(),
        result.model(),
        result.method(),
        result.index(),
        Stream.concat(result.positive().stream(), result.negative().stream())
            .map(FlaggedAnswer::part)
            .toList());
  }

  private static Part part(DocumentInfluence one) {
    return new Part(
        one.document().reference().line(), one.document().id(), one.influence(), one.exact());
  }

  /**
   * A line that {@code whence influence query --json} wrote.
   *
   * @throws IllegalArgumentException if it is none of an answer that has influences
   */
  public static FlaggedAnswer read(JsonNode json) {
    if (!json.path("responseId").isTextual()
        || !json.path("positive").isArray()
        || !json.path("negative").isArray()) {
      throw new IllegalArgumentException(
          "the line is no result of 'whence influence query --json' and no response: it has neither"
              + " \"positive\" and \"negative\" nor \"messages\"");
    }
    if (!json.path("index").isTextual()) {
      throw new IllegalArgumentException(
          "the result does not name its index; ask again with this version of 'whence influence"
              + " query'");
    }
    List<Part> parts = new ArrayList<>();
    for (String sign : List.of("positive", "negative")) {
      for (JsonNode one : json.path(sign)) {
        double influence = one.path("influence").asDouble(Double.NaN);
        if (!one.path("document").isTextual()
            || !one.path("line").isIntegralNumber()
            || !Double.isFinite(influence)) {
          throw new IllegalArgumentException(
              "the result's \"" + sign + "\" has an entry without document, line or influence");
        }
        parts.add(
            new Part(
                one.path("line").asLong(),
                one.path("document").asText(),
                influence,
                one.path("exact").asBoolean()));
      }
    }
    return new FlaggedAnswer(
        json.path("responseId").asText(),
        json.path("model").asText(),
        json.path("method").asText(),
        json.path("index").asText(),
        parts);
  }
}
