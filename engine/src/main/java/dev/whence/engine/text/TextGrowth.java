package dev.whence.engine.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.util.ArrayList;
import java.util.List;

/**
 * How much longer a part of a tokenizer.json may make a text: its normalizer, its pre-tokenizer or
 * its decoder. The library replaces without a bound, and an allocation that fails there ends the
 * process.
 */
final class TextGrowth {
  /** Known ones replace a space by one character, or put one in front. */
  static final long MOST = 64;

  /** Where steps stand in a step, by what they are. */
  private static final List<String> SEQUENCES = List.of("normalizers", "pretokenizers", "decoders");

  /** A character of a text has at most three bytes for each UTF-16 code unit. */
  private static final int BYTES = 3;

  private TextGrowth() {}

  /** The steps that a step is made of. */
  static List<JsonNode> steps(JsonNode step) {
    List<JsonNode> steps = new ArrayList<>();
    SEQUENCES.forEach(name -> step.path(name).forEach(steps::add));
    return steps;
  }

  /**
   * Refuses a tokenizer of which one part may make a text more than {@link #MOST} times as long.
   *
   * @throws EngineException of kind MODEL
   */
  static void check(JsonNode tokenizer, String origin) {
    for (String part : List.of("normalizer", "pre_tokenizer", "decoder")) {
      if (of(tokenizer, part, origin) > MOST) {
        throw new EngineException(
            Kind.MODEL,
            origin
                + ": its "
                + part
                + " may make a text more than "
                + MOST
                + " times as long, which no known one does");
      }
    }
  }

  /** Characters that a part may make of one, or more than {@link #MOST}. */
  static long of(JsonNode tokenizer, String part, String origin) {
    return of(tokenizer.path(part), origin + ", " + part);
  }

  private static long of(JsonNode step, String place) {
    long product = 1;
    for (JsonNode inner : steps(step)) {
      product = Math.min(MOST + 1, product * of(inner, place));
    }
    long own =
        switch (step.path("type").asText()) {
          case "Replace" -> replaced(step, place);
          case "Prepend" -> length(step.path("prepend"));
          case "Precompiled" -> Charsmap.longest(step.path("precompiled_charsmap"), place);
          case "ByteLevel" -> BYTES;
          // puts the character before each part, which may be one; parts words by an empty suffix
          case "Metaspace", "BPEDecoder", "CTC" -> 2;
          // puts a space on each side of a Chinese character
          case "BertNormalizer" -> 3;
          default -> 1;
        };
    return Math.min(MOST + 1, product * Math.max(1, own));
  }

  private static long replaced(JsonNode step, String place) {
    long content = length(step.path("content"));
    JsonNode pattern = step.path("pattern");
    if (pattern.path("Regex").isTextual()) {
      boolean nothing =
          Backtracking.read(pattern.path("Regex").textValue(), place).matchesNothing();
      return nothing ? content + 1 : content;
    }
    int replaced = pattern.path("String").asText().length();
    return replaced == 0 ? content + 1 : (content + replaced - 1) / replaced;
  }

  private static long length(JsonNode text) {
    return Math.min(MOST + 1, text.asText().length());
  }
}
