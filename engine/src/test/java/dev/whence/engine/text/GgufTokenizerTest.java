package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

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
  void aTokenThatEndsAnAnswerIsSpecialWhateverTheFileCallsIt() {
    GgufTokenizer.Vocabulary vocabulary =
        new GgufTokenizer.Vocabulary(
            "gpt2",
            "gpt-2",
            List.of("a", "b", "ab", "<e>", "<f>", "<", "e", "f", ">"),
            new long[] {1, 1, 1, 1, 4, 1, 1, 1, 1},
            new double[0],
            List.of("a b"),
            false);
    ObjectNode json = GgufTokenizer.toJson(vocabulary, "test");
    String before = json.toString();
    try (Tokenizer plain = NativeTokenizer.of(json, "test");
        Tokenizer tokenizer =
            NativeTokenizer.of(GgufTokenizer.withEnds(json, List.of(4, 3)), "test")) {
      assertThat(plain.encode("ab<e>").ids()).containsExactly(2, 5, 6, 8);
      assertThat(plain.isSpecial(4)).isFalse();
      assertThat(tokenizer.encode("ab<e>b<f>").ids()).containsExactly(2, 3, 1, 4);
      assertThat(tokenizer.isSpecial(3)).isTrue();
      assertThat(tokenizer.isSpecial(4)).isTrue();
      assertThat(tokenizer.decode(new int[] {2, 3, 4}, true)).isEqualTo("ab");
    }
    assertThat(json).hasToString(before); // a model's digest is taken of it
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

  @Test
  @Timeout(20)
  void aHostileVocabularyIsRefusedBeforeItCosts() {
    String long500 = "a".repeat(490);
    List<String> pieces =
        IntStream.range(0, 4_000).mapToObj(id -> long500 + id).toList(); // 4,000 x 490^2: over 2^28
    List<String> many = IntStream.range(0, (1 << 20) + 1).mapToObj(Integer::toString).toList();
    List<String> merges = Collections.nCopies((4 << 20) + 1, "a b");
    // every run of one letter up to 512: 511 pairs join to the longest, 130,816 in all per letter
    List<String> runs =
        IntStream.range(0, 40 * 512)
            .mapToObj(i -> Character.toString('a' + i / 512).repeat(i % 512 + 1))
            .toList();
    assertRefused("llama", pieces, List.of(), "characters in the pairs");
    assertRefused("llama", many, List.of(), "1048576 tokens");
    assertRefused("gpt2", List.of("a", "b", "ab"), merges, "4194304 merges");
    assertRefused("gpt2", List.of("a", "b".repeat(513)), List.of("a b"), "512 characters");
    assertRefused("llama", List.of("a", "b".repeat(513)), List.of(), "512 characters");
    assertRefused("llama", runs, List.of(), "over");
  }

  private static void assertRefused(
      String model, List<String> tokens, List<String> merges, String part) {
    GgufTokenizer.Vocabulary vocabulary =
        new GgufTokenizer.Vocabulary(
            model, "gpt-2", tokens, new long[0], new double[tokens.size()], merges, true);
    assertThatThrownBy(() -> GgufTokenizer.toJson(vocabulary, "m.gguf"))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
        .hasMessageContainingAll("m.gguf", part);
  }
}
