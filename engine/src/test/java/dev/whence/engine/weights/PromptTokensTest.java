package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.ChatTemplate;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.PlainTemplate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.SpecialTokens;
import dev.whence.engine.text.TemplateSources;
import dev.whence.engine.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
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
      assertThat(ids(model, new PlainTemplate(special, model.tokenizer()), Message.RAW, expected))
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

  @ParameterizedTest
  @MethodSource("directories")
  void aConversationWithToolsIsRenderedByTheTemplateThatTransformersTakesForIt(
      JsonNode expected, @TempDir Path directory) throws IOException {
    write(expected, directory);
    try (ModelText model = ModelText.open(directory, Optional.empty())) {
      if (expected.has("withTools")) {
        String tools =
            "[{\"type\": \"function\", \"function\": {\"name\": \"look\", \"parameters\":"
                + " {\"type\": \"object\", \"properties\": {}}}}]";
        Conversation conversation = conversation("user", expected.path("text").asText(), tools);
        assertThat(model.template().render(conversation).text())
            .isEqualTo(expected.path("withTools").asText());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("directories")
  void theSpecialTokensAreThoseOfTransformers(JsonNode expected, @TempDir Path directory)
      throws IOException {
    write(expected, directory);
    try (ModelText model = ModelText.open(directory, Optional.empty())) {
      if (expected.has("special")) {
        List<Integer> special = new ArrayList<>();
        for (int id = 0; id < 1_000; id++) {
          if (model.tokenizer().isSpecial(id)) {
            special.add(id);
          }
        }
        assertThat(special)
            .containsExactly(JSON.treeToValue(expected.path("special"), Integer[].class));
      }
    }
  }

  @Test
  void anAddedTokenThatTwoFilesGiveDifferentIdsIsRefusedByName() throws IOException {
    JsonNode tokenizer = Fixtures.json("text/tokenizers/llama3.json");
    JsonNode config =
        JSON.readTree("{\"added_tokens_decoder\": {\"7\": {\"content\": \"<|end|>\"}}}");
    assertThatThrownBy(
            () -> AddedTokens.merged(tokenizer, config, Map.of(), 1_000, "d/tokenizer.json"))
        .isInstanceOf(EngineException.class)
        .hasMessageContainingAll("d/tokenizer.json", "'<|end|>'", " 7", " 1");
  }

  @Test
  void anAddedTokenWithoutAnEmbeddingIsLeftOut() throws IOException {
    JsonNode tokenizer = Fixtures.json("text/tokenizers/llama3.json");
    int size = tokenizer.path("model").path("vocab").size();
    Map<String, JsonNode> named = Map.of("[PAD]", JSON.readTree("\"[PAD]\""));
    JsonNode none = MissingNode.getInstance();
    assertThat(AddedTokens.merged(tokenizer, none, named, size, "t").path("added_tokens"))
        .isEqualTo(tokenizer.path("added_tokens"));
    JsonNode added =
        AddedTokens.merged(tokenizer, none, named, size + 1, "t").path("added_tokens").get(2);
    assertThat(added.path("id").intValue()).isEqualTo(size);
    assertThat(added.path("content").asText()).isEqualTo("[PAD]");
    assertThat(added.path("special").booleanValue()).isTrue();
  }

  @Test
  void anEndTokenThatIsNoSpecialTokenEndsAnAnswer() throws IOException {
    ObjectNode json = Fixtures.json("text/tokenizers/llama3.json").deepCopy();
    ((ObjectNode) json.path("added_tokens").path(1)).put("special", false);
    TemplateSources source =
        new TemplateSources("{% for m in messages %}{{ m.content }}<|end|>\n{% endfor %}");
    SpecialTokens special = new SpecialTokens(Map.of(), false);
    Conversation question = conversation("user", "Where?", "");
    try (Tokenizer tokenizer = NativeTokenizer.of(json, "test")) {
      assertThat(
              ChatTemplate.of(source, special, List.of(1), tokenizer, "test")
                  .render(question)
                  .endToken())
          .isEqualTo("<|end|>");
      assertThat(
              ChatTemplate.of(source, special, List.of(), tokenizer, "test")
                  .render(question)
                  .endToken())
          .isEmpty();
    }
  }

  @Test
  void theDigestNamesATemplateForToolsWhereThereIsOne() {
    byte[] bytes = {1};
    SortedMap<String, WeightDigest.Hashed> tensors = new TreeMap<>();
    String without =
        WeightDigest.of(bytes, bytes, Optional.of(new TemplateSources("a")), "").hex(tensors);
    String with =
        WeightDigest.of(bytes, bytes, Optional.of(new TemplateSources("a", Optional.of("b"))), "")
            .hex(tensors);
    String other =
        WeightDigest.of(bytes, bytes, Optional.of(new TemplateSources("a", Optional.of("c"))), "")
            .hex(tensors);
    assertThat(List.of(without, with, other)).doesNotHaveDuplicates();
  }

  @Test
  void aGgufFileMayHaveATemplateForTools() {
    Map<String, Object> values = new TreeMap<>();
    values.put("tokenizer.chat_template", "a");
    GgufMetadata metadata = new GgufMetadata(Path.of("m.gguf"), values);
    assertThat(TokenizerSettings.template(metadata)).contains(new TemplateSources("a"));
    values.put("tokenizer.chat_template.tool_use", "b");
    assertThat(TokenizerSettings.template(metadata))
        .contains(new TemplateSources("a", Optional.of("b")));
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
    assertThat(gguf("llama", "default", Optional.empty()).addsBegin()).isTrue();
    for (String pre : List.of("llama-bpe", "llama3", "llama-v3")) {
      assertThat(gguf("gpt2", pre, Optional.empty()).addsBegin()).as(pre).isTrue();
      assertThat(gguf("gpt2", pre, Optional.empty()).beginsChats()).as(pre).isTrue();
    }
    assertThat(gguf("gpt2", "qwen2", Optional.empty()).beginsChats()).isFalse();
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
    return conversation(role, expected.path("text").asText(), "");
  }

  private static Conversation conversation(String role, String text, String tools) {
    Part part = Part.of(PartKind.QUESTION, "q", text);
    return Conversation.builder("r")
        .messages(List.of(Message.of(role, List.of(part))))
        .tools(tools)
        .build();
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
        Fixtures.json("text/tokenizers/" + kind.replaceAll("-(bare|plain)$", "") + ".json")
            .deepCopy();
    if (kind.endsWith("-bare")) {
      ((ObjectNode) tokenizer).putNull("post_processor");
    } else if (kind.endsWith("-plain")) {
      ((ObjectNode) tokenizer).putArray("added_tokens");
    }
    Files.writeString(directory.resolve("tokenizer.json"), tokenizer.toString());
    for (Map.Entry<String, JsonNode> file : expected.path("files").properties()) {
      JsonNode content = file.getValue();
      Path path = directory.resolve(file.getKey());
      Files.createDirectories(Objects.requireNonNull(path.getParent()));
      Files.writeString(path, content.isTextual() ? content.textValue() : content.toString());
    }
    Files.writeString(
        directory.resolve("config.json"),
        Files.readString(Fixtures.path("weights/llama/config.json"))
            .replace("\"vocab_size\": 293", "\"vocab_size\": 1000"));
  }
}
