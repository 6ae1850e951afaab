package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against the tokenizers library of Python (small_models.py), and by properties. */
class NativeTokenizerTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static Tokenizer tokenizer = new WordTokenizer();

  /** Tokenizers whose normaliser changes the text, by name. */
  private static final Map<String, Tokenizer> NORMALISING = new LinkedHashMap<>();

  @BeforeAll
  @BeforeContainer
  static void open() throws IOException {
    tokenizer = NativeTokenizer.of(json("weights/llama/tokenizer.json"), "tokenizer.json");
    for (String name : List.of("qwen2", "llama2")) {
      NORMALISING.put(name, NativeTokenizer.of(json("text/tokenizers/" + name + ".json"), name));
    }
    for (String normaliser :
        List.of(
            "{'type': 'Lowercase'}",
            "{'type': 'NFD'}",
            "{'type': 'NFKC'}",
            "{'type': 'Sequence', 'normalizers':"
                + " [{'type': 'NFD'}, {'type': 'StripAccents'}, {'type': 'Lowercase'}]}",
            "{'type': 'BertNormalizer', 'clean_text': true, 'handle_chinese_chars': true,"
                + " 'strip_accents': null, 'lowercase': true}",
            "{'type': 'Strip', 'strip_left': true, 'strip_right': true}")) {
      ObjectNode json = json("text/tokenizers/gpt2.json").deepCopy();
      json.set("normalizer", JSON.readTree(normaliser.replace('\'', '"')));
      NORMALISING.put(normaliser, NativeTokenizer.of(json, normaliser));
    }
  }

  @AfterAll
  @AfterContainer
  static void close() {
    tokenizer.close();
    NORMALISING.values().forEach(Tokenizer::close);
    NORMALISING.clear();
  }

  @Test
  void idsAreThoseOfTheReference() throws IOException {
    for (JsonNode expected : json("text/tokens.json")) {
      String text = expected.path("text").asText();
      Encoding encoding = tokenizer.encode(text);
      assertThat(encoding.ids())
          .as(text)
          .isEqualTo(JSON.treeToValue(expected.path("ids"), int[].class));
      assertThat(tokenizer.decode(encoding.ids(), false))
          .isEqualTo(expected.path("decoded").asText());
      covers(text, encoding);
    }
  }

  @Test
  void aVeryLongTextIsNotTruncated() {
    String text = "the cat sat on the mat. ".repeat(2_000);
    Encoding encoding = tokenizer.encode(text);
    assertThat(encoding.length()).isGreaterThan(10_000);
    covers(text, encoding);
  }

  @Test
  void specialTokensWrittenOutBecomeThoseTokens() {
    Encoding encoding = tokenizer.encode("a<|im_end|>b");
    assertThat(encoding.ids()).contains(tokenizer.idOf("<|im_end|>"));
    assertThat(tokenizer.isSpecial(tokenizer.idOf("<|im_end|>"))).isTrue();
    assertThat(tokenizer.decode(encoding.ids(), true)).isEqualTo("ab");
    assertThat(tokenizer.idOf("no such token")).isEqualTo(-1);
  }

  @Test
  void tokensOfOneCharacterShareItsRange() {
    Encoding encoding = tokenizer.encode("x😀y");
    for (int i = 0; i < encoding.length(); i++) {
      if (encoding.starts()[i] == 1) {
        assertThat(encoding.ends()[i]).isEqualTo(3);
      }
    }
    assertThat(encoding.length()).isGreaterThan(3);
  }

  @Test
  void aLoneSurrogateIsReadAsTheReplacementCharacter() {
    assertThat(tokenizer.encode("a\uD83Db").ids()).isEqualTo(tokenizer.encode("a\uFFFDb").ids());
  }

  @Property(tries = 500)
  void rangesCoverTheTextAndCutNoCharacter(@ForAll("texts") String text) {
    Encoding encoding = tokenizer.encode(text);
    covers(text, encoding);
    assertThat(tokenizer.decode(encoding.ids(), false)).isEqualTo(text);
  }

  @Property(tries = 500)
  void noTokenStandsForMoreTextThanTheLongest(@ForAll("texts") String text) {
    assertThat((long) tokenizer.encode(text).length() * tokenizer.longestToken())
        .isGreaterThanOrEqualTo(text.length());
  }

  @Test
  void theLongestTokenMayBeAnAddedOne() throws IOException {
    JsonNode json = json("weights/llama/tokenizer.json");
    int longest = 0;
    for (Map.Entry<String, JsonNode> entry : json.path("model").path("vocab").properties()) {
      longest = Math.max(longest, entry.getKey().length());
    }
    ObjectNode added = json.deepCopy();
    ((ObjectNode) added.path("added_tokens").path(0)).put("content", "<" + "x".repeat(98) + ">");
    assertThat(tokenizer.longestToken()).isBetween(longest, 99);
    assertThat(LongestToken.of(added)).isEqualTo(100);
    ObjectNode composing = added.deepCopy();
    composing.putObject("normalizer").put("type", "NFC");
    assertThat(LongestToken.of(composing)).isEqualTo(800);
  }

  @Test
  void noBoundIsGivenWhereATokenMayStandForAnyLengthOfText() throws IOException {
    JsonNode json = json("weights/llama/tokenizer.json");
    ObjectNode strips = json.deepCopy();
    ((ObjectNode) strips.path("added_tokens").path(0)).put("lstrip", true);
    ObjectNode lowers = json.deepCopy();
    lowers.putObject("normalizer").put("type", "StripAccents");
    ObjectNode splits = json.deepCopy();
    splits.putObject("pre_tokenizer").put("type", "Split").put("behavior", "Removed");
    ObjectNode unknowns = json.deepCopy();
    ((ObjectNode) unknowns.path("model").path("vocab")).remove("!");
    ObjectNode words = json.deepCopy();
    ((ObjectNode) words.path("model")).put("type", "WordLevel");
    assertThat(List.of(strips, lowers, splits, unknowns, words))
        .allSatisfy(bad -> assertThat(LongestToken.of(bad)).isEqualTo(Integer.MAX_VALUE));
  }

  @Property(tries = 500)
  void rangesCoverTheTextWhateverTheNormaliserDoes(@ForAll("texts") String text) {
    assertThat(NORMALISING).hasSize(8);
    NORMALISING.forEach(
        (name, normalising) -> {
          Encoding encoding = normalising.encode(text);
          if (encoding.length() > 0) { // a normaliser may drop all of it
            covers(text, encoding);
          }
        });
  }

  /** What NFC leaves as it is comes back; the range of a composed character is its two. */
  @Test
  void aComposedCharacterHasTheRangeOfItsParts() {
    Tokenizer nfc = Objects.requireNonNull(NORMALISING.get("qwen2"));
    Encoding encoding = nfc.encode("xe\u0301y");
    assertThat(nfc.decode(encoding.ids(), false)).isEqualTo("x\u00e9y");
    for (int i = 0; i < encoding.length(); i++) {
      assertThat(encoding.starts()[i]).isNotEqualTo(2);
      assertThat(encoding.ends()[i]).isNotEqualTo(2);
    }
  }

  @Test
  void whatIsNoTokenizerIsRefused() throws IOException {
    for (String bad :
        new String[] {"{}", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}"}) {
      JsonNode json = JSON.readTree(bad);
      assertThatThrownBy(() -> NativeTokenizer.of(json, "tokenizer.json"))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
          .hasMessageContaining("tokenizer.json");
    }
  }

  /**
   * The next id after 2,147,483,647 is negative as an int, and less than any model's embeddings.
   */
  @ParameterizedTest
  @ValueSource(longs = {-1, NativeTokenizer.MAX_IDS, Integer.MAX_VALUE, 1L << 31})
  void anIdThatNoModelCanHaveIsRefused(long id) throws IOException {
    ObjectNode inVocabulary = json("weights/llama/tokenizer.json").deepCopy();
    ((ObjectNode) inVocabulary.path("model").path("vocab")).put("!", id);
    ObjectNode added = json("weights/llama/tokenizer.json").deepCopy();
    ((ObjectNode) added.path("added_tokens").path(0)).put("id", id);
    for (JsonNode json : List.of(inVocabulary, added)) {
      JsonNode read = JSON.readTree(json.toString()); // an int where it is one
      assertThatThrownBy(() -> NativeTokenizer.of(read, "tokenizer.json").close())
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
          .hasMessageContaining("from 0 to 4194303");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type': 'Replace', 'pattern': {'String': 'a'}, 'content': '%s'}",
        "{'type': 'Replace', 'pattern': {'Regex': 'a+'}, 'content': '%s'}",
        "{'type': 'Prepend', 'prepend': '%s'}",
        "{'type': 'Sequence', 'normalizers': [{'type': 'NFC'}, {'type': 'Replace', 'pattern':"
            + " {'String': 'a'}, 'content': '%s'}]}"
      })
  void aNormalizerThatBlowsTextsUpIsRefused(String normalizer) throws IOException {
    String step = normalizer.replace('\'', '"');
    ObjectNode json = json("text/tokenizers/gpt2.json").deepCopy();
    json.set("normalizer", JSON.readTree(step.formatted("b".repeat(64))));
    NativeTokenizer.of(json, "tokenizer.json").close();
    ObjectNode longer = json.deepCopy();
    longer.set("normalizer", JSON.readTree(step.formatted("b".repeat(65))));
    ObjectNode twice = json.deepCopy();
    String two = "{\"type\": \"Sequence\", \"normalizers\": [%s, %s]}";
    twice.set(
        "normalizer",
        JSON.readTree(two.formatted(step.formatted("bbbbbbbbb"), step.formatted("bbbbbbbb"))));
    for (ObjectNode bad : List.of(longer, twice)) {
      assertThatThrownBy(() -> NativeTokenizer.of(bad, "tokenizer.json"))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("more than 64 times as long");
    }
  }

  /** The library gives a match up after ten million steps back, by ending the process. */
  @ParameterizedTest
  @ValueSource(strings = {"pre_tokenizer", "normalizer", "decoder"})
  void anExpressionThatStepsBackWithoutAnEndIsRefused(String part) throws IOException {
    String type = part.equals("pre_tokenizer") ? "Split" : "Replace";
    ObjectNode json = json("text/tokenizers/gpt2.json").deepCopy();
    String step =
        "{\"type\": \"%s\", \"pattern\": {\"Regex\": \"(a+)+b\"}, \"content\": \"\","
            + " \"behavior\": \"Isolated\", \"invert\": false}";
    json.set(part, JSON.readTree(step.formatted(type)));
    assertThatThrownBy(() -> NativeTokenizer.of(json, "tokenizer.json"))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
        .hasMessage(
            "tokenizer.json, "
                + part
                + ": the regular expression '(a+)+b' could backtrack more than 10,000,000 times on"
                + " a text of 1,000,000 characters, where the tokenizers library aborts the whole"
                + " process; such a tokenizer is not loaded.");
    String unknown = "(?(1)\u202e\n" + "\ud83d\ude00".repeat(60) + ")";
    ((ObjectNode) json.path(part).path("pattern")).put("Regex", unknown);
    assertThatThrownBy(() -> NativeTokenizer.of(json, "tokenizer.json"))
        .hasMessage(
            "tokenizer.json, "
                + part
                + ": the regular expression '(?(1)\ufffd\ufffd"
                + "\ud83d\ude00".repeat(53)
                + "…' has at character 1 something that Whence does not read (a back-reference, a"
                + " call, a condition, an option such as (?x)), or it is incomplete.");
  }

  /** The library itself gets to the end of the longest texts with them. */
  @Test
  void expressionsThatAreKnownReadTheLongestTexts() throws IOException {
    isRead("(?:\\r?\\n)+(?!\\r?\\n)", "\n", "\r\n", "\n\r\n");
    isRead(
        "[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\s+(?!\\S)|\\s+",
        "a",
        "a b ",
        "a  ",
        "a\u0301",
        "a\u0301 ");
  }

  private static void isRead(String regex, String... runs) throws IOException {
    ObjectNode json = json("text/tokenizers/gpt2.json").deepCopy();
    ObjectNode step = json.putObject("pre_tokenizer").put("type", "Split");
    step.put("behavior", "Removed").put("invert", false).putObject("pattern").put("Regex", regex);
    try (NativeTokenizer reads = NativeTokenizer.of(json, "tokenizer.json")) {
      for (String run : runs) {
        assertThat(reads.encode(run.repeat(1_000_000 / run.length())).length()).isZero();
      }
    }
  }

  @Test
  void aLongRunOfOneKindIsRefusedBeforeTheLibraryReadsIt() throws IOException {
    try (NativeTokenizer llama =
        NativeTokenizer.of(json("text/tokenizers/llama3.json"), "tokenizer.json")) {
      String most = " ".repeat(1_000_000);
      assertThat(llama.encode(most + "b").length()).isPositive();
      for (String run : List.of(most + "\n", "A".repeat(1_000_001), "\u4e00".repeat(1_000_001))) {
        assertThatThrownBy(() -> llama.encode("a " + run + "b"))
            .isInstanceOfSatisfying(
                EngineException.class,
                e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.UNSUPPORTED))
            .hasMessageContaining("more than 1,000,000")
            .hasMessageContaining("in a row");
        assertThatThrownBy(() -> llama.encodeContinuation("a", run))
            .isInstanceOf(EngineException.class);
      }
    }
  }

  /** What is repeated there has no kind by which runs could be told. */
  @Test
  void aLongTextIsRefusedWhereAnExpressionStepsBackOverAnything() throws IOException {
    ObjectNode json = steppingBack();
    try (NativeTokenizer reads = NativeTokenizer.of(json, "tokenizer.json")) {
      assertThat(reads.encode("a x").length()).isPositive();
      assertThatThrownBy(() -> reads.encode("a 1 ".repeat(250_001)))
          .hasMessageContaining("at most 1000000 are read");
    }
    json.set(
        "normalizer",
        JSON.readTree(
            "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"    \"}"));
    ((ObjectNode) json.path("pre_tokenizer").path("pattern")).put("Regex", "\\s*[\\r\\n]|.");
    try (NativeTokenizer reads = NativeTokenizer.of(json, "tokenizer.json")) {
      assertThatThrownBy(() -> reads.encode("a1".repeat(125_001)))
          .hasMessageContaining("at most 250000 are read");
    }
  }

  /** NFKC makes 18 letters and spaces of this ligature. */
  @Test
  void aTextIsAsLongAsItsNormalFormWhereAnExpressionStepsBackOverAnything() throws IOException {
    ObjectNode json = steppingBack();
    json.putObject("normalizer").put("type", "NFKC");
    try (NativeTokenizer reads = NativeTokenizer.of(json, "tokenizer.json")) {
      reads.encode("\ufdfa x");
      assertThatThrownBy(() -> reads.encode("\ufdfa".repeat(60_000)))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.UNSUPPORTED))
          .hasMessageContaining("has 1080000 characters");
    }
  }

  @Test
  void anAddedTokenThatTheLibraryMustNotBeGivenIsRefused() throws IOException {
    ObjectNode json = steppingBack();
    json.set(
        "normalizer",
        JSON.readTree(
            "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \""
                + "b".repeat(60)
                + "\"}"));
    ((ObjectNode) json.path("added_tokens").path(0)).put("content", "a".repeat(20_000));
    assertThatThrownBy(() -> NativeTokenizer.of(json, "tokenizer.json"))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
        .hasMessageContaining("one of its added tokens can not be read")
        .hasMessageContaining("at most 16666 are read");
  }

  private static ObjectNode steppingBack() throws IOException {
    ObjectNode json = json("text/tokenizers/gpt2.json").deepCopy();
    json.set(
        "pre_tokenizer",
        JSON.readTree(
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[^z]*[xy]|.\"},"
                + " \"behavior\": \"Isolated\", \"invert\": false}"));
    return json;
  }

  @Test
  void aTextThatTheLibraryHasNoTokenForIsUnsupported() throws IOException {
    JsonNode json =
        JSON.readTree(
            """
            {"version": "1.0", "added_tokens": [], "normalizer": null,
             "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
             "model": {"type": "WordLevel", "vocab": {"known": 0}, "unk_token": "[UNK]"}}
            """);
    try (NativeTokenizer reads = NativeTokenizer.of(json, "tokenizer.json")) {
      assertThat(reads.encode("known").ids()).containsExactly(0);
      assertThatThrownBy(() -> reads.encode("other"))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.UNSUPPORTED))
          .hasMessageContaining("tokenizer can not read the text");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type': 'Replace', 'pattern': {'String': 'a'}, 'content': '%s'}",
        "{'type': 'Replace', 'pattern': {'String': ''}, 'content': 'aaaaaaaa'}",
        "{'type': 'Replace', 'pattern': {'Regex': 'a*'}, 'content': 'aaaaaaaa'}",
        "{'type': 'Sequence', 'decoders': [{'type': 'BPEDecoder', 'suffix': ''}, {'type': 'Fuse'},"
            + " {'type': 'Replace', 'pattern': {'String': ''}, 'content': 'aaaaaaaa'}]}"
      })
  void aDecoderThatBlowsTextsUpIsRefused(String decoder) throws IOException {
    String step = decoder.formatted("b".repeat(9)).replace('\'', '"');
    ObjectNode once = json("text/tokenizers/gpt2.json").deepCopy();
    once.set("decoder", JSON.readTree(step));
    NativeTokenizer.of(once, "tokenizer.json").close();
    ObjectNode twice = once.deepCopy();
    twice.set(
        "decoder",
        JSON.readTree("{\"type\": \"Sequence\", \"decoders\": [" + step + ", " + step + "]}"));
    assertThatThrownBy(() -> NativeTokenizer.of(twice, "tokenizer.json"))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("its decoder may make a text more than 64 times as long");
  }

  @Test
  void aCharsmapThatBlowsTextsUpIsRefused() throws IOException {
    ObjectNode json = json("text/tokenizers/gpt2.json").deepCopy();
    ObjectNode normalizer = json.putObject("normalizer").put("type", "Precompiled");
    normalizer.put(
        "precompiled_charsmap", CharsmapTest.base64("b".repeat(64) + "\0", 0, units -> {}));
    try (NativeTokenizer reads = NativeTokenizer.of(json, "tokenizer.json")) {
      assertThat(reads.decode(reads.encode("e").ids(), false)).isEqualTo("b".repeat(64));
    }
    normalizer.put(
        "precompiled_charsmap", CharsmapTest.base64("b".repeat(65) + "\0", 0, units -> {}));
    assertThatThrownBy(() -> NativeTokenizer.of(json, "tokenizer.json"))
        .hasMessageContaining("its normalizer may make a text more than 64 times as long");
    normalizer.put("precompiled_charsmap", "@@@");
    assertThatThrownBy(() -> NativeTokenizer.of(json, "tokenizer.json"))
        .hasMessageContaining("is damaged");
  }

  /** The library counts from the end of a token, past its beginning. */
  @Test
  void aDecoderThatStripsBehindATokenIsRefused() throws IOException {
    ObjectNode json = json("text/tokenizers/gpt2.json").deepCopy();
    json.set(
        "decoder",
        JSON.readTree("{\"type\": \"Strip\", \"content\": \"a\", \"start\": 1, \"stop\": 2}"));
    assertThatThrownBy(() -> NativeTokenizer.of(json, "tokenizer.json"))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("strips what is behind a token");
    ((ObjectNode) json.path("decoder")).put("stop", 0);
    NativeTokenizer.of(json, "tokenizer.json").close();
  }

  /** As transformers reads such a file: the library gives ids in a row. */
  @Test
  void anAddedTokenBehindAGapHasTheIdThatTheLibraryGivesIt() throws IOException {
    ObjectNode json = json("weights/llama/tokenizer.json").deepCopy();
    ArrayNode added = (ArrayNode) json.path("added_tokens");
    int next = json.path("model").path("vocab").size();
    for (JsonNode token : added) {
      next = Math.max(next, token.path("id").asInt() + 1);
    }
    ObjectNode token = added.path(0).deepCopy();
    token.put("content", "<|mine|>").put("id", next + 5).put("special", true);
    added.add(token);
    try (NativeTokenizer tokenizer = NativeTokenizer.of(json, "tokenizer.json")) {
      assertThat(tokenizer.encode("<|mine|>").ids()).containsExactly(next);
      assertThat(tokenizer.idOf("<|mine|>")).isEqualTo(next);
      assertThat(tokenizer.isSpecial(next)).isTrue();
      assertThat(tokenizer.isSpecial(next + 5)).isFalse();
    }
  }

  /** All planes, no lone surrogates; biased to what tokenizers stumble over. */
  @Provide
  Arbitrary<String> texts() {
    Arbitrary<String> any =
        Arbitraries.integers()
            .between(0, Character.MAX_CODE_POINT)
            .filter(c -> c < Character.MIN_SURROGATE || c > Character.MAX_SURROGATE)
            .map(Character::toString);
    Arbitrary<String> tricky =
        Arbitraries.of(
            " ",
            "\n",
            "\r\n",
            "\t",
            "\u00a0",
            "é",
            "e\u0301",
            "😀",
            "👩‍👩‍👧",
            "日",
            "½",
            "٣",
            "\u0323",
            "\u212b",
            "İ",
            "ẞ",
            "ﬃ",
            "\uac00",
            "\u2581",
            "the",
            "<|im_end|>",
            "<|",
            "0",
            "12",
            "'s",
            "\0");
    return Arbitraries.oneOf(any, tricky).list().ofMaxSize(30).map(list -> String.join("", list));
  }

  private static void covers(String text, Encoding encoding) {
    int covered = 0;
    for (int i = 0; i < encoding.length(); i++) {
      int start = encoding.starts()[i];
      int end = encoding.ends()[i];
      boolean same = i > 0 && start == encoding.starts()[i - 1] && end == encoding.ends()[i - 1];
      assertThat(same || start == covered)
          .as("token %d begins where the one before ends", i)
          .isTrue();
      assertThat(end).isGreaterThanOrEqualTo(start);
      for (int at : new int[] {start, end}) {
        boolean inside =
            at > 0
                && at < text.length()
                && Character.isHighSurrogate(text.charAt(at - 1))
                && Character.isLowSurrogate(text.charAt(at));
        assertThat(inside).isFalse();
      }
      covered = end;
    }
    assertThat(covered).isEqualTo(text.length());
  }

  private static JsonNode json(String name) throws IOException {
    try (InputStream in = NativeTokenizerTest.class.getResourceAsStream("/fixtures/" + name)) {
      return JSON.readTree(in);
    }
  }
}
