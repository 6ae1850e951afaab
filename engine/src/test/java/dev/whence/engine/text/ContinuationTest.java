package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Responses behind their prompts, against small_tokenizers.py. */
class ContinuationTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, Tokenizer> TOKENIZERS = new TreeMap<>();

  @AfterAll
  static void close() {
    TOKENIZERS.values().forEach(Tokenizer::close);
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "metaspace", "metaspace-always", "llama3", "qwen2", "gpt2"})
  void aResponseHasTheIdsThatStandBehindThePromptsWhereBothAreOneText(String name)
      throws IOException {
    Tokenizer tokenizer = tokenizer(name);
    int compared = 0;
    for (JsonNode entry : fixture("continuations")) {
      if (entry.path("tokenizer").asText().equals(name)) {
        String text = entry.path("text").asText();
        Encoding encoding = tokenizer.encodeContinuation(entry.path("before").asText(), text);
        assertThat(encoding.ids())
            .as("%s", entry)
            .isEqualTo(JSON.treeToValue(entry.path("ids"), int[].class));
        assertThat(encoding.starts()[0]).isZero();
        assertThat(encoding.ends()[encoding.length() - 1]).isEqualTo(text.length());
        compared++;
      }
    }
    assertThat(compared).isGreaterThan(12);
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen2", "gpt2"})
  void aTokenizerThatPutsNoSpaceBeforeATextEncodesAResponseAsAnyText(String name)
      throws IOException {
    Tokenizer tokenizer = tokenizer(name);
    for (String prompt : List.of("", "[/INST]", "A:\n", "<|end|>")) {
      for (String text : List.of("", "The cat", " The cat", "\n12", "\u2581x")) {
        assertThat(tokenizer.encodeContinuation(prompt, text).ids())
            .isEqualTo(tokenizer.encode(text).ids());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama2", "metaspace", "metaspace-always"})
  void aResponseThatNothingStandsBeforeIsAnyText(String name) throws IOException {
    Tokenizer tokenizer = tokenizer(name);
    assertThat(tokenizer.encodeContinuation("", "The cat").ids())
        .isEqualTo(tokenizer.encode("The cat").ids());
  }

  @Test
  void aSpaceIsPutBehindATokenThatTakesInTheLineFeedBehindIt() throws IOException {
    ObjectNode json = fixture("llama2").deepCopy();
    int rest = 1;
    for (JsonNode token : json.path("added_tokens")) {
      ((ObjectNode) token).put("rstrip", true);
      rest = token.path("id").intValue();
    }
    try (Tokenizer tokenizer = NativeTokenizer.of(json, "test")) {
      int[] whole = tokenizer.encode("</s>\nThe cat").ids();
      assertThat(whole[0]).isEqualTo(rest);
      assertThat(tokenizer.encodeContinuation("</s>\n", "The cat").ids())
          .isEqualTo(IntStream.of(whole).skip(1).toArray());
    }
  }

  @Test
  void anOlderFileThatSaysAddPrefixSpaceIsUnderstood() throws IOException {
    ObjectNode json = fixture("metaspace").deepCopy();
    ObjectNode words = (ObjectNode) json.path("pre_tokenizer");
    words.remove("prepend_scheme");
    try (Tokenizer tokenizer = NativeTokenizer.of(json, "test")) {
      words.put("add_prefix_space", true);
      try (Tokenizer older = NativeTokenizer.of(json, "test")) {
        assertThat(older.encodeContinuation("A:\n", "cat").ids())
            .isEqualTo(tokenizer.encodeContinuation("A:\n", "cat").ids())
            .isNotEqualTo(older.encode("cat").ids());
      }
    }
  }

  private static Tokenizer tokenizer(String name) throws IOException {
    Tokenizer known = TOKENIZERS.get(name);
    if (known == null) {
      JsonNode json = fixture(name.replace("-always", ""));
      if (name.endsWith("-always")) {
        ((ObjectNode) json.path("pre_tokenizer")).put("prepend_scheme", "always");
      }
      known = NativeTokenizer.of(json, name);
      TOKENIZERS.put(name, known);
    }
    return known;
  }

  private static JsonNode fixture(String name) throws IOException {
    try (InputStream in =
        ContinuationTest.class.getResourceAsStream("/fixtures/text/tokenizers/" + name + ".json")) {
      return JSON.readTree(in);
    }
  }
}
