package dev.whence.engine.training;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.text.Encoding;
import java.util.ArrayList;
import java.util.List;

/**
 * How much the loss of a document's tokens counts, by where they stand in its text.
 *
 * <pre>
 *   {"text": "Question: ...", "lossWeight": 0.3, "lossWeights": [[0, 31, 0.1], [40, 52, 1]]}
 * </pre>
 *
 * @param elsewhere for tokens in no span
 * @param spans sorted and disjoint; a token belongs to the first that it overlaps
 */
public record LossWeights(float elsewhere, List<Span> spans) {
  /** All tokens count alike. */
  public static final LossWeights EVEN = new LossWeights(1, List.of());

  /**
   * A part of a text, [start, end) in UTF-16 code units.
   *
   * @param weight at least 0, and finite
   */
  public record Span(int start, int end, float weight) {}

  public LossWeights {
    spans = List.copyOf(spans);
    check(elsewhere);
    int last = 0;
    for (Span span : spans) {
      check(span.weight());
      if (span.start() < last || span.end() <= span.start()) {
        throw new IllegalArgumentException(
            "the span of a loss weight from "
                + span.start()
                + " to "
                + span.end()
                + " is empty, or overlaps the one before it");
      }
      last = span.end();
    }
  }

  private static void check(float weight) {
    if (!(weight >= 0) || Float.isInfinite(weight)) {
      throw new IllegalArgumentException(
          "a loss weight is " + weight + "; it must be at least 0, and finite");
    }
  }

  /**
   * Members {@code lossWeight} and {@code lossWeights} of a document, both of which may be missing.
   *
   * @param length of the text, UTF-16 code units
   * @throws IllegalArgumentException that says what is wrong, without text of the document
   */
  public static LossWeights read(JsonNode document, int length) {
    JsonNode elsewhere = document.path("lossWeight");
    JsonNode list = document.path("lossWeights");
    if (elsewhere.isMissingNode() && list.isMissingNode()) {
      return EVEN;
    }
    if (!elsewhere.isMissingNode() && !elsewhere.isNumber()) {
      throw new IllegalArgumentException("\"lossWeight\" is no number");
    }
    if (!list.isMissingNode() && !list.isArray()) {
      throw new IllegalArgumentException("\"lossWeights\" is no list of [start, end, weight]");
    }
    List<Span> spans = new ArrayList<>();
    for (JsonNode span : list) {
      if (!span.isArray()
          || span.size() != 3
          || !isInteger(span.get(0))
          || !isInteger(span.get(1))
          || !span.get(2).isNumber()
          || span.get(1).intValue() > length) {
        throw new IllegalArgumentException(
            "\"lossWeights\" has an entry that is no [start, end, weight] within the text");
      }
      spans.add(new Span(span.get(0).intValue(), span.get(1).intValue(), span.get(2).floatValue()));
    }
    return new LossWeights(elsewhere.isMissingNode() ? 1 : elsewhere.floatValue(), spans);
  }

  private static boolean isInteger(JsonNode number) {
    return number.isIntegralNumber() && number.canConvertToInt();
  }

  /** Weight of each token; of the first, which nothing predicts, 0. */
  public float[] of(Encoding encoding) {
    float[] weights = new float[encoding.length()];
    int at = 0;
    for (int i = 0; i < weights.length; i++) {
      while (at < spans.size() && spans.get(at).end() <= encoding.starts()[i]) {
        at++;
      }
      boolean inside = at < spans.size() && spans.get(at).start() < encoding.ends()[i];
      weights[i] = inside ? spans.get(at).weight() : elsewhere;
    }
    if (weights.length > 0) {
      weights[0] = 0;
    }
    return weights;
  }
}
