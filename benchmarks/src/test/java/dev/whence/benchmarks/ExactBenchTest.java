package dev.whence.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.benchmarks.ExactReport.LeaveOneOutRun;
import dev.whence.engine.EngineOptions.Dtype;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExactBenchTest {
  /** Two documents with four spans in all; the tiny model's tokens are bytes. */
  private static final String RECORD =
      """
      {"responseId": "r-1", "messages": [{"role": "user", "content": [
        {"kind": "instruction", "text": "Read.\\n\\n"},
        {"kind": "retrieved", "id": "a", "text": "One is here. Two is there.",
         "sources": [[0, 13], [13, 26]]},
        {"kind": "retrieved", "id": "b", "text": " Three. Four.", "sources": [[1, 8], [8, 13]]},
        {"kind": "question", "text": "\\n\\nWhere is one?"}]}],
       "response": "here", "finishReason": "stop"}
      """
          .replaceAll("\\R\\s*", "");

  @TempDir Path directory;

  @Test
  void speedAndExactnessOfAPromptAreReported() throws IOException {
    Path model = TinyModel.write(directory.resolve("tiny"), 1);
    Path input = Files.writeString(directory.resolve("in.jsonl"), "{}\n" + RECORD + "\n");
    Path ids = directory.resolve("ids.jsonl");

    ExactReport report =
        ExactBench.run(
            new ExactBench.Options(model, input, 2, Dtype.BF16, 2, true, Optional.of(ids)),
            sentence -> {});

    // the template's frames, the texts, "here" and the end token
    int user =
        "<s>user\n".length() - 2 + "Read.\n\nOne is here. Two is there. Three. Four.".length();
    int tokens = user + "\n\nWhere is one?<e>\n<s>assistant\n".length() - 4 + "here<".length();
    ExactReport.PromptFigures prompt = report.prompts().get(0);
    assertThat(prompt.tokens()).isEqualTo(tokens);
    assertThat(prompt.responseTokens()).isEqualTo(5);
    assertThat(prompt.runs()).extracting(LeaveOneOutRun::dtype).containsExactly("bf16", "fp32");
    for (LeaveOneOutRun run : prompt.runs()) {
      assertThat(run.sources()).hasSize(4);
      assertThat(run.seconds().min()).isPositive();
      assertThat(run.processorSeconds().min()).isPositive();
      assertThat(run.tokensComputed()).isLessThan(run.naiveTokensComputed().getAsLong());
      assertThat(run.naiveSeconds().getAsDouble()).isPositive();
    }
    assertThat(report.exactness().get("fp32")).isLessThan(1e-3);
    assertThat(report.noise().orElseThrow().sources()).isEqualTo(4);
    assertThat(report.forwards())
        .allSatisfy(f -> assertThat(f.fractionOfPeak()).isBetween(0.0, 1.0));
    assertThat(report.gemm())
        .extracting(ExactReport.GemmRate::dtype)
        .containsExactly("bf16", "fp32");
    JsonNode json = new ObjectMapper().readTree(report.json());
    assertThat(json.at("/prompts/0/runs/1/sources/3/tau").isNumber()).isTrue();
    assertThat(report.evidence("whence bench exact").markdown()).contains("| r-1 | fp32 |");

    JsonNode dumped = new ObjectMapper().readTree(Files.readString(ids));
    assertThat(dumped.at("/full/ids")).hasSize(tokens);
    int[] lengths = {13, 13, 7, 5};
    for (int i = 0; i < lengths.length; i++) {
      assertThat(dumped.at("/sources/" + i + "/ids")).hasSize(tokens - lengths[i]);
      assertThat(dumped.at("/sources/" + i + "/scoredFrom").asInt())
          .isEqualTo(tokens - lengths[i] - 5);
    }
  }

  @Test
  void linesWithTheSameIdStayApartAndAResponseMayBeMostOfTheTokens() throws IOException {
    Path model = TinyModel.write(directory.resolve("tiny"), 1);
    String answer = "One is here, and two is there, and three and four are nowhere. ".repeat(4);
    String longer = RECORD.replace("\"here\"", "\"" + answer + "\"");
    Path input = Files.writeString(directory.resolve("in.jsonl"), RECORD + "\n" + longer + "\n");
    ExactReport report =
        ExactBench.run(
            new ExactBench.Options(model, input, 0, Dtype.FP32, 1, false, Optional.empty()),
            sentence -> {});
    // bytes and the end token
    assertThat(report.prompts())
        .extracting(ExactReport.PromptFigures::responseTokens)
        .containsExactly("here".length() + 1, answer.length() + 1);
    assertThat(report.forwards())
        .allSatisfy(forward -> assertThat(forward.seconds().runs()).isEqualTo(1));
  }

  @Test
  void aLineThatIsNotThereIsNamed() throws IOException {
    Path model = TinyModel.write(directory.resolve("tiny"), 1);
    Path input = Files.writeString(directory.resolve("in.jsonl"), RECORD + "\n");
    ExactBench.Options options =
        new ExactBench.Options(model, input, 7, Dtype.FP32, 1, false, Optional.empty());
    assertThatThrownBy(() -> ExactBench.run(options, sentence -> {}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("line 7");
  }
}
