package dev.whence.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.benchmarks.TinyModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.api.io.TempDir;

@TestInstance(Lifecycle.PER_CLASS)
class AttributeCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String ANSWERED =
      """
      {"responseId": "%s", "messages": [{"role": "user", "content": [\
      {"kind": "instruction", "text": "Answer.\\n"},\
      {"kind": "retrieved", "id": "doc", "text": "Ada wrote it. Bob read it. "},\
      {"kind": "question", "text": "Who wrote it?"}]}], \
      "response": "Ada.", "finishReason": "stop"}
      """;

  @TempDir private Path directory;
  private String model = "";

  @BeforeAll
  void writeModel(@TempDir Path models) throws Exception {
    model = TinyModel.write(models.resolve("model"), 1).toString();
  }

  @Test
  void eachLineGivesOneJsonObjectInOrderAndABadLineIsNamedWithItsNumber() throws Exception {
    Path input =
        Files.writeString(
            directory.resolve("in.jsonl"),
            ANSWERED.formatted("first")
                + "{not json\n"
                + """
                {"responseId": "picture", "messages": [{"role": "user", "content": [\
                {"type": "image_url", "image_url": {"url": "x"}}]}], "response": "A cat."}
                """
                + ANSWERED.formatted("last"));

    CommandRun run =
        CommandRun.of("attribute", "--model", model, "--input", input.toString(), "--json");

    List<JsonNode> results = new ArrayList<>();
    for (String line : run.out()) {
      results.add(JSON.readTree(line));
    }
    assertThat(results)
        .extracting(r -> r.get("responseId").asText())
        .containsExactly("first", "picture", "last");
    assertThat(results)
        .extracting(r -> r.get("status").asText())
        .containsExactly("SCORED", "UNSUPPORTED", "SCORED");
    assertThat(run.err()).hasSize(1);
    assertThat(run.err().get(0)).contains("line 2");
    assertThat(run.exit()).isEqualTo(1);
  }

  @Test
  void tauIsTheDifferenceOfTheLikelihoodsWithAndWithoutTheSource() throws Exception {
    String whole = ANSWERED.formatted("whole");
    String without = whole.replace("Bob read it. ", "").replace("whole", "without");
    Path input = Files.writeString(directory.resolve("two.jsonl"), whole + without);

    CommandRun run =
        CommandRun.of(
            "attribute",
            "--model",
            model,
            "--input",
            input.toString(),
            "--json",
            "--dtype",
            "fp32");

    assertThat(run.exit()).isZero();
    JsonNode first = JSON.readTree(run.out().get(0));
    JsonNode second = JSON.readTree(run.out().get(1));
    JsonNode bob = first.get("sources").get(1);
    assertThat(bob.get("text").asText()).isEqualTo("Bob read it. ");
    assertThat(bob.get("tau").asDouble())
        .isCloseTo(
            first.get("logLikelihood").asDouble() - second.get("logLikelihood").asDouble(),
            org.assertj.core.data.Offset.offset(1e-3));
  }

  @Test
  void whatBecomesOfAPromptPastTheWindowIsSaidByName() throws Exception {
    Path input = Files.writeString(directory.resolve("over.jsonl"), ANSWERED.formatted("r"));
    CommandRun run =
        CommandRun.of(
            "attribute", "--model", model, "--input", input.toString(), "--over-window", "cut");
    assertThat(run.exit()).isEqualTo(2);
    assertThat(String.join(" ", run.err())).contains("refuse or drop-sources");

    run =
        CommandRun.of(
            "attribute",
            "--model",
            model,
            "--input",
            input.toString(),
            "--json",
            "--over-window",
            "drop-sources");
    assertThat(run.exit()).isZero();
    assertThat(JSON.readTree(run.out().get(0)).get("leftOut")).isEmpty();
  }

  @Test
  void resultsThatNobodyTakesEndTheRunInOneSentenceBeforeTheNextLineIsScored() throws Exception {
    Path input =
        Files.writeString(
            directory.resolve("gone.jsonl"), ANSWERED.formatted("first") + "{not json\n");
    for (String command : List.of("attribute", "generate")) {
      StringWriter err = new StringWriter();

      int exit =
          Whence.execute(
              new PrintWriter(new ClosedPipe()),
              new PrintWriter(err, true),
              command,
              "--model",
              model,
              "--input",
              input.toString());

      // Line 2 would be named, too, had it been read.
      assertThat(err.toString().lines())
          .containsExactly(
              "whence: standard output can not be written (it is closed, or its disk is full):"
                  + " results are missing");
      assertThat(exit).isEqualTo(1);
    }
  }

  @Test
  void aCompressedFileThatIsCutOffIsNamed() throws Exception {
    ByteArrayOutputStream whole = new ByteArrayOutputStream();
    try (OutputStream out = new GZIPOutputStream(whole)) {
      out.write(ANSWERED.formatted("packed").getBytes(StandardCharsets.UTF_8));
    }
    byte[] bytes = whole.toByteArray();
    for (int length : new int[] {5, bytes.length - 12}) { // in its header, in its data
      Path cut = Files.write(directory.resolve("cut.jsonl.gz"), Arrays.copyOf(bytes, length));
      for (String command : List.of("attribute", "generate")) {
        CommandRun run = CommandRun.of(command, "--model", model, "--input", cut.toString());
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err())
            .singleElement()
            .asString()
            .startsWith("whence: '" + cut + "' can not be read: ");
      }
    }
  }

  @Test
  void aCompressedFileAndAPipeAreReadAsTheyAre() throws Exception {
    Path gzip = directory.resolve("in.jsonl.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(gzip))) {
      out.write(ANSWERED.formatted("packed").getBytes(StandardCharsets.UTF_8));
    }
    CommandRun packed =
        CommandRun.of("attribute", "--model", model, "--input", gzip.toString(), "--json");
    assertThat(packed.err()).isEmpty();
    assertThat(JSON.readTree(packed.out().get(0)).get("responseId").asText()).isEqualTo("packed");

    Path pipe = directory.resolve("pipe");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    CompletableFuture<Void> writing =
        CompletableFuture.runAsync(
            () -> {
              try {
                Files.writeString(pipe, ANSWERED.formatted("piped"), StandardOpenOption.WRITE);
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
    CommandRun piped =
        CommandRun.of("attribute", "--model", model, "--input", pipe.toString(), "--json");
    writing.get(60, TimeUnit.SECONDS);
    assertThat(piped.err()).isEmpty();
    assertThat(JSON.readTree(piped.out().get(0)).get("responseId").asText()).isEqualTo("piped");

    CommandRun none = CommandRun.of("attribute", "--model", model, "--input", directory.toString());
    assertThat(none.exit()).isEqualTo(2);
  }

  @Test
  void onlyUnsupportedResponsesAreNoFailure() throws Exception {
    Path input =
        Files.writeString(
            directory.resolve("unsupported.jsonl"),
            """
            {"responseId": "picture", "messages": [{"role": "user", "content": [\
            {"type": "image_url", "image_url": {"url": "x"}}]}], "response": "A cat."}
            """);
    CommandRun run =
        CommandRun.of("attribute", "--model", model, "--input", input.toString(), "--json");
    assertThat(run.exit()).isZero();
    assertThat(run.err()).isEmpty();
  }

  @Test
  void theHeatMapShowsAnswerAndSources() throws Exception {
    Path input = Files.writeString(directory.resolve("map.jsonl"), ANSWERED.formatted("r"));
    CommandRun run = CommandRun.of("attribute", "--model", model, "--input", input.toString());
    assertThat(run.exit()).isZero();
    assertThat(String.join("\n", run.out())).contains("Ada.", "nats");
  }

  @Test
  void topKBoundsTheHeatMapAsItBoundsTheJson() throws Exception {
    Path input = Files.writeString(directory.resolve("top.jsonl"), ANSWERED.formatted("r"));
    String[] arguments = {"attribute", "--model", model, "--input", input.toString()};
    assertThat(String.join("\n", CommandRun.of(arguments).out())).contains(", 2 sources, ");

    List<String> cut = new ArrayList<>(List.of(arguments));
    cut.addAll(List.of("--top-k", "1"));
    CommandRun run = CommandRun.of(cut.toArray(String[]::new));
    assertThat(run.exit()).isZero();
    assertThat(String.join("\n", run.out()))
        .contains(", the 1 largest of 2 sources, ")
        .doesNotContain("source 2:");
  }

  @Test
  void failedResponsesAreTheirResultsAndOneSentence() throws Exception {
    Path broken = TinyModel.write(directory.resolve("broken"), 1);
    Path weights = broken.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    // The last rows of the last tensor, which gives the logits: 3.4e38 each, so they overflow.
    Arrays.fill(bytes, bytes.length - 4096, bytes.length, (byte) 0x7F);
    Files.write(weights, bytes);
    Path input =
        Files.writeString(
            directory.resolve("failed.jsonl"),
            ANSWERED.formatted("first") + ANSWERED.formatted("second"));

    CommandRun run =
        CommandRun.of(
            "attribute",
            "--model",
            broken.toString(),
            "--input",
            input.toString(),
            "--json",
            "--dtype",
            "fp32");

    assertThat(run.out()).hasSize(2).allMatch(line -> line.contains("\"status\":\"FAILED\""));
    assertThat(run.err())
        .containsExactly(
            "whence: 2 of 2 responses FAILED; their results say why (reasonCode, reason)");
    assertThat(run.exit()).isEqualTo(1);
  }

  @Test
  void anUnknownMethodIsWrongUsage() throws Exception {
    Path input = Files.writeString(directory.resolve("m.jsonl"), ANSWERED.formatted("r"));
    CommandRun run =
        CommandRun.of(
            "attribute", "--model", model, "--input", input.toString(), "--method", "guess");
    assertThat(run.exit()).isEqualTo(2);
    assertThat(run.err()).hasSize(1);
  }

  @Test
  void generateWritesCompleteRecordsThatAttributeReads() throws Exception {
    Path prompts =
        Files.writeString(
            directory.resolve("prompts.jsonl"),
            ANSWERED
                .formatted("asked")
                .replace(", \"response\": \"Ada.\", \"finishReason\": \"stop\"", ""));
    CommandRun generated =
        CommandRun.of(
            "generate", "--model", model, "--input", prompts.toString(), "--max-new-tokens", "5");
    assertThat(generated.err()).isEmpty();
    assertThat(generated.exit()).isZero();

    Path records = Files.write(directory.resolve("records.jsonl"), generated.out());
    CommandRun run =
        CommandRun.of("attribute", "--model", model, "--input", records.toString(), "--json");
    assertThat(run.exit()).isZero();
    assertThat(JSON.readTree(run.out().get(0)).get("status").asText()).isEqualTo("SCORED");
  }

  @Test
  void generateLooksAwayFromTheAnswerAndTheReasoningThatAreThereAlready() throws Exception {
    String answered = ANSWERED.formatted("asked");
    String unanswered =
        answered.replace(", \"response\": \"Ada.\", \"finishReason\": \"stop\"", "");
    String thought = answered.replace("\"response\"", "\"reasoning\": \"Ada, no?\", \"response\"");
    Path prompts = Files.writeString(directory.resolve("twice.jsonl"), unanswered + thought);

    CommandRun generated =
        CommandRun.of(
            "generate", "--model", model, "--input", prompts.toString(), "--max-new-tokens", "5");

    assertThat(generated.err()).isEmpty();
    assertThat(generated.exit()).isZero();
    assertThat(generated.out()).hasSize(2);
    assertThat(generated.out().get(1))
        .isEqualTo(generated.out().get(0))
        .doesNotContain("reasoning");
  }
}
