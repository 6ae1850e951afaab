package dev.whence.engine.text;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;

/**
 * How much text one token of a tokenizer.json can stand for. A text that is longer than so many
 * tokens can not have fewer, so it need not be tokenised to be refused.
 *
 * <p>A bound is only given where every character of a text must come out in some token: there is a
 * token for each byte, no step drops characters, and no added token takes in the white space around
 * it. A token of a byte-level vocabulary has one letter for each byte, and no byte stands for more
 * than one UTF-16 code unit, so the length of its written form is a bound, too.
 */
final class LongestToken {
  /** There is no bound. */
  static final int UNKNOWN = Integer.MAX_VALUE;

  /**
   * NFC makes at most four code units one (U+1F82), each of which may have been written as a
   * singleton of two (U+2F800).
   */
  private static final long COMPOSED = 8;

  private static final int BYTES = 256;

  private LongestToken() {}

  /** UTF-16 code units that one token stands for at most, or {@link #UNKNOWN}. */
  static int of(JsonNode tokenizer) {
    long shrinks = shrinks(tokenizer.path("normalizer"));
    if (shrinks == UNKNOWN || !keepsAll(tokenizer.path("pre_tokenizer"))) {
      return UNKNOWN;
    }
    JsonNode model = tokenizer.path("model");
    Set<String> vocabulary = new HashSet<>();
    if (model.path("vocab").isObject()) {
      model.path("vocab").fieldNames().forEachRemaining(vocabulary::add);
    } else {
      model.path("vocab").forEach(entry -> vocabulary.add(entry.path(0).asText()));
    }
    boolean bytes =
        switch (model.path("type").asText()) {
          case "BPE" ->
              hasByteFallback(model, vocabulary)
                  || (isByteLevel(tokenizer.path("pre_tokenizer")) && hasByteLevel(vocabulary));
          case "Unigram" -> hasByteFallback(model, vocabulary);
          default -> false;
        };
    if (!bytes) {
      return UNKNOWN;
    }
    long longest = vocabulary.stream().mapToInt(String::length).max().orElse(0);
    for (JsonNode added : tokenizer.path("added_tokens")) {
      if (added.path("lstrip").asBoolean() || added.path("rstrip").asBoolean()) {
        return UNKNOWN;
      }
      longest = Math.max(longest, added.path("content").asText().length());
    }
    return (int) Math.min(UNKNOWN, longest * shrinks);
  }

  /** Code units of a text that may become one; UNKNOWN if there is no bound. */
  private static long shrinks(JsonNode normalizer) {
    if (normalizer.isMissingNode() || normalizer.isNull()) {
      return 1;
    }
    return switch (normalizer.path("type").asText()) {
      case "Prepend" -> 1;
      case "NFC" -> COMPOSED;
      case "Replace" -> {
        JsonNode replaced = normalizer.path("pattern").path("String");
        int by = normalizer.path("content").asText().length();
        yield replaced.isTextual() && replaced.textValue().length() <= by ? 1 : UNKNOWN;
      }
      case "Sequence" -> {
        long product = 1;
        for (JsonNode step : normalizer.path("normalizers")) {
          product = Math.min(UNKNOWN, product * shrinks(step));
        }
        yield product;
      }
      default -> UNKNOWN;
    };
  }

  private static boolean keepsAll(JsonNode step) {
    if (step.isMissingNode() || step.isNull()) {
      return true;
    }
    return switch (step.path("type").asText()) {
      case "ByteLevel", "Metaspace", "Digits" -> true;
      case "Split", "Punctuation" -> !step.path("behavior").asText("Removed").equals("Removed");
      case "Sequence" -> {
        boolean all = true;
        for (JsonNode inner : step.path("pretokenizers")) {
          all &= keepsAll(inner);
        }
        yield all;
      }
      default -> false;
    };
  }

  private static boolean isByteLevel(JsonNode step) {
    if (step.path("type").asText().equals("Sequence")) {
      for (JsonNode inner : step.path("pretokenizers")) {
        if (isByteLevel(inner)) {
          return true;
        }
      }
      return false;
    }
    return step.path("type").asText().equals("ByteLevel");
  }

  private static boolean hasByteFallback(JsonNode model, Set<String> vocabulary) {
    if (!model.path("byte_fallback").asBoolean()) {
      return false;
    }
    for (int b = 0; b < BYTES; b++) {
      if (!vocabulary.contains(String.format(Locale.ROOT, "<0x%02X>", b))) {
        return false;
      }
    }
    return true;
  }

  /**
   * GPT-2's letters for bytes: printable Latin-1 as itself, the others from U+0100 on, in order.
   */
  private static boolean hasByteLevel(Set<String> vocabulary) {
    int next = BYTES;
    for (int b = 0; b < BYTES; b++) {
      boolean itself = (b > 32 && b < 127) || (b > 160 && b != 173);
      if (!vocabulary.contains(Character.toString(itself ? b : next++))) {
        return false;
      }
    }
    return true;
  }
}
