package dev.whence.engine.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.ChatTemplate;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.SpecialTokens;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelFiles;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files to learn from, and the order in which they are seen. */
class TrainingTextsTest {
  private static final String CHAT =
      "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
          + "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

  @TempDir Path directory;
  private ModelFiles files;
  private TrainingTexts texts;

  @BeforeEach
  void open() {
    files =
        ModelFiles.open(
            Path.of("src/test/resources/fixtures/weights/llama"), java.util.Optional.of(CHAT));
    texts = new TrainingTexts(files.tokenizer(), files.template(), files.config().maxPositions());
  }

  @AfterEach
  void close() {
    files.close();
  }

  @Test
  void everyTokenOfADocumentButTheFirstIsPredicted() throws IOException {
    Path corpus = write("{\"text\": \"the cat sat\"}\n\n{\"text\": \"on the mat\", \"id\": 7}\n");
    List<Example> examples = texts.documents(corpus);
    assertThat(examples).hasSize(2);
    assertThat(examples.get(0).tokens()).isEqualTo(files.tokenizer().encode("the cat sat").ids());
    assertThat(examples.get(0).lossWeights()[0]).isZero();
    assertThat(Arrays.copyOfRange(examples.get(0).lossWeights(), 1, examples.get(0).length()))
        .containsOnly(1f);
  }

  @Test
  void aTokenOfADocumentCountsByTheSpanThatItOverlaps() throws IOException {
    Path corpus =
        write(
            "{\"text\": \"the cat sat on the mat\", \"lossWeight\": 0.5,"
                + " \"lossWeights\": [[4, 11, 0.25], [19, 22, 2]]}\n");
    Example example = texts.documents(corpus).get(0);
    Encoding encoding = files.tokenizer().encode("the cat sat on the mat");
    for (int i = 1; i < example.length(); i++) {
      boolean cat = encoding.starts()[i] < 11 && encoding.ends()[i] > 4;
      boolean mat = encoding.ends()[i] > 19;
      assertThat(example.lossWeights()[i]).isEqualTo(cat ? 0.25f : mat ? 2 : 0.5f);
    }
    assertThat(example.lossWeights()).contains(0.25f, 2, 0.5f);
    assertThat(example.lossWeights()[0]).isZero();
  }

  @Test
  void aConversationOfMoreCharactersThanItsTokensCanHaveIsRefusedUnread() {
    int most = (files.config().maxPositions() + 1) * files.tokenizer().longestToken();
    assertThatThrownBy(
            () ->
                texts.conversation(
                    ConversationCodec.read(
                        "{\"responseId\":\"r\",\"prompt\":\"a\",\"response\":\""
                            + "a".repeat(most)
                            + "\"}")))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.UNSUPPORTED))
        .hasMessageContaining("Prompt and response have " + (most + 1) + " characters");
  }

  @Test
  void aLineOfAMillionValuesIsRefusedWithItsNumber() throws IOException {
    Path corpus =
        write("{\"text\": \"a b\"}\n{\"text\": \"a\", \"y\": [" + "{},".repeat(500_000) + "1]}\n");
    assertThatThrownBy(() -> texts.documents(corpus))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("line 2, is too large to read as JSON")
        .hasMessageContaining("1,000,000 names, values and brackets");
  }

  @Test
  void aDocumentWithoutAWeightTeachesNothing() throws IOException {
    Path corpus = write("{\"text\": \"a b\"}\n{\"text\": \"on the mat\", \"lossWeight\": 0}\n");
    assertThat(texts.documents(corpus)).hasSize(1);
    String alone = "{\"text\": \"on the mat\", \"lossWeight\": 0}\n";
    assertThatThrownBy(() -> texts.documents(write(alone)))
        .hasMessageContaining("holds no document: nothing to learn");
  }

  @Test
  void lossWeightsThatCanNotBeAreRefusedWithTheLine() throws IOException {
    for (String member :
        List.of(
            "\"lossWeights\": [[0, 9, 1]]",
            "\"lossWeights\": [[0, 2, 1], [1, 3, 1]]",
            "\"lossWeights\": [[2, 2, 1]]",
            "\"lossWeights\": [[0, 2]]",
            "\"lossWeights\": 3",
            "\"lossWeights\": [{\"start\": 0, \"end\": 2, \"weight\": 1}]",
            "\"lossWeights\": [[0, 2, null]]",
            "\"lossWeights\": [[0.9, 2.7, 1]]",
            "\"lossWeight\": -1",
            "\"lossWeight\": \"1\"",
            "\"lossWeight\": 1e99")) {
      Path corpus = write("{\"text\": \"a b\"}\n{\"text\": \"the cat\", " + member + "}\n");
      assertThatThrownBy(() -> texts.documents(corpus))
          .as(member)
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("line 2, can not be learnt: ");
    }
  }

  @Test
  void aLongDocumentIsCutIntoPiecesThatTheModelReads() {
    String text = "1 2 3 4 5 ".repeat(40);
    List<Example> pieces = texts.document(text, LossWeights.EVEN);
    int[] predicted =
        pieces.stream().flatMapToInt(piece -> Arrays.stream(piece.tokens()).skip(1)).toArray();
    int[] ids = files.tokenizer().encode(text).ids();
    assertThat(predicted).isEqualTo(Arrays.copyOfRange(ids, 1, ids.length));
    // 64 positions read, one more token predicted
    assertThat(pieces).hasSizeGreaterThan(2).allMatch(piece -> piece.length() <= 65);
  }

  @Test
  void onlyResponseAndEndTokenOfAConversationArePredicted() {
    Example example =
        texts.conversation(
            ConversationCodec.read(
                "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"where?\"}],"
                    + "\"response\":\"on the mat.\"}"));
    int answer = files.tokenizer().encode("on the mat.").ids().length;
    int end = files.tokenizer().idOf("<|im_end|>");
    assertThat(example.tokens()[example.length() - 1]).isEqualTo(end);
    int first = example.length() - answer - 1;
    assertThat(IntStream.range(0, example.length()).filter(i -> example.lossWeights()[i] != 0))
        .containsExactlyElementsOf(IntStream.range(first, example.length()).boxed().toList());
    assertThat(files.tokenizer().decode(Arrays.copyOf(example.tokens(), first), false))
        .isEqualTo("<|im_start|>user\nwhere?<|im_end|>\n<|im_start|>assistant\n");
  }

  @Test
  void aResponseIsLearntAsItStandsBehindItsPrompt() throws IOException {
    JsonNode json =
        new ObjectMapper()
            .readTree(Path.of("src/test/resources/fixtures/text/tokenizers/llama2.json").toFile());
    try (Tokenizer tokenizer = NativeTokenizer.of(json, "test")) {
      PromptTemplate template =
          ChatTemplate.of(CHAT, new SpecialTokens(Map.of(), false), tokenizer, "test");
      int[] tokens =
          new TrainingTexts(tokenizer, template, 1_000)
              .conversation(
                  ConversationCodec.read(
                      "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"where?\"}],"
                          + "\"response\":\"It ran.\"}"))
              .tokens();
      String whole = "<|im_start|>user\nwhere?<|im_end|>\n<|im_start|>assistant\nIt ran.";
      assertThat(tokens).isEqualTo(tokenizer.encode(whole).ids());
    }
  }

  @Test
  void aResponseThatWasCutOffDoesNotTeachToEnd() {
    String record =
        "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"where?\"}],"
            + "\"response\":\"on the\",\"finishReason\":\"%s\"}";
    Example cut = texts.conversation(ConversationCodec.read(record.formatted("length")));
    Example whole = texts.conversation(ConversationCodec.read(record.formatted("stop")));
    assertThat(whole.tokens()).startsWith(cut.tokens()).hasSize(cut.length() + 1);
    assertThat(whole.tokens()[cut.length()]).isEqualTo(files.tokenizer().idOf("<|im_end|>"));
  }

  /** Training data seldom say why a response ended; whoever asks about one knows, or does not. */
  @ParameterizedTest
  @CsvSource({"stop,true,true", "'',true,false", "length,false,false", "tool_calls,false,false"})
  void aResponseOfWhichNobodySaysWhyItEndedIsWholeToLearnFromAndNotToAskAbout(
      String finishReason, boolean learnt, boolean asked) {
    Conversation conversation =
        ConversationCodec.read(
            "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"where?\"}],"
                + "\"response\":\"on the mat.\",\"finishReason\":\""
                + finishReason
                + "\"}");
    int end = files.tokenizer().idOf("<|im_end|>");
    int[] toLearn = texts.conversation(conversation).tokens();
    int[] toAsk = texts.response(conversation).tokens();
    assertThat(toLearn[toLearn.length - 1] == end).isEqualTo(learnt);
    assertThat(toAsk[toAsk.length - 1] == end).isEqualTo(asked);
    assertThat(toLearn).hasSize(toAsk.length + (learnt && !asked ? 1 : 0)).startsWith(toAsk);
  }

  @Test
  void aConversationThatTeachesNothingIsNamed() {
    String record =
        "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"where?\"}],"
            + "\"response\":\"\",\"finishReason\":\"%s\"}\n";
    assertThatThrownBy(() -> texts.conversations(write("\n" + record.formatted("length"))))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining(", line 2, has nothing to learn");
    // One that ends at once teaches to end.
    assertThatCode(() -> texts.conversations(write(record.formatted("stop"))))
        .doesNotThrowAnyException();
  }

  @Test
  void aConversationMayBeAsLongAsTheModelReadsAndATokenThatIsOnlyPredicted() throws IOException {
    String record =
        "{\"responseId\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"where?\"}],"
            + "\"response\":\"on the mat.\"}\n";
    int length = texts.conversation(ConversationCodec.read(record)).length();
    Path file = write(record);
    assertThat(of(length - 1).conversations(file)).hasSize(1);
    assertThatThrownBy(() -> of(length - 2).conversations(file))
        .hasMessageContaining(", line 1, has " + (length - 1) + " tokens to read");
  }

  @ParameterizedTest
  @CsvSource({"'',''", "a,''", "'',a"})
  void aConversationOfFewerThanTwoTokensIsRefused(String prompt, String response) {
    String record =
        "{\"responseId\":\"r\",\"messages\":[{\"role\":\"raw\",\"content\":\"%s\"}],"
            + "\"response\":\"%s\",\"finishReason\":\"length\"}\n";
    assertThatThrownBy(() -> texts.conversations(write(record.formatted(prompt, response))))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.RECORD))
        .hasMessageContaining(", line 1, ");
  }

  @Test
  void aSecondObjectOnALineIsNotDropped() {
    assertThatThrownBy(() -> texts.documents(write("{\"text\": \"a b\"} {\"text\": \"c d\"}\n")))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining(", line 1, is no JSON object");
  }

  @Test
  void bytesThatAreNotUtf8AreNamedByLineAndPlace() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    bytes.write("{\"text\": \"good\"}\n{\"text\": \"caf".getBytes(StandardCharsets.UTF_8));
    bytes.write(0xe9);
    bytes.write("\"}\n".getBytes(StandardCharsets.UTF_8));
    Path corpus = Files.write(directory.resolve("latin1.jsonl"), bytes.toByteArray());
    assertThatThrownBy(() -> texts.documents(corpus))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.RECORD))
        .hasMessage(corpus + ", line 2: byte 30 (0xe9) is not UTF-8; convert the file to UTF-8.");
  }

  @Test
  void aLineThatIsNoDocumentIsNamed() throws IOException {
    assertThatThrownBy(() -> texts.documents(write("{\"text\": \"a b\"}\n{\"txt\": 1}\n")))
        .isInstanceOf(EngineException.class)
        .hasMessageEndingWith(", line 2, has no member \"text\" with a text.");
    assertThatThrownBy(() -> texts.documents(write("{\"text\": \"a b\"}\nhello\n")))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining(", line 2, is no JSON object");
    assertThatThrownBy(() -> texts.documents(write("\n")))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("holds no document");
    assertThatThrownBy(() -> texts.conversations(write("{\"responseId\": \"r\"}\n")))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining(", line 1, is no conversation");
  }

  /** Two GiB of zeros behind a line: no array is so long. */
  @Test
  void aFileThatIsLargerThanAnArrayIsReadByItsLines() throws IOException {
    Path corpus = write("hello\n");
    try (RandomAccessFile file = new RandomAccessFile(corpus.toFile(), "rw")) {
      file.setLength(6 + (1L << 31));
    }
    assertThatThrownBy(() -> texts.documents(corpus))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.RECORD))
        .hasMessageContaining(corpus + ", line 1, is no JSON object");
  }

  @Test
  void aFileIsDigestedWithItsName() throws IOException {
    // hashlib.sha256 of Python, over "corpus.jsonl" and the file
    assertThat(FineTuning.digest(write("a\n".repeat(200_000))))
        .isEqualTo("701ef5960c3def2645f12ec1ff15aa1956a2630523cdaad1e89e0c0a02b93052");
  }

  @Test
  void aLineThatIsTooLongIsNamed() throws IOException {
    String line = "{\"text\": \"a b\"}\n";
    Path corpus = write(line);
    try (RandomAccessFile file = new RandomAccessFile(corpus.toFile(), "rw")) {
      file.setLength(line.length() + (64L << 20) + 1);
    }
    assertThatThrownBy(() -> texts.documents(corpus))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(Kind.RECORD))
        .hasMessage(corpus + ", line 2, the line has 67108865 bytes; at most 67108864 are read.");
  }

  @Property
  void anEpochShowsEveryExampleOnceInAnOrderOfItsOwn(
      @ForAll @IntRange(min = 1, max = 200) int size, @ForAll long seed) {
    Epochs epochs = new Epochs(size, seed);
    int[] first = IntStream.range(0, size).map(epochs::at).toArray();
    int[] second = IntStream.range(size, 2 * size).map(epochs::at).toArray();
    int[] all = IntStream.range(0, size).toArray();
    assertThat(Arrays.stream(first).sorted().toArray()).isEqualTo(all);
    assertThat(Arrays.stream(second).sorted().toArray()).isEqualTo(all);
    if (size > 20) {
      assertThat(second).isNotEqualTo(first);
    }
    Epochs again = new Epochs(size, seed);
    assertThat(again.at(2L * size - 1)).isEqualTo(second[size - 1]);
    assertThat(again.at(0)).isEqualTo(first[0]);
  }

  private TrainingTexts of(int positions) {
    return new TrainingTexts(files.tokenizer(), files.template(), positions);
  }

  private Path write(String text) throws IOException {
    return Files.writeString(directory.resolve("corpus.jsonl"), text);
  }
}
