package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The added tokens of a Hugging Face directory, as transformers' PreTrainedTokenizerFast gathers
 * them: those of tokenizer.json, over them those of {@code added_tokens_decoder} of
 * tokenizer_config.json, and at last the special tokens that files name. One that neither list has
 * keeps its id in the vocabulary, or gets the next free one.
 *
 * <p>Ours: transformers gives the next free id even where {@code added_tokens_decoder} says another
 * one, and where the model has no embedding for it. Here the former is refused by name, and a token
 * without an embedding is left out.
 */
final class AddedTokens {
  private final ObjectNode tokenizer;
  private final String origin;
  private final int embeddings;
  private final Map<String, Integer> vocabulary = new HashMap<>();
  private final Map<String, ObjectNode> tokens = new LinkedHashMap<>();
  private int next;

  private AddedTokens(ObjectNode tokenizer, int embeddings, String origin) {
    this.tokenizer = tokenizer;
    this.embeddings = embeddings;
    this.origin = origin;
    JsonNode vocab = tokenizer.path("model").path("vocab");
    if (vocab.isObject()) {
      vocab.properties().forEach(token -> vocabulary.put(token.getKey(), token.getValue().asInt()));
    } else {
      for (JsonNode token : vocab) {
        vocabulary.putIfAbsent(token.path(0).asText(), vocabulary.size());
      }
    }
    next = vocab.size();
    for (JsonNode token : tokenizer.path("added_tokens")) {
      if (token.deepCopy() instanceof ObjectNode own) {
        tokens.put(token.path("content").asText(), own);
        next = Math.max(next, token.path("id").asInt() + 1);
      }
    }
  }

  /**
   * A tokenizer.json with all added tokens.
   *
   * @param tokenizer tokenizer.json; not modified
   * @param tokenizerConfig tokenizer_config.json, or missing
   * @param named special tokens by their text, new ones in the order of their ids, as a string or
   *     an object with flags
   * @param embeddings that the model has
   * @param origin of tokenizer.json, for messages
   * @throws EngineException of kind MODEL if the two files give a token different ids
   */
  static JsonNode merged(
      JsonNode tokenizer,
      JsonNode tokenizerConfig,
      Map<String, JsonNode> named,
      int embeddings,
      String origin) {
    JsonNode decoder = tokenizerConfig.path("added_tokens_decoder");
    if (!(tokenizer instanceof ObjectNode object) || (decoder.isEmpty() && named.isEmpty())) {
      return tokenizer;
    }
    AddedTokens added = new AddedTokens(object, embeddings, origin);
    Map<Integer, JsonNode> byId = new TreeMap<>();
    decoder.properties().forEach(token -> byId.put(added.key(token.getKey()), token.getValue()));
    byId.forEach((id, token) -> added.put(token.path("content").asText(), token, id));
    named.forEach(added::makeSpecial);
    return added.written();
  }

  private int key(String id) {
    try {
      return Integer.parseUnsignedInt(id);
    } catch (NumberFormatException e) {
      throw refuse("added_tokens_decoder has the key '" + SafetensorsFile.printable(id) + "'", e);
    }
  }

  private void put(String content, JsonNode flags, int said) {
    if (content.isEmpty()) {
      throw refuse("token " + said + " of added_tokens_decoder has no content", null);
    }
    int id = idOf(content);
    if (id < 0 && said >= embeddings) {
      return;
    }
    if (id < 0) {
      id = next++;
    }
    if (id != said) {
      throw refuse(
          "added_tokens_decoder gives the token '"
              + SafetensorsFile.printable(content)
              + "' the id "
              + said
              + ", tokenizer.json "
              + id,
          null);
    }
    tokens.put(content, token(id, content, flags, flags.path("special").asBoolean()));
  }

  private void makeSpecial(String content, JsonNode flags) {
    ObjectNode known = tokens.get(content);
    if (known != null) {
      known.put("special", true);
      return;
    }
    int id = idOf(content);
    if (id < 0 && next >= embeddings) {
      return;
    }
    tokens.put(content, token(id < 0 ? next++ : id, content, flags, true));
  }

  private int idOf(String content) {
    ObjectNode known = tokens.get(content);
    return known == null ? vocabulary.getOrDefault(content, -1) : known.path("id").asInt();
  }

  private ObjectNode token(int id, String content, JsonNode flags, boolean special) {
    ObjectNode token = tokenizer.objectNode();
    token.put("id", id).put("content", content);
    for (String flag : new String[] {"single_word", "lstrip", "rstrip"}) {
      token.put(flag, flags.path(flag).asBoolean());
    }
    return token
        .put("normalized", flags.path("normalized").asBoolean(!special))
        .put("special", special);
  }

  /** By id, as the library numbers those that the vocabulary does not have. */
  private JsonNode written() {
    ObjectNode written = tokenizer.objectNode();
    written.setAll(tokenizer);
    ArrayNode list = written.putArray("added_tokens");
    tokens.values().stream()
        .sorted(Comparator.comparingInt(token -> token.path("id").asInt()))
        .forEach(list::add);
    return written;
  }

  private EngineException refuse(String problem, @Nullable Throwable cause) {
    String message = origin + " and tokenizer_config.json contradict each other: " + problem;
    return cause == null
        ? new EngineException(Kind.MODEL, message)
        : new EngineException(Kind.MODEL, message, cause);
  }
}
