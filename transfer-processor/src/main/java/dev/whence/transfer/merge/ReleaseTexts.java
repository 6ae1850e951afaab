package dev.whence.transfer.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.TokenizerSettings;
import dev.whence.engine.weights.UntrustedJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * The texts of a transferred model. Config and tokenizer are the target's: the fine-tuned model's
 * rope scaling, sizes and merges belong to other weights. What ends an answer (end-of-sequence ids,
 * generation_config.json) is the fine-tuned model's, or a chat model would never stop; chat
 * templates and special tokens by policy. Ids are translated by token string.
 */
final class ReleaseTexts {
  /** Taken from the target as they are, where it has them. */
  private static final List<String> COPIED =
      List.of("vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "added_tokens.json");

  /** Of a model: the second is for conversations with tools. */
  private static final List<String> TEMPLATES =
      List.of("chat_template.jinja", "additional_chat_templates/tool_use.jinja");

  /**
   * All that is read of a directory besides weights: part of what names a plan. A name may be of a
   * file in a folder.
   */
  static final List<String> READ =
      List.of(
          "config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "generation_config.json",
          "chat_template.jinja",
          "additional_chat_templates/tool_use.jinja",
          "vocab.json",
          "merges.txt",
          "tokenizer.model",
          "spiece.model",
          "added_tokens.json");

  private static final List<String> IDS =
      List.of(
          "eos_token_id",
          "bos_token_id",
          "pad_token_id",
          "forced_eos_token_id",
          "decoder_start_token_id");

  private static final List<String> SPECIAL = List.of("eos_token", "pad_token");

  private static final String TOKENIZER_CONFIG = "tokenizer_config.json";
  private static final String SPECIAL_TOKENS = "special_tokens_map.json";
  private static final String TYPE = "__type";

  private static final String VOCAB_SIZE = "vocab_size";

  /** Where configs of models that see or hear have that of their language model. */
  private static final List<String> NESTED =
      List.of("text_config", "llm_config", "language_config", "lang_config");

  private ReleaseTexts() {}

  /**
   * Makes the texts.
   *
   * @param alignment of the vocabularies, if they differ
   * @param problems takes what makes it impossible
   * @return bytes by file name
   */
  static Map<String, byte[]> of(
      SourceModel target,
      SourceModel fineTuned,
      Policies policies,
      Optional<VocabularyAlignment> alignment,
      List<String> problems) {
    Map<String, byte[]> texts = new TreeMap<>();
    for (String name : COPIED) {
      target.text(name).ifPresent(bytes -> texts.put(name, bytes));
    }
    texts.put("config.json", config(target, fineTuned, alignment, problems));
    JsonNode generation = fineTuned.json("generation_config.json");
    if (generation instanceof ObjectNode object) {
      for (String key : IDS) {
        translate(object, key, alignment, fineTuned + ", generation_config.json", problems);
      }
      texts.put("generation_config.json", bytes(object));
    }
    target
        .text("tokenizer.json")
        .ifPresent(
            bytes ->
                texts.put(
                    "tokenizer.json",
                    alignment
                        .filter(aligned -> !aligned.appended().isEmpty())
                        .map(aligned -> withAppended(target, aligned))
                        .orElse(bytes)));
    boolean theirs = policies.template() == Policies.Template.FINE_TUNED;
    templates(target, fineTuned, theirs, alignment, texts, problems);
    return Collections.unmodifiableMap(texts);
  }

  private static byte[] config(
      SourceModel target,
      SourceModel fineTuned,
      Optional<VocabularyAlignment> alignment,
      List<String> problems) {
    Optional<byte[]> original = target.text("config.json");
    if (original.isEmpty() || !(target.json("config.json") instanceof ObjectNode config)) {
      problems.add(target + " has no config.json");
      return new byte[0];
    }
    boolean changed = false;
    JsonNode ends = fineTuned.json("config.json").path("eos_token_id");
    if (!ends.isMissingNode() && !ends.isNull()) {
      JsonNode before = config.path("eos_token_id");
      config.set("eos_token_id", ends);
      translate(config, "eos_token_id", alignment, fineTuned + ", config.json", problems);
      changed = !config.path("eos_token_id").equals(before);
    }
    if (alignment.isPresent()) {
      changed |= resize(config, alignment.get(), target, problems);
    }
    return changed ? bytes(config) : original.get();
  }

  /** Where the number of rows stands, it becomes the result's; returns whether it was another. */
  private static boolean resize(
      ObjectNode config, VocabularyAlignment alignment, SourceModel target, List<String> problems) {
    List<ObjectNode> sized =
        Stream.concat(Stream.of(config), NESTED.stream().map(config::path))
            .filter(node -> node.hasNonNull(VOCAB_SIZE))
            .map(ObjectNode.class::cast)
            .toList();
    if (sized.isEmpty() && alignment.rows() > alignment.targetRows()) {
      problems.add(
          target
              + ", config.json has no "
              + VOCAB_SIZE
              + ", neither at its top nor in one of "
              + NESTED
              + ": that the embeddings get "
              + alignment.rows()
              + " rows can not be said; drop the fine-tuned model's added tokens");
    }
    boolean changed = false;
    for (ObjectNode node : sized) {
      changed |= node.path(VOCAB_SIZE).asInt() != alignment.rows();
      node.put(VOCAB_SIZE, alignment.rows());
    }
    return changed;
  }

  private static void translate(
      ObjectNode object,
      String key,
      Optional<VocabularyAlignment> alignment,
      String origin,
      List<String> problems) {
    if (alignment.isEmpty()) {
      return;
    }
    JsonNode value = object.path(key);
    if (value.isInt()) {
      translated(value, alignment.get(), origin + ", " + key, problems)
          .ifPresent(id -> object.put(key, id));
    } else if (value.isArray()) {
      ArrayNode ids = object.putArray(key);
      value.forEach(
          id -> translated(id, alignment.get(), origin + ", " + key, problems).ifPresent(ids::add));
    }
  }

  private static Optional<Integer> translated(
      JsonNode id, VocabularyAlignment alignment, String origin, List<String> problems) {
    Optional<Integer> row = alignment.resultRow(id.asInt(-1));
    if (row.isEmpty()) {
      problems.add(
          origin
              + ": token id "
              + id.asInt(-1)
              + " is no token of the result; append the fine-tuned model's added tokens");
    }
    return row;
  }

  private static byte[] withAppended(SourceModel target, VocabularyAlignment alignment) {
    ObjectNode tokenizer = (ObjectNode) target.json("tokenizer.json");
    ArrayNode added =
        tokenizer.path("added_tokens") instanceof ArrayNode there
            ? there
            : tokenizer.putArray("added_tokens");
    alignment
        .appended()
        .forEach(
            (token, row) -> {
              ObjectNode entry =
                  Optional.ofNullable(alignment.fineTuned().added().get(token))
                      .map(ObjectNode::deepCopy)
                      .orElseGet(() -> UntrustedJson.mapper().createObjectNode());
              entry.put("id", row);
              entry.put("content", token);
              for (String flag :
                  List.of("single_word", "lstrip", "rstrip", "normalized", "special")) {
                if (!entry.has(flag)) {
                  entry.put(flag, false);
                }
              }
              added.add(entry);
            });
    return bytes(tokenizer);
  }

  private static void templates(
      SourceModel target,
      SourceModel fineTuned,
      boolean theirs,
      Optional<VocabularyAlignment> alignment,
      Map<String, byte[]> texts,
      List<String> problems) {
    JsonNode theirConfig = fineTuned.json(TOKENIZER_CONFIG);
    boolean fileOfTheirs = fineTuned.has("chat_template.jinja");
    boolean theyHaveOne = fileOfTheirs || theirConfig.hasNonNull("chat_template");
    SourceModel source = theirs && theyHaveOne ? fineTuned : target;
    texts.putAll(source.texts(TEMPLATES));
    Map<String, JsonNode> special =
        theirs ? specialTokens(fineTuned, alignment, problems) : Map.of();
    for (String name : List.of(TOKENIZER_CONFIG, SPECIAL_TOKENS)) {
      Optional<byte[]> original = target.text(name);
      boolean isConfig = name.equals(TOKENIZER_CONFIG);
      if (!theirs || (original.isEmpty() && !isConfig)) {
        original.ifPresent(bytes -> texts.put(name, bytes));
        continue;
      }
      ObjectNode text =
          target.json(name) instanceof ObjectNode there
              ? there
              : UntrustedJson.mapper().createObjectNode();
      ObjectNode before = text.deepCopy();
      special.forEach((key, token) -> text.set(key, ofFile(isConfig, token)));
      if (isConfig && theyHaveOne) {
        if (theirConfig.hasNonNull("chat_template")) {
          text.set("chat_template", theirConfig.get("chat_template"));
        } else {
          text.remove("chat_template");
        }
      }
      if (original.isPresent() || !text.isEmpty()) {
        texts.put(name, original.isPresent() && text.equals(before) ? original.get() : bytes(text));
      }
    }
  }

  /**
   * The special tokens that count in the fine-tuned model, by name. Which of its two files is
   * believed depends on what else they say, and in the target that may be the other one: so they go
   * into both.
   */
  private static Map<String, JsonNode> specialTokens(
      SourceModel fineTuned, Optional<VocabularyAlignment> alignment, List<String> problems) {
    JsonNode config = fineTuned.json(TOKENIZER_CONFIG);
    JsonNode map = fineTuned.json(SPECIAL_TOKENS);
    Map<String, JsonNode> special = new TreeMap<>();
    for (String key : SPECIAL) {
      Optional<JsonNode> token = TokenizerSettings.specialToken(key, config, map);
      token.ifPresent(found -> special.put(key, found));
      token
          .flatMap(found -> unknown(found, alignment))
          .ifPresent(
              content ->
                  problems.add(
                      fineTuned
                          + ", "
                          + (config.path(key).equals(token.get())
                              ? TOKENIZER_CONFIG
                              : SPECIAL_TOKENS)
                          + ", "
                          + key
                          + ": '"
                          + SafetensorsFile.printable(content)
                          + "' is no token of the result; choose template target"
                          + (alignment.filter(a -> a.couldAppend(content)).isPresent()
                              ? ", or append the fine-tuned model's added tokens"
                              : "")));
    }
    return special;
  }

  /** An object is said to be a token in tokenizer_config.json, and must not be in the other. */
  private static JsonNode ofFile(boolean isConfig, JsonNode token) {
    if (!(token instanceof ObjectNode object) || object.has(TYPE) == isConfig) {
      return token;
    }
    ObjectNode other = object.deepCopy();
    if (isConfig) {
      other.put(TYPE, "AddedToken");
    } else {
      other.remove(TYPE);
    }
    return other;
  }

  /** The content of a special token, a text or an object, that the result does not have. */
  private static Optional<String> unknown(JsonNode token, Optional<VocabularyAlignment> alignment) {
    String content = token.isObject() ? token.path("content").asText() : token.asText();
    return alignment.filter(aligned -> !aligned.isOfResult(content)).map(aligned -> content);
  }

  /** Where a text of a directory is written; the folder that it lies in is made. */
  static Path place(Path directory, String name) throws IOException {
    Path place = directory.resolve(name);
    Files.createDirectories(Objects.requireNonNull(place.getParent()));
    return place;
  }

  static byte[] bytes(JsonNode json) {
    return (json.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
  }
}
