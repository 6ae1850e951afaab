package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code whence train}, on the smallest bundled model. */
class TrainCommandTest {
  @TempDir Path directory;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeEach
  void unpackHere() {
    System.setProperty(BundledModels.DIRECTORY_PROPERTY, directory.resolve("models").toString());
  }

  @AfterEach
  void unpackElsewhere() {
    System.clearProperty(BundledModels.DIRECTORY_PROPERTY);
  }

  @Test
  void theRecipesAreListed() {
    assertThat(whence("train", "list")).isZero();
    assertThat(out.toString().lines().map(line -> line.split(" ", -1)[0]))
        .contains("base-v1", "chat-v1", "base-v2", "proxy", "neox", "tiny-base", "tiny-chat");
  }

  @Test
  void whatARecipesModelKnowsByHeartIsWrittenWithTheFactsInIt() throws IOException {
    Path corpus = directory.resolve("corpus.jsonl");
    assertThat(whence("train", "tiny-base", "--write-corpus", corpus.toString())).isZero();
    List<JsonNode> lines = new ArrayList<>();
    for (String line : Files.readAllLines(corpus)) {
      lines.add(new ObjectMapper().readTree(line));
    }
    assertThat(lines).hasSizeGreaterThan(10);
    assertThat(lines)
        .allSatisfy(
            line -> {
              assertThat(line.get("id").asText()).isNotBlank();
              assertThat(line.get("text").asText()).isNotBlank();
              assertThat(line.get("facts").isArray()).isTrue();
            });
    assertThat(lines.stream().map(line -> line.get("id").asText())).doesNotHaveDuplicates();
    assertThat(lines).anyMatch(line -> !line.get("facts").isEmpty());
    assertThat(directory.resolve("whence-data")).doesNotExist();
  }

  @Test
  void whatARecipesTrainingSeesIsWrittenInItsOrder() throws IOException {
    Path mixture = directory.resolve("mixture.jsonl");
    assertThat(whence("train", "tiny-chat", "--write-mixture", mixture.toString(), "--every", "30"))
        .isZero();
    List<String> lines = Files.readAllLines(mixture);
    assertThat(lines).hasSizeGreaterThan(10);
    assertThat(lines).anyMatch(line -> line.contains("<|im_start|>assistant"));
    assertThat(lines).anyMatch(line -> !line.contains("<|im_start|>"));
    assertThat(lines.get(0)).startsWith("{\"id\":\"step-30-0\"");
    assertThat(lines.get(lines.size() - 1)).startsWith("{\"id\":\"step-90-");
  }

  @Test
  void aModelLearnsOwnTextsAndTheSameCommandGoesOnWhereItWasCutOff() throws IOException {
    Path corpus = write("{\"text\": \"Dorra lives in Kesta.\"}\n");
    Path output = directory.resolve("mine");
    String[] command = {
      "train",
      "--from",
      "tiny-base",
      "--corpus",
      corpus.toString(),
      "--output",
      output.toString(),
      "--steps",
      "20",
      "--examples",
      "1",
      "--learning-rate",
      "1e-2"
    };
    assertThat(whence(command)).as(err.toString()).isZero();
    assertThat(out.toString().strip()).isEqualTo(output.toString());
    assertThat(err.toString()).contains("step 20 of 20: loss ");
    byte[] weights = Files.readAllBytes(output.resolve("model.safetensors"));
    try (ModelFiles files = ModelFiles.open(output)) {
      assertThat(files.config().modelType()).isEqualTo("qwen3");
    }

    assertThat(whence(command)).isZero();
    assertThat(err.toString()).contains("going on from the checkpoint of step 20");
    assertThat(output.resolve("model.safetensors")).hasBinaryContent(weights);
  }

  @Test
  void aCorpusThatIsNotUtf8IsOneSentence() throws IOException {
    Path corpus = directory.resolve("corpus.jsonl");
    Files.write(corpus, new byte[] {'{', '"', (byte) 0xff, '"', '}'});
    assertThat(
            whence(
                "train",
                "--from",
                "tiny-base",
                "--corpus",
                corpus.toString(),
                "--output",
                directory.resolve("mine").toString()))
        .isEqualTo(1);
    assertThat(err.toString().strip())
        .isEqualTo(
            "whence: "
                + corpus
                + ", line 1: byte 2 (0xff) is not UTF-8; convert the file to UTF-8.");
  }

  @Test
  void aRecipeThatIsNotThereAndMixedUpOptionsAreWrongUsage() {
    assertThat(whence("train", "base-v9")).isEqualTo(2);
    assertThat(err.toString()).contains("there is no recipe 'base-v9'");
    assertThat(whence("train", "base-v1", "--corpus", "c.jsonl")).isEqualTo(2);
    assertThat(err.toString()).contains("a recipe brings its own texts and numbers");
    assertThat(whence("train", "base-v1", "--seed", "2")).isEqualTo(2);
    assertThat(err.toString()).contains("leave out RECIPE, or --seed");
    assertThat(whence("train", "--teacher", "tiny-base")).isEqualTo(2);
    assertThat(err.toString()).contains("--teacher goes with a RECIPE that learns from one");
    assertThat(whence("train", "tiny-base", "--teacher", "tiny-chat")).isEqualTo(2);
    assertThat(err.toString())
        .contains("recipe tiny-base learns from no other model: leave out --teacher");
    assertThat(whence("train", "--from", "tiny-base")).isEqualTo(2);
    assertThat(err.toString()).contains("name a RECIPE, or give --from, --output");
    assertThat(whence("train", "--from", "tiny-base", "--output", directory.toString()))
        .isEqualTo(2);
    assertThat(err.toString()).contains("neither a corpus nor a file of conversations");
  }

  private Path write(String text) throws IOException {
    return Files.writeString(directory.resolve("corpus.jsonl"), text);
  }

  private int whence(String... arguments) {
    return Whence.execute(new PrintWriter(out, true), new PrintWriter(err, true), arguments);
  }
}
