package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** GGUF's byte-level tokenizers by their cutting rules, against small_tokenizers.py. */
class TokenizerKindsTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  static Stream<Named<JsonNode>> rules() throws IOException {
    return StreamSupport.stream(fixture("ids").spliterator(), false)
        .map(entry -> Named.of(entry.path("pre").asText(), entry));
  }

  @ParameterizedTest
  @MethodSource("rules")
  void aCuttingRuleGivesTheIdsOfLlamaCpps(JsonNode rule) throws IOException {
    String pre = rule.path("pre").asText();
    JsonNode model = fixture(rule.path("tokenizer").asText());
    GgufTokenizer.Vocabulary vocabulary = vocabulary(model, pre);
    try (Tokenizer tokenizer =
        NativeTokenizer.of(GgufTokenizer.toJson(vocabulary, "test"), "test")) {
      assertIds(tokenizer, rule);
    }
  }

  @Test
  void aTokenizersFileGivesTheSameIds() throws IOException {
    for (JsonNode rule : fixture("ids")) {
      if (List.of("gpt-2", "llama-bpe", "qwen2").contains(rule.path("pre").asText())) {
        try (Tokenizer tokenizer =
            NativeTokenizer.of(fixture(rule.path("tokenizer").asText()), "test")) {
          assertIds(tokenizer, rule);
        }
      }
    }
  }

  private static void assertIds(Tokenizer tokenizer, JsonNode rule) throws IOException {
    assertThat(rule.path("texts")).hasSizeGreaterThan(10);
    for (JsonNode text : rule.path("texts")) {
      String input = text.path("text").asText();
      assertThat(tokenizer.encode(input).ids())
          .as("%s: '%s'", rule.path("pre").asText(), input)
          .isEqualTo(JSON.treeToValue(text.path("ids"), int[].class));
    }
  }

  /** What a converter writes of the tokenizer. */
  private static GgufTokenizer.Vocabulary vocabulary(JsonNode tokenizer, String pre) {
    JsonNode vocab = tokenizer.path("model").path("vocab");
    String[] tokens = new String[vocab.size()];
    for (Map.Entry<String, JsonNode> token : vocab.properties()) {
      tokens[token.getValue().intValue()] = token.getKey();
    }
    long[] types = new long[tokens.length];
    Arrays.fill(types, 1);
    for (JsonNode added : tokenizer.path("added_tokens")) {
      types[added.path("id").intValue()] = 3;
    }
    List<String> merges = new ArrayList<>();
    for (JsonNode merge : tokenizer.path("model").path("merges")) {
      merges.add(merge.path(0).asText() + " " + merge.path(1).asText());
    }
    return new GgufTokenizer.Vocabulary(
        "gpt2", pre, List.of(tokens), types, new double[0], merges, false);
  }

  private static JsonNode fixture(String name) throws IOException {
    try (InputStream in =
        TokenizerKindsTest.class.getResourceAsStream(
            "/fixtures/text/tokenizers/" + name + ".json")) {
      return JSON.readTree(in);
    }
  }
}
