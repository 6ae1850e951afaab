package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class GgufTokenizerTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Test
  void aSentencePieceVocabularyEncodesAsTheSentencepieceLibraryDoes() throws IOException {
    JsonNode fixture;
    try (InputStream in =
        GgufTokenizerTest.class.getResourceAsStream("/fixtures/text/sentencepiece.json")) {
      fixture = JSON.readTree(in);
    }
    GgufTokenizer.Vocabulary vocabulary =
        new GgufTokenizer.Vocabulary(
            "llama",
            "default",
            Arrays.asList(JSON.treeToValue(fixture.path("tokens"), String[].class)),
            JSON.treeToValue(fixture.path("types"), long[].class),
            JSON.treeToValue(fixture.path("scores"), double[].class),
            List.of(),
            true);
    try (Tokenizer tokenizer =
        NativeTokenizer.of(GgufTokenizer.toJson(vocabulary, "test"), "test")) {
      for (JsonNode text : fixture.path("texts")) {
        String input = text.path("text").asText();
        int[] expected = JSON.treeToValue(text.path("ids"), int[].class);
        assertThat(tokenizer.encode(input).ids()).as("'%s'", input).isEqualTo(expected);
        assertThat(tokenizer.decode(expected, false)).isEqualTo(input);
      }
    }
  }

  @Test
  void anUnknownKindOfTokenizerIsRefusedByName() {
    GgufTokenizer.Vocabulary pre =
        new GgufTokenizer.Vocabulary(
            "gpt2",
            "tekken",
            List.of("a", "b", "ab"),
            new long[0],
            new double[0],
            List.of("a b"),
            false);
    assertThatThrownBy(() -> GgufTokenizer.toJson(pre, "m.gguf"))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("tekken");
    GgufTokenizer.Vocabulary model =
        new GgufTokenizer.Vocabulary(
            "bert", "", List.of("a"), new long[0], new double[0], List.of(), false);
    assertThatThrownBy(() -> GgufTokenizer.toJson(model, "m.gguf"))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("bert");
  }
}
