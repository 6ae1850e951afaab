package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.PlainTemplate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.SpecialTokens;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Special tokens and templates of a model's files, down to the ids: against transformers on the
 * directories of small_tokenizers.py, and against llama.cpp's defaults.
 */
class PromptTokensTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  static Stream<Named<JsonNode>> directories() throws IOException {
    return StreamSupport.stream(
            Fixtures.json("text/tokenizers/directories.json").spliterator(), false)
        .map(entry -> Named.of(entry.path("name").asText(), entry));
  }

  @ParameterizedTest
  @MethodSource("directories")
  void aBareTextHasTheIdsThatTransformersGivesWithItsBeginTokenOnce(
      JsonNode expected, @TempDir Path directory) throws IOException {
    write(expected, directory);
    try (ModelText model = ModelText.open(directory, Optional.empty())) {
      SpecialTokens special = special(directory);
      assertThat(special.begin()).isEqualTo(expected.path("bos").asText(""));
      assertThat(special.end()).isEqualTo(expected.path("eos").asText(""));
      assertThat(ids(model, new PlainTemplate(special), Message.RAW, expected))
          .isEqualTo(JSON.treeToValue(expected.path("ids"), int[].class));
    }
  }

  @ParameterizedTest
  @MethodSource("directories")
  void aChatHasTheIdsThatTransformersGivesForTheTemplateItTakes(
      JsonNode expected, @TempDir Path directory) throws IOException {
    write(expected, directory);
    try (ModelText model = ModelText.open(directory, Optional.empty())) {
      if (!expected.has("chat")) {
        assertThat(model.template()).isInstanceOf(PlainTemplate.class);
        return;
      }
      assertThat(model.template().render(conversation("user", expected)).text())
          .isEqualTo(expected.path("rendered").asText());
      assertThat(ids(model, model.template(), "user", expected))
          .isEqualTo(JSON.treeToValue(expected.path("chat"), int[].class));
    }
  }

  @Test
  void aListOfTemplatesWithoutADefaultIsRefused() throws IOException {
    JsonNode config =
        JSON.readTree("{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}]}");
    assertThatThrownBy(() -> TokenizerSettings.template(Path.of("no-such-directory"), config))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("named 'default'");
  }

  @Test
  void aGgufFileThatDoesNotSayBeginsWhereLlamaCppDoes() {
    assertThat(gguf("gpt2", "llama-bpe", Optional.empty()).addsBegin()).isTrue();
    assertThat(gguf("llama", "default", Optional.empty()).addsBegin()).isTrue();
    for (String pre : List.of("gpt-2", "qwen2", "smollm", "olmo", "mpt", "default")) {
      assertThat(gguf("gpt2", pre, Optional.empty()).addsBegin()).as(pre).isFalse();
      assertThat(gguf("gpt2", pre, Optional.of(true)).addsBegin()).as(pre).isTrue();
    }
    assertThat(gguf("gpt2", "llama-bpe", Optional.of(false)).addsBegin()).isFalse();
    assertThat(gguf("llama", "default", Optional.of(false)).addsBegin()).isFalse();
  }

  @Test
  void aGgufFileWithoutABeginTokenAddsNone() {
    Map<String, Object> values = new TreeMap<>();
    values.put("tokenizer.ggml.model", "llama");
    values.put("tokenizer.ggml.add_bos_token", true);
    values.put("tokenizer.ggml.tokens", List.of("a"));
    SpecialTokens special =
        TokenizerSettings.specialTokens(new GgufMetadata(Path.of("m.gguf"), values));
    assertThat(special.addsBegin()).isFalse();
    assertThat(special.begin()).isEmpty();
  }

  private static SpecialTokens gguf(String model, String pre, Optional<Boolean> explicit) {
    Map<String, Object> values = new TreeMap<>();
    values.put("tokenizer.ggml.model", model);
    values.put("tokenizer.ggml.pre", pre);
    values.put("tokenizer.ggml.tokens", List.of("a", "<s>", "</s>"));
    values.put("tokenizer.ggml.bos_token_id", 1L);
    values.put("tokenizer.ggml.eos_token_id", 2L);
    explicit.ifPresent(flag -> values.put("tokenizer.ggml.add_bos_token", flag));
    SpecialTokens special =
        TokenizerSettings.specialTokens(new GgufMetadata(Path.of("m.gguf"), values));
    assertThat(special.begin()).isEqualTo("<s>");
    assertThat(special.end()).isEqualTo("</s>");
    return special;
  }

  private static int[] ids(
      ModelText model, PromptTemplate template, String role, JsonNode expected) {
    return model.tokenizer().encode(template.render(conversation(role, expected)).text()).ids();
  }

  private static Conversation conversation(String role, JsonNode expected) {
    Part part = Part.of(PartKind.QUESTION, "q", expected.path("text").asText());
    return new Conversation(
        "r",
        "",
        Instant.EPOCH,
        List.of(Message.of(role, List.of(part))),
        "",
        "",
        "",
        List.of(),
        "",
        "",
        "",
        "",
        Map.of());
  }

  private static SpecialTokens special(Path directory) {
    return TokenizerSettings.specialTokens(
        ModelFiles.optional(directory, "tokenizer_config.json"),
        ModelFiles.optional(directory, "special_tokens_map.json"),
        ModelFiles.optional(directory, "tokenizer.json"),
        "llama");
  }

  /** The directory that transformers read, with a model of type llama. */
  private static void write(JsonNode expected, Path directory) throws IOException {
    String kind = expected.path("tokenizer").asText();
    JsonNode tokenizer =
        Fixtures.json("text/tokenizers/" + kind.replace("-bare", "") + ".json").deepCopy();
    if (kind.endsWith("-bare")) {
      ((com.fasterxml.jackson.databind.node.ObjectNode) tokenizer).putNull("post_processor");
    }
    Files.writeString(directory.resolve("tokenizer.json"), tokenizer.toString());
    for (Map.Entry<String, JsonNode> file : expected.path("files").properties()) {
      JsonNode content = file.getValue();
      Files.writeString(
          directory.resolve(file.getKey()),
          content.isTextual() ? content.textValue() : content.toString());
    }
    Files.writeString(
        directory.resolve("config.json"),
        Files.readString(Fixtures.path("weights/llama/config.json")));
  }
}
