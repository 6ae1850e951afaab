package dev.whence.transfer.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.transfer.TransferException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Which token string has which row of the embeddings, as tokenizer.json says it: its model's
 * vocabulary and the tokens added to it.
 *
 * @param ids row by token string
 * @param tokens token string by row
 * @param added entries of {@code added_tokens}, by token string in file order
 */
record Vocabulary(
    Map<String, Integer> ids, Map<Integer, String> tokens, Map<String, ObjectNode> added) {
  private static final int MOST = 10_000_000;

  /**
   * Reads a tokenizer.json.
   *
   * @param origin names it in errors
   */
  static Vocabulary read(JsonNode tokenizer, String origin) {
    Map<String, Integer> ids = new TreeMap<>();
    Map<Integer, String> tokens = new TreeMap<>();
    Map<String, ObjectNode> added = new LinkedHashMap<>();
    JsonNode model = tokenizer.path("model").path("vocab");
    if (model.isObject()) {
      model
          .properties()
          .forEach(entry -> put(ids, tokens, entry.getKey(), entry.getValue(), origin));
    } else if (model.isArray()) { // Unigram: pairs of token and score, the row is the position
      int row = 0;
      for (JsonNode pair : model) {
        put(ids, tokens, pair.path(0).asText(), IntNode.valueOf(row++), origin);
      }
    } else {
      throw new TransferException(origin + " has no vocabulary at model.vocab");
    }
    for (JsonNode token : tokenizer.path("added_tokens")) {
      if (!(token instanceof ObjectNode entry) || !token.path("content").isTextual()) {
        throw new TransferException(origin + " has an entry of added_tokens without a content");
      }
      String content = token.path("content").textValue();
      put(ids, tokens, content, token.path("id"), origin);
      added.put(content, entry);
    }
    return new Vocabulary(
        Collections.unmodifiableMap(ids),
        Collections.unmodifiableMap(tokens),
        Collections.unmodifiableMap(added));
  }

  private static void put(
      Map<String, Integer> ids,
      Map<Integer, String> tokens,
      String token,
      JsonNode id,
      String origin) {
    if (!id.isInt() || id.intValue() < 0 || id.intValue() >= MOST) {
      throw new TransferException(origin + ": a token's id is not a number in [0, " + MOST + ")");
    }
    Integer other = ids.put(token, id.intValue());
    String same = tokens.put(id.intValue(), token);
    if ((other != null && other != id.intValue()) || (same != null && !same.equals(token))) {
      throw new TransferException(
          origin + ": id " + id.intValue() + " and another belong to the same token, or two to it");
    }
  }

  Optional<Integer> row(String token) {
    return Optional.ofNullable(ids.get(token));
  }

  Optional<String> token(int row) {
    return Optional.ofNullable(tokens.get(row));
  }

  /** One more than the highest row. */
  int rows() {
    return tokens.keySet().stream().mapToInt(Integer::intValue).max().orElse(-1) + 1;
  }
}
