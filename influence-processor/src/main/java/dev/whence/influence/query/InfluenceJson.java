package dev.whence.influence.query;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/** A result as one line of JSON. Numbers are never NaN. */
public final class InfluenceJson {
  private InfluenceJson() {}

  /**
   * A result.
   *
   * @param options that it was asked with
   */
  public static String write(InfluenceResult result, QueryOptions options) {
    ObjectNode json = JsonMapper.builder().build().createObjectNode();
    json.put("responseId", result.responseId())
        .put("status", "SCORED")
        .put("model", result.model())
        .put("surrogate", result.surrogate())
        .put("method", result.method())
        .put("index", result.index())
        .put("measure", options.measure().label())
        .put("measureOfDocuments", result.ofDocuments().label())
        .put("lambda", options.lambda().text());
    if (result.method().startsWith("multi-stage")) {
      json.put("alpha", options.alpha().text());
    }
    if (!result.residuals().isEmpty()) {
      ArrayNode residuals = json.putArray("residuals");
      result.residuals().forEach(residuals::add);
    }
    json.put("logLikelihood", result.logLikelihood())
        .put("responseTokens", result.responseTokens())
        .put("documents", result.documents())
        .put("preselected", result.preselected())
        .put("reranked", result.reranked());
    write(json.putArray("positive"), result.positive(), options);
    write(json.putArray("negative"), result.negative(), options);
    json.putObject("cost").put("seconds", result.seconds());
    return json.toString();
  }

  /** A response that has no result. */
  public static String failed(String responseId, String status, String reason) {
    return JsonMapper.builder()
        .build()
        .createObjectNode()
        .put("responseId", responseId)
        .put("status", status)
        .put("reason", reason)
        .toString();
  }

  private static void write(
      ArrayNode array, List<DocumentInfluence> documents, QueryOptions options) {
    for (DocumentInfluence one : documents) {
      ObjectNode json = array.addObject();
      json.put("document", one.document().id())
          .put("line", one.document().reference().line())
          .put("influence", one.influence())
          .put("exact", one.exact())
          .put("estimate", one.estimate())
          .put("standardError", one.standardError())
          .put("selfInfluence", one.selfInfluence())
          .put("excerpt", one.document().excerpt());
      one.breakdown()
          .ifPresent(
              breakdown -> {
                if (options.byLayer()) {
                  ObjectNode layers = json.putObject("byLayer");
                  breakdown.byLayer().forEach(layers::put);
                }
                if (options.byToken()) {
                  ArrayNode tokens = json.putArray("byToken");
                  for (double part : breakdown.byToken()) {
                    tokens.add(part);
                  }
                }
              });
    }
  }
}
