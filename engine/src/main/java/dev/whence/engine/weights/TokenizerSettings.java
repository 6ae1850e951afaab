package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.GgufTokenizer;
import dev.whence.engine.text.SpecialTokens;
import dev.whence.engine.text.TemplateSources;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** What model files say about special tokens and the chat template, in both file formats. */
public final class TokenizerSettings {
  /** Names that templates may use; transformers passes exactly those that are set. */
  private static final List<String> NAMES =
      List.of(
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token");

  /** Values of tokenizer.ggml.pre for which llama.cpp puts a begin token before a text. */
  private static final Set<String> BEGINNING = Set.of("llama-bpe", "llama3", "llama-v3");

  private static final String ADDITIONAL = "additional_chat_templates";

  /** What else is read of tokenizer_config.json, beside chat templates. */
  private static final List<String> OTHERS =
      List.of(
          "additional_special_tokens", "added_tokens_decoder", "add_bos_token", "tokenizer_class");

  private TokenizerSettings() {}

  /**
   * All that a Hugging Face directory says about special tokens and the end of an answer beside
   * tokenizer.json, as one text that names it. Of a model that the engine can not run, too.
   *
   * @param config config.json
   * @param generation generation_config.json, or a missing node
   */
  static String settings(
      JsonNode config, JsonNode generation, JsonNode tokenizerConfig, JsonNode specialTokensMap) {
    ObjectNode named = JsonNodeFactory.instance.objectNode();
    ArrayNode files = named.putArray("files");
    for (JsonNode source : sources(tokenizerConfig, specialTokensMap)) {
      ObjectNode read = files.addObject();
      for (String key : Stream.concat(NAMES.stream(), OTHERS.stream()).toList()) {
        if (source.hasNonNull(key)) {
          read.set(key, source.get(key));
        }
      }
    }
    Set<JsonNode> ends = new LinkedHashSet<>();
    for (JsonNode file : List.of(config, generation)) {
      JsonNode ids = file.path("eos_token_id");
      if (ids.isArray()) {
        ids.forEach(ends::add);
      } else if (file.hasNonNull("eos_token_id")) {
        ends.add(ids);
      }
    }
    named.putArray("ends").addAll(ends);
    return named.toString();
  }

  /**
   * Of a Hugging Face directory, as transformers reads it; missing nodes stand for files that are
   * not there. special_tokens_map.json is of older models: it counts, and then first, only beside a
   * tokenizer_config.json without added_tokens_decoder.
   *
   * @param modelType of config.json
   */
  static SpecialTokens specialTokens(
      JsonNode tokenizerConfig,
      JsonNode specialTokensMap,
      JsonNode tokenizerJson,
      String modelType) {
    Map<String, String> named = new TreeMap<>();
    for (String name : NAMES) {
      specialToken(name, tokenizerConfig, specialTokensMap)
          .ifPresent(token -> named.put(name, content(token)));
    }
    String begin = named.getOrDefault("bos_token", "");
    boolean adds =
        byClass(tokenizerConfig, modelType)
            .orElseGet(() -> addsBegin(tokenizerJson.path("post_processor"), begin));
    return new SpecialTokens(named, adds && !begin.isEmpty());
  }

  /**
   * What counts as one of a directory's special tokens, where both files may name it: a string, or
   * an object with flags.
   *
   * @param name as in the files: {@code eos_token}
   */
  public static Optional<JsonNode> specialToken(
      String name, JsonNode tokenizerConfig, JsonNode specialTokensMap) {
    Optional<JsonNode> counts = Optional.empty();
    for (JsonNode source : sources(tokenizerConfig, specialTokensMap)) {
      JsonNode token = source.path(name);
      if (!content(token).isEmpty()) {
        counts = Optional.of(token);
      }
    }
    return counts;
  }

  private static List<JsonNode> sources(JsonNode tokenizerConfig, JsonNode specialTokensMap) {
    return tokenizerConfig.has("added_tokens_decoder")
        ? List.of(tokenizerConfig)
        : List.of(tokenizerConfig, specialTokensMap);
  }

  /**
   * All special tokens that a directory names, by their text: a string, or an object with flags. In
   * transformers' order, in which new ones get their ids.
   *
   * @param special what {@link #specialTokens} gave
   */
  static Map<String, JsonNode> named(
      SpecialTokens special, JsonNode tokenizerConfig, JsonNode specialTokensMap) {
    Map<String, JsonNode> named = new LinkedHashMap<>();
    List<JsonNode> sources = sources(tokenizerConfig, specialTokensMap);
    for (String name : NAMES) {
      for (JsonNode source : sources) {
        JsonNode token = source.path(name);
        if (content(token).equals(special.named().get(name))) {
          named.put(content(token), token);
        }
      }
    }
    for (JsonNode source : sources) {
      for (JsonNode token : source.path("additional_special_tokens")) {
        if (!content(token).isEmpty()) {
          named.put(content(token), token);
        }
      }
    }
    return named;
  }

  private static String content(JsonNode token) {
    return token.isNull()
        ? ""
        : token.isObject() ? token.path("content").asText("") : token.asText("");
  }

  /**
   * Some of transformers' classes write the post-processor anew, by add_bos_token or their own
   * default; all others take that of tokenizer.json, whatever add_bos_token says.
   */
  private static Optional<Boolean> byClass(JsonNode tokenizerConfig, String modelType) {
    String named = tokenizerConfig.path("tokenizer_class").asText("");
    if (named.isEmpty()) {
      named =
          switch (modelType) {
            case "llama", "mistral" -> "Llama";
            case "gpt_neox" -> "GPTNeoX";
            default -> "";
          };
    }
    JsonNode explicit = tokenizerConfig.path("add_bos_token");
    return switch (named.replaceAll("Tokenizer(Fast)?$", "")) {
      case "Llama", "CodeLlama" -> Optional.of(!explicit.isBoolean() || explicit.booleanValue());
      case "GPTNeoX" -> Optional.of(explicit.isBoolean() && explicit.booleanValue());
      default -> Optional.empty();
    };
  }

  private static boolean addsBegin(JsonNode postProcessor, String begin) {
    if (postProcessor.path("type").asText().equals("Sequence")) {
      for (JsonNode step : postProcessor.path("processors")) {
        if (addsBegin(step, begin)) {
          return true;
        }
      }
      return false;
    }
    return postProcessor.path("type").asText().equals("TemplateProcessing")
        && postProcessor
            .path("single")
            .path(0)
            .path("SpecialToken")
            .path("id")
            .asText("")
            .equals(begin)
        && !begin.isEmpty();
  }

  static SpecialTokens specialTokens(GgufMetadata metadata) {
    List<String> tokens = metadata.texts("tokenizer.ggml.tokens").orElse(List.of());
    Map<String, String> named = new TreeMap<>();
    Map<String, String> keys =
        Map.of(
            "bos_token", "bos_token_id",
            "eos_token", "eos_token_id",
            "unk_token", "unknown_token_id",
            "sep_token", "seperator_token_id",
            "pad_token", "padding_token_id");
    keys.forEach(
        (name, key) -> {
          String full = "tokenizer.ggml." + key;
          if (metadata.has(full)) {
            named.put(name, tokens.get(metadata.size(full, 0, tokens.size() - 1L)));
          }
        });
    // llama.cpp's defaults where the file does not say, for chats and for bare texts.
    boolean byDefault =
        metadata.text("tokenizer.ggml.model").orElse("").equals("llama")
            || BEGINNING.contains(metadata.text("tokenizer.ggml.pre").orElse(""));
    boolean adds =
        metadata.flag("tokenizer.ggml.add_bos_token").orElse(byDefault)
            && named.containsKey("bos_token");
    return new SpecialTokens(named, adds, adds);
  }

  static GgufTokenizer.Vocabulary vocabulary(GgufMetadata metadata) {
    return new GgufTokenizer.Vocabulary(
        metadata.requiredText("tokenizer.ggml.model"),
        metadata.text("tokenizer.ggml.pre").orElse(""),
        metadata.texts("tokenizer.ggml.tokens").orElse(List.of()),
        metadata.integers("tokenizer.ggml.token_type").orElse(new long[0]),
        metadata.numbers("tokenizer.ggml.scores").orElse(new double[0]),
        metadata.texts("tokenizer.ggml.merges").orElse(List.of()),
        metadata.flag("tokenizer.ggml.add_space_prefix").orElse(true));
  }

  /** All metadata but the tokenizer's, as one text that names them. */
  static String otherThanTokenizer(GgufMetadata metadata) {
    return text(metadata, key -> !isOfTokenizer(key));
  }

  /**
   * What a GGUF file says about special tokens and the end of an answer, as one text that names it:
   * the tokenizer's metadata but for chat templates and lists, which are in its tokenizer.json.
   */
  static String settings(GgufMetadata metadata) {
    return text(
        metadata,
        key ->
            isOfTokenizer(key)
                && !key.startsWith("tokenizer.chat_template")
                && !isList(metadata.values().get(key)));
  }

  private static boolean isOfTokenizer(String key) {
    return key.startsWith("tokenizer.");
  }

  private static boolean isList(@Nullable Object value) {
    return value instanceof List<?> || value instanceof long[] || value instanceof double[];
  }

  /** Sorted by key; a text is written behind its length, so that no two metadata are one text. */
  private static String text(GgufMetadata metadata, Predicate<String> keys) {
    StringBuilder named = new StringBuilder();
    metadata
        .values()
        .forEach(
            (key, value) -> {
              if (keys.test(key)) {
                append(key, named);
                if (value instanceof String own) {
                  append(own, named);
                } else if (value instanceof List<?> texts) {
                  named.append('[').append(texts.size()).append(' ');
                  texts.forEach(each -> append(each.toString(), named));
                } else {
                  named.append(
                      value instanceof long[] integers
                          ? Arrays.toString(integers)
                          : value instanceof double[] numbers
                              ? Arrays.toString(numbers)
                              : value.toString());
                }
                named.append('\n');
              }
            });
    return named.toString();
  }

  private static void append(String text, StringBuilder out) {
    out.append(text.length()).append(' ').append(text).append(' ');
  }

  /**
   * The chat templates of a directory: chat_template.jinja and
   * additional_chat_templates/tool_use.jinja, else chat_template of tokenizer_config.json, a string
   * or a list of named ones of which {@code default} and {@code tool_use} are taken.
   */
  static Optional<TemplateSources> template(Path directory, JsonNode tokenizerConfig) {
    if (Files.exists(directory.resolve("chat_template.jinja"))) {
      String standard = text(ContainedPath.resolve(directory, "chat_template.jinja"));
      boolean tools = Files.exists(directory.resolve(ADDITIONAL).resolve("tool_use.jinja"));
      return Optional.of(
          tools
              ? new TemplateSources(
                  standard,
                  Optional.of(text(ContainedPath.resolve(directory, ADDITIONAL, "tool_use.jinja"))))
              : new TemplateSources(standard));
    }
    JsonNode template = tokenizerConfig.path("chat_template");
    if (template.isTextual()) {
      return Optional.of(new TemplateSources(template.textValue()));
    }
    if (template.isArray()) {
      Map<String, String> named = new TreeMap<>();
      template.forEach(one -> named.put(one.path("name").asText(), one.path("template").asText()));
      String standard = named.get("default");
      if (standard != null) {
        return Optional.of(
            new TemplateSources(standard, Optional.ofNullable(named.get("tool_use"))));
      }
    }
    if (!template.isMissingNode() && !template.isNull()) {
      throw new EngineException(
          Kind.MODEL,
          directory.resolve("tokenizer_config.json")
              + ": chat_template is neither a string nor a list with one named 'default'");
    }
    return Optional.empty();
  }

  private static String text(Path file) {
    return new String(UntrustedJson.bytes(file), StandardCharsets.UTF_8);
  }

  /** The chat templates of a GGUF file. */
  static Optional<TemplateSources> template(GgufMetadata metadata) {
    return metadata
        .text("tokenizer.chat_template")
        .map(
            standard ->
                new TemplateSources(standard, metadata.text("tokenizer.chat_template.tool_use")));
  }
}
