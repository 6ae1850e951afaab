package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Conversation;
import dev.whence.engine.text.ChatTemplate;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.SpecialTokens;
import dev.whence.engine.text.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against the tokenizers library of Python (byte_pair_encoding.py), and by properties. */
class BytePairEncodingTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final World V1 = World.v1(1);
  private static final BytePairEncoding WORLD =
      BytePairEncoding.train(
          TokenizerTexts.of(V1, new TokenizerTexts.Options(1, 600, 3, 12, 20_000)),
          1024,
          BytePairEncoding.NAMES_APART);

  private static Tokenizer tokenizer;

  @BeforeAll
  @BeforeContainer
  static void open() {
    if (tokenizer == null) {
      tokenizer = NativeTokenizer.of(WORLD.tokenizer(), "tokenizer.json");
    }
  }

  @AfterAll
  @AfterContainer
  static void close() {
    if (tokenizer != null) {
      tokenizer.close();
      tokenizer = null;
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpt2", "names_apart"})
  void vocabularyAndMergesAreThoseOfTheReferenceTrainer(String way) throws IOException {
    JsonNode learnt = json("learnt_" + way + ".json");
    assertThat(pattern(way)).isEqualTo(learnt.path("pattern").asText());
    BytePairEncoding ours = fixture(way);
    assertThat(ours.vocabulary()).isEqualTo(texts(learnt.path("vocabulary")));
    assertThat(ours.merges()).isEqualTo(texts(learnt.path("merges")));
    assertThat(ours.vocabulary()).hasSize(512);
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpt2", "names_apart"})
  void theEngineReadsTheFileAsTheReferenceDoes(String way, @TempDir Path directory)
      throws IOException {
    fixture(way).write(directory, 1024);
    String written = Files.readString(directory.resolve("tokenizer.json"));
    // Byte for byte the file that the reference was given.
    assertThat(written).isEqualTo(resource(way + "/tokenizer.json"));
    try (Tokenizer read = NativeTokenizer.of(JSON.readTree(written), "tokenizer.json")) {
      JsonNode expected = json("ids_" + way + ".json");
      assertThat(expected).hasSize(50);
      for (JsonNode entry : expected) {
        int[] ids = read.encode(entry.path("text").asText()).ids();
        assertThat(ids)
            .as(entry.path("text").asText())
            .isEqualTo(JSON.treeToValue(entry.path("ids"), int[].class));
        assertThat(read.decode(ids, false)).isEqualTo(entry.path("decoded").asText());
      }
    }
  }

  @Property(tries = 300)
  void everyTextComesBack(@ForAll("texts") String text) {
    assertThat(tokenizer.decode(tokenizer.encode(text).ids(), false)).isEqualTo(text);
  }

  @Provide
  Arbitrary<String> texts() {
    return Arbitraries.of(
            "😀",
            "👩‍👩‍👧",
            "日本語",
            "Привет",
            "مرحبا",
            "नमस्ते",
            "é",
            "\n\n",
            "  ",
            "\t",
            "'s",
            "12",
            "½",
            "Mandel",
            " lives",
            ".",
            "<|im_end|>",
            "<|im",
            "\u00a0",
            "𝔘",
            "\u0000")
        .list()
        .ofMaxSize(12)
        .map(parts -> String.join("", parts));
  }

  @Test
  void specialTokensHaveTheIdsOfTheContract() {
    assertThat(tokenizer.idOf("<|endoftext|>")).isZero();
    assertThat(tokenizer.idOf("<|im_start|>")).isEqualTo(1);
    assertThat(tokenizer.idOf("<|im_end|>")).isEqualTo(2);
    assertThat(tokenizer.vocabularySize()).isEqualTo(1024);
    assertThat(tokenizer.isSpecial(2)).isTrue();
    assertThat(tokenizer.isSpecial(3)).isFalse();
  }

  @Test
  void theEnginesTemplateRendersThePromptOfTheContract() throws IOException {
    JsonNode config = BytePairEncoding.tokenizerConfig(1024);
    assertThat(config.path("eos_token").asText()).isEqualTo("<|im_end|>");
    assertThat(config.has("bos_token")).isFalse();
    SpecialTokens special =
        new SpecialTokens(Map.of("eos_token", config.path("eos_token").asText()), false);
    ChatTemplate template =
        ChatTemplate.of(config.path("chat_template").asText(), special, tokenizer, "sample");
    Questions questions = new Questions(V1, QuestionOptions.training(3));
    for (int i = 0; i < 100; i++) {
      Question question = questions.question(i);
      Conversation conversation = question.conversation();
      RenderedPrompt rendered = template.render(conversation);
      assertThat(rendered.text()).isEqualTo(question.prompt());
      assertThat(rendered.endToken()).isEqualTo("<|im_end|>");
      for (RenderedPrompt.Segment segment : rendered.segments()) {
        assertThat(segment.kept().length()).isEqualTo(segment.part().text().length());
      }
      assertThat(question.training().text())
          .isEqualTo(rendered.text() + question.response() + rendered.endToken() + "\n");
    }
  }

  @Test
  void namesSeenOrNotFallIntoTokensOfSyllablesWhereverTheyStand() {
    Names unseen = new Names(Draw.of(4, "test"), V1.lexicon(), NameSplit.RESERVED, V1.names());
    int regular = 0;
    List<String> names = new ArrayList<>(V1.names());
    for (int i = 0; i < 500; i++) {
      names.add(unseen.next());
    }
    for (String name : names) {
      String alone = tokens(name);
      String syllables = String.join("|", TokenizerTexts.syllables(V1.lexicon(), name));
      regular += alone.equals(syllables) ? 1 : 0;
      assertThat(tokens("So " + name + ".")).endsWith("| |" + alone + "|.");
    }
    assertThat(regular / (double) names.size()).isGreaterThan(0.95);
  }

  private static String tokens(String text) {
    List<String> tokens = new ArrayList<>();
    for (int id : tokenizer.encode(text).ids()) {
      tokens.add(tokenizer.decode(new int[] {id}, false));
    }
    return String.join("|", tokens);
  }

  @Test
  void noNameOfTheWorldIsOneToken() {
    assertThat(WORLD.vocabulary().stream().map(token -> token.replace("Ġ", "")))
        .doesNotContainAnyElementsOf(V1.names());
  }

  @Test
  void namesAreSplitIntoTheirSyllables() {
    Lexicon lexicon = V1.lexicon();
    Draw draw = Draw.of(3, "test");
    for (int i = 0; i < 300; i++) {
      List<String> syllables = draw.shuffled(lexicon.syllables()).subList(0, 2 + i % 2);
      String lower = String.join("", syllables);
      String name = lower.substring(0, 1).toUpperCase(Locale.ROOT) + lower.substring(1);
      assertThat(
              TokenizerTexts.syllables(lexicon, name).stream()
                  .map(syllable -> syllable.toLowerCase(Locale.ROOT)))
          .containsExactlyElementsOf(syllables);
    }
    assertThat(TokenizerTexts.bySyllables(lexicon, "The mayor is Zorquila.\n"))
        .isEqualTo("The mayor is Zor\nqui\nla.\n");
  }

  @Test
  void learningTwiceGivesTheSameFile() {
    TokenizerTexts.Options options = new TokenizerTexts.Options(2, 100, 3, 6, 5);
    List<String> files = new ArrayList<>();
    for (World world : List.of(World.v1(1), World.v1(1))) {
      files.add(
          BytePairEncoding.train(TokenizerTexts.of(world, options), 600, BytePairEncoding.GPT2)
              .tokenizer()
              .toString());
    }
    assertThat(files.get(0)).isEqualTo(files.get(1));
    assertThat(
            BytePairEncoding.train(
                    TokenizerTexts.of(V1, new TokenizerTexts.Options(3, 100, 3, 6, 5)),
                    600,
                    BytePairEncoding.GPT2)
                .tokenizer()
                .toString())
        .isNotEqualTo(files.get(0));
  }

  @Test
  void ofEquallyFrequentPairsTheLowerComesFirstAndSpecialTokensTeachNothing() {
    List<BytePairEncoding.Text> texts =
        List.of(new BytePairEncoding.Text("yx ba<|im_end|>", 2), new BytePairEncoding.Text("q", 9));
    BytePairEncoding learnt = BytePairEncoding.train(texts, 261, " |[a-z]+");
    assertThat(learnt.merges()).containsExactly("b a", "y x");
    assertThatThrownBy(() -> BytePairEncoding.train(texts, 262, " |[a-z]+"))
        .hasMessageContaining("261")
        .hasMessageContaining("262");
    assertThatThrownBy(() -> BytePairEncoding.train(texts, 258, " ")).hasMessageContaining("259");
  }

  private static BytePairEncoding fixture(String way) throws IOException {
    List<BytePairEncoding.Text> texts =
        texts(json("texts.json")).stream().map(text -> new BytePairEncoding.Text(text, 1)).toList();
    return BytePairEncoding.train(texts, 512, pattern(way));
  }

  private static String pattern(String way) {
    return way.equals("gpt2") ? BytePairEncoding.GPT2 : BytePairEncoding.NAMES_APART;
  }

  private static List<String> texts(JsonNode list) {
    List<String> texts = new ArrayList<>();
    list.forEach(text -> texts.add(text.asText()));
    return texts;
  }

  private static JsonNode json(String name) throws IOException {
    return JSON.readTree(resource(name));
  }

  private static String resource(String name) throws IOException {
    try (InputStream in = BytePairEncodingTest.class.getResourceAsStream("/fixtures/bpe/" + name)) {
      assertThat(in).as(name).isNotNull();
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }
}
