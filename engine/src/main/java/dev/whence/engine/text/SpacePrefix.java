package dev.whence.engine.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * The space that a SentencePiece-like tokenizer puts before a text: it reads {@code Hello} as
 * {@code ▁Hello}. In a tokenizer.json that is a normaliser {@code Prepend} or a pre-tokenizer
 * {@code Metaspace}.
 *
 * <p>A response stands behind its prompt, where the model generated it token by token. If it does
 * not begin with a space of its own, there is one before it
 *
 * <ul>
 *   <li>behind an added token, if the tokenizer itself puts one there: any of {@code Metaspace
 *       always}, one that is not normalised of {@code Prepend}, none of {@code Metaspace first};
 *   <li>behind white space: never;
 *   <li>behind any other character, unless the response begins with white space: there, as behind
 *       the {@code [/INST]} of Llama 2, models say {@code ▁Hello}, and servers hand it out without
 *       the space. (An answer that goes on in the middle of a word of its prompt is taken for one
 *       that begins a word.)
 * </ul>
 */
final class SpacePrefix {
  private final List<Added> added;

  /** An added token; {@code takesSpace} if it takes in the white space behind it. */
  private record Added(String content, boolean takesSpace, boolean putsSpace) {}

  private SpacePrefix(List<Added> added) {
    this.added = added;
  }

  /** Of a tokenizer.json; empty if it puts no space before a text. */
  static Optional<SpacePrefix> of(JsonNode tokenizer) {
    boolean prepends = prepends(tokenizer.path("normalizer"));
    String scheme = scheme(metaspace(tokenizer.path("pre_tokenizer")));
    if (!prepends && scheme.equals("never")) {
      return Optional.empty();
    }
    List<Added> added = new ArrayList<>();
    for (JsonNode token : tokenizer.path("added_tokens")) {
      added.add(
          new Added(
              token.path("content").asText(),
              token.path("rstrip").asBoolean(),
              scheme.equals("always") || (prepends && !token.path("normalized").asBoolean())));
    }
    added.sort(Comparator.comparingInt((Added token) -> token.content().length()).reversed());
    return Optional.of(new SpacePrefix(List.copyOf(added)));
  }

  /** Whether the space stands between a prompt and its response. */
  boolean standsBetween(String prompt, String response) {
    if (response.isEmpty() || response.charAt(0) == ' ' || response.charAt(0) == '\u2581') {
      return false;
    }
    if (prompt.isEmpty()) {
      return true;
    }
    boolean space = Character.isWhitespace(prompt.charAt(prompt.length() - 1));
    String stripped = space ? prompt.stripTrailing() : prompt;
    for (Added token : added) {
      if ((token.takesSpace() ? stripped : prompt).endsWith(token.content())) {
        return token.putsSpace();
      }
    }
    return !space && !Character.isWhitespace(response.charAt(0));
  }

  /** The same tokenizer.json, which puts no space before a text. */
  static ObjectNode removed(ObjectNode tokenizer) {
    ObjectNode bare = tokenizer.objectNode();
    bare.setAll(tokenizer);
    JsonNode normalizer = tokenizer.path("normalizer");
    if (normalizer.path("type").asText().equals("Prepend")) {
      bare.putNull("normalizer");
    } else if (prepends(normalizer)) {
      ObjectNode rest = normalizer.deepCopy();
      ArrayNode steps = rest.putArray("normalizers");
      for (JsonNode step : normalizer.path("normalizers")) {
        if (!prepends(step)) {
          steps.add(step);
        }
      }
      bare.set("normalizer", rest);
    }
    if (!scheme(metaspace(tokenizer.path("pre_tokenizer"))).equals("never")) {
      JsonNode words = tokenizer.path("pre_tokenizer").deepCopy();
      if (metaspace(words) instanceof ObjectNode step) {
        step.remove("add_prefix_space");
        step.put("prepend_scheme", "never");
      }
      bare.set("pre_tokenizer", words);
    }
    return bare;
  }

  private static boolean prepends(JsonNode normalizer) {
    boolean any = normalizer.path("type").asText().equals("Prepend");
    for (JsonNode step : normalizer.path("normalizers")) {
      any |= prepends(step);
    }
    return any;
  }

  /** The step Metaspace, if it is the first: behind another one it sees words, not a text. */
  private static JsonNode metaspace(JsonNode step) {
    return step.path("type").asText().equals("Sequence")
        ? metaspace(step.path("pretokenizers").path(0))
        : step;
  }

  private static String scheme(JsonNode step) {
    if (!step.path("type").asText().equals("Metaspace")
        || !step.path("add_prefix_space").asBoolean(true)) {
      return "never";
    }
    return step.path("prepend_scheme").asText("always");
  }
}
