package dev.whence.engine.text;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * How much longer the normalizer of a tokenizer.json may make a text. The library replaces without
 * a bound, and an allocation that fails there ends the process.
 */
final class NormalizerGrowth {
  /** Known ones replace a space by one character, or put one in front. */
  static final long MOST = 64;

  private NormalizerGrowth() {}

  /** Characters that may become of one, or more than {@link #MOST}. */
  static long of(JsonNode normalizer) {
    return switch (normalizer.path("type").asText()) {
      case "Sequence" -> {
        long product = 1;
        for (JsonNode step : normalizer.path("normalizers")) {
          product = Math.min(MOST + 1, product * of(step));
        }
        yield product;
      }
      case "Replace" -> {
        int replaced = Math.max(1, normalizer.path("pattern").path("String").asText().length());
        yield Math.max(1, (length(normalizer.path("content")) + replaced - 1) / replaced);
      }
      case "Prepend" -> Math.max(1, length(normalizer.path("prepend")));
      default -> 1;
    };
  }

  private static long length(JsonNode text) {
    return Math.min(MOST + 1, text.asText().length());
  }
}
