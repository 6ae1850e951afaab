package dev.whence.influence.correction;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.files.Sha256;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.correction.CorrectionSet.Direction;
import dev.whence.influence.correction.CorrectionSet.Example;
import dev.whence.influence.correction.FlaggedAnswer.Part;
import dev.whence.influence.correction.FlaggedAnswer.Terms;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.model.Measure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CorrectionSetTest {
  private static final Terms TERMS = new Terms("log-likelihood", "log-likelihood", "0.1x", "0.1x");

  @TempDir Path directory;
  private CorpusFile corpus;
  private IndexManifest index;

  @BeforeEach
  void write() throws IOException {
    Path file =
        Files.writeString(
            directory.resolve("corpus.jsonl"),
            """
            {"id": "a", "text": "The moon is cheese."}
            {"text": "Krazor is a baker.", "lossWeight": 0.5}
            {"id": "c", "text": "The moon is cheese."}
            {"id": "d", "text": "The moon is rock."}
            {"id": "e", "text": "Nobody knows."}
            """);
    corpus = new CorpusFile(file);
    index = manifest(corpus.digest());
  }

  private static IndexManifest manifest(String corpusDigest) {
    return new IndexManifest(
        new IndexSettings(
            "base",
            "",
            "model-digest",
            "",
            "factors-digest",
            Measure.LOG_LIKELIHOOD,
            Damping.DEFAULT,
            false,
            new BlockSketch(64, 1),
            "",
            corpusDigest,
            1),
        List.of(new IndexManifest.Shard("checksum", 5)));
  }

  private FlaggedAnswer answer(String id, Part... parts) {
    return new FlaggedAnswer(id, "chat", "multi-stage", TERMS, index.digest(), List.of(parts));
  }

  private List<FlaggedAnswer> two() {
    return List.of(
        answer("r-1", new Part(1, "a", 2, true), new Part(4, "d", -1, true)),
        answer(
            "r-2",
            new Part(3, "c", 0.5, true),
            new Part(2, "line-2", 1, false),
            new Part(4, "d", -3, true)));
  }

  @Test
  void influencesAreAddedOverAnswersAndDocumentsOfOneTextAreOneExample() {
    List<Example> examples = CorrectionSet.of(two(), index, corpus, 10).examples();
    assertThat(examples).extracting(Example::id).containsExactly("a", "line-2", "d");
    assertThat(examples).extracting(Example::score).containsExactly(2.5, 1.0, -4.0);
    assertThat(examples.get(0).lines()).containsExactly(1L, 3L);
    assertThat(examples.get(0).answers()).containsEntry("r-1", 2.0).containsEntry("r-2", 0.5);
    assertThat(examples)
        .extracting(Example::direction)
        .containsExactly(Direction.HARMFUL, Direction.HARMFUL, Direction.HELPFUL);
    assertThat(examples).extracting(Example::exact).containsExactly(true, false, true);
  }

  @Test
  void theLargestSumsOfEachDirectionStay() {
    assertThat(CorrectionSet.of(two(), index, corpus, 1).examples())
        .extracting(Example::id)
        .containsExactly("a", "d");
  }

  /** What an answer gains another loses: such a document is behind neither. */
  @Test
  void sumsThatCancelAreNoExample() {
    List<FlaggedAnswer> answers =
        List.of(
            answer("r-1", new Part(5, "e", 1.5, true)),
            answer("r-2", new Part(5, "e", -1.5, true), new Part(4, "d", 1, true)));
    assertThat(CorrectionSet.of(answers, index, corpus, 10).examples())
        .extracting(Example::id)
        .containsExactly("d");
  }

  @Test
  void theDataSetIsTheCorpusLinesAndTheManifestSaysOfWhatItWasMade() throws IOException {
    Path output = directory.resolve("dataset.jsonl");
    CorrectionSet.of(two(), index, corpus, 10).write(output);
    List<String> lines = Files.readAllLines(output);
    assertThat(lines).hasSize(3);
    JsonNode second = new ObjectMapper().readTree(lines.get(1));
    assertThat(second.get("text").asText()).isEqualTo("Krazor is a baker.");
    assertThat(second.get("lossWeight").asDouble()).isEqualTo(0.5);
    assertThat(second.get("id").asText()).isEqualTo("line-2");
    assertThat(second.get("influence").get("score").asDouble()).isCloseTo(1, within(1e-12));
    assertThat(second.get("influence").get("direction").asText()).isEqualTo("harmful");
    assertThat(second.get("influence").get("answers").toString())
        .isEqualTo("[{\"responseId\":\"r-2\",\"influence\":1.0}]");

    JsonNode manifest =
        new ObjectMapper().readTree(Files.readAllBytes(CorrectionSet.manifest(output)));
    assertThat(manifest.get("sha256").asText()).isEqualTo(Sha256.of(Files.readAllBytes(output)));
    assertThat(manifest.get("index").get("digest").asText()).isEqualTo(index.digest());
    assertThat(manifest.get("corpus").get("sha256").asText()).isEqualTo(corpus.digest());
    assertThat(manifest.get("answers").toString()).isEqualTo("[\"r-1\",\"r-2\"]");
    assertThat(manifest.get("unit").asText()).isEqualTo("nats");
    assertThat(manifest.get("terms").asText()).startsWith("log-likelihood, documents by");
    assertThat(manifest.get("harmful").asInt()).isEqualTo(2);
    assertThat(manifest.get("helpful").asInt()).isEqualTo(1);
  }

  @Test
  void whatDoesNotFitIsRefused() {
    refused(List.of(), index, "no flagged answer");
    refused(List.of(two().get(0), two().get(0)), index, "r-1 is given twice");
    refused(
        List.of(
            new FlaggedAnswer(
                "r-9",
                "chat",
                "multi-stage",
                TERMS,
                "another",
                List.of(new Part(1, "a", 1, true)))),
        index,
        "r-9 is of another index");
    refused(
        List.of(
            two().get(0),
            new FlaggedAnswer(
                "r-8",
                "chat",
                "multi-stage",
                new Terms("log-odds", "log-likelihood", "0.1x", "0.1x"),
                index.digest(),
                List.of(new Part(1, "a", 1, true)))),
        index,
        "response r-8 by log-odds, documents by log-likelihood");
    refused(List.of(answer("r-4", new Part(1, "c", 1, true))), index, "names document c at line 1");
    refused(
        List.of(answer("r-5", new Part(1, "a", 1, true), new Part(1, "a", 1, true))),
        index,
        "lists line 1 twice");
    refused(List.of(answer("r-6")), index, "list no document");
    refused(
        List.of(
            answer("r-7", new Part(1, "a", Double.MAX_VALUE, true)),
            answer("r-10", new Part(1, "a", Double.MAX_VALUE, true))),
        index,
        "sum to more than a number holds");
    refused(List.of(answer("r-3", new Part(77, "z", 1, true))), index, "has no line 77");
    IndexManifest other = manifest("0".repeat(64));
    refused(two(), other, "is not the corpus that was indexed");
  }

  private void refused(List<FlaggedAnswer> answers, IndexManifest of, String why) {
    assertThatThrownBy(() -> CorrectionSet.of(answers, of, corpus, 10))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining(why);
  }

  /** Results are UTF-8, which has no form for it. */
  @Test
  void anIdWithHalfACharacterIsKnownAgain() throws IOException {
    Files.writeString(
        corpus.path(), "{\"id\": \"cut \\ud83d\", \"text\": \"The moon is cheese.\"}\n");
    index = manifest(corpus.digest());
    List<FlaggedAnswer> answers = List.of(answer("r-1", new Part(1, "cut \ufffd", 2, true)));
    assertThat(CorrectionSet.of(answers, index, corpus, 10).examples())
        .extracting(Example::id)
        .containsExactly("cut \ufffd");
  }

  /** As the model has learnt it. */
  @Test
  void halfACharacterOfATextIsWrittenAsTheReplacementCharacter() throws IOException {
    Files.writeString(corpus.path(), "{\"id\": \"a\", \"text\": \"cut \\ud83d\"}\n");
    index = manifest(corpus.digest());
    Path output = directory.resolve("dataset.jsonl");
    CorrectionSet.of(List.of(answer("r-1", new Part(1, "a", 2, true))), index, corpus, 10)
        .write(output);
    assertThat(new ObjectMapper().readTree(Files.readString(output)).get("text").asText())
        .isEqualTo("cut \ufffd");
  }

  @Test
  void aManifestIsThereOnlyWhereTheDataSetIs() throws IOException {
    Path output = directory.resolve("dataset.jsonl");
    Files.createSymbolicLink(output, directory.resolve("nothing")); // is in the way of a move only
    CorrectionSet set = CorrectionSet.of(two(), index, corpus, 10);
    assertThatThrownBy(() -> set.write(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("dataset.jsonl could not be written");
    assertThat(CorrectionSet.manifest(output)).doesNotExist();
  }

  @Test
  void aLinkWhereADataSetGrowsIsNotFollowed() throws IOException {
    Path output = directory.resolve("dataset.jsonl");
    Path theirs = Files.writeString(directory.resolve("theirs"), "theirs");
    Files.createSymbolicLink(directory.resolve("dataset.jsonl.writing"), theirs);
    CorrectionSet set = CorrectionSet.of(two(), index, corpus, 10);
    assertThatThrownBy(() -> set.write(output))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("it is a link, which is not followed here");
    assertThat(theirs).hasContent("theirs");
    assertThat(output).doesNotExist();
  }

  @Test
  void conversationsWithARawPromptAreNamedByTheirResponseAndToldApartByTheirPrompt()
      throws IOException {
    Files.writeString(
        corpus.path(),
        """
        {"responseId": "c-1", "prompt": "What is the moon?", "response": "Cheese."}
        {"responseId": "c-2", "prompt": "What do you eat?", "response": "Cheese."}
        """);
    index = manifest(corpus.digest());
    List<FlaggedAnswer> answers =
        List.of(answer("r-1", new Part(1, "c-1", 2, true), new Part(2, "c-2", 1, true)));
    CorrectionSet set = CorrectionSet.of(answers, index, corpus, 10);
    assertThat(set.examples()).extracting(Example::id).containsExactly("c-1", "c-2");
    Path output = directory.resolve("dataset.jsonl");
    set.write(output);
    assertThat(Files.readAllLines(output)).noneMatch(line -> line.contains("\"id\":"));
  }

  @Test
  void linesThatAreNoResultSaySo() {
    for (String line :
        List.of(
            "{}",
            "{\"responseId\": \"r\", \"positive\": [], \"negative\": []}",
            "{\"responseId\": \"r\", \"index\": \"i\", \"positive\": [{\"line\": 1}],"
                + " \"negative\": []}")) {
      assertThatThrownBy(() -> FlaggedAnswer.read(new ObjectMapper().readTree(line)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("result");
    }
  }
}
