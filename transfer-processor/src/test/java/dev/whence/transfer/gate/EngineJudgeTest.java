package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.samples.BundledModels;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EngineJudgeTest {
  @TempDir private Path directory;

  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(EngineOptions.Dtype.FP32);

  private double loss(String... lines) throws IOException {
    Path set = Files.write(directory.resolve("set.jsonl"), List.of(lines));
    return new EngineJudge(FP32).loss(BundledModels.unpack("tiny-base"), set);
  }

  /** Log-probabilities of all tokens of a text but the first, in nats, as the engine gives them. */
  private static double[] logProbs(String text) throws IOException {
    try (LocalScorer scorer =
            LocalScorer.open(ModelFiles.open(BundledModels.unpack("tiny-base")), FP32);
        Trunk trunk = scorer.trunk(scorer.tokenizer().encode(text).ids(), 1)) {
      return trunk.logProbs();
    }
  }

  private static double sum(double[] values) {
    return Arrays.stream(values).sum();
  }

  @Test
  void aLossIsByTokenOverAllLinesWhateverTheirLength() throws IOException {
    String brief = "The river.";
    String lengthy = "The river has three bridges, and the town beside it has one. ".repeat(3);
    double[] first = logProbs(brief);
    double[] second = logProbs(lengthy);
    assertThat(second.length).isGreaterThan(5 * first.length);
    double expected = -(sum(first) + sum(second)) / (first.length + second.length);
    assertThat(loss("{\"text\": \"" + brief + "\"}", "{\"text\": \"" + lengthy + "\"}"))
        .isCloseTo(expected, within(1e-5));
    double byLine = -(sum(first) / first.length + sum(second) / second.length) / 2;
    assertThat(byLine).isNotCloseTo(expected, within(.05));
  }

  /** The template of tiny-base is ChatML: its end token is {@code <|im_end|>}. */
  @Test
  void ofAConversationTheResponseIsScoredAndItsEndIfItEndedByItself() throws IOException {
    String prompt = "<|im_start|>user\nwhere?<|im_end|>\n<|im_start|>assistant\n";
    double[] whole = logProbs(prompt + "on the mat.<|im_end|>");
    int response = whole.length - logProbs(prompt).length;
    double[] ofResponse = Arrays.copyOfRange(whole, whole.length - response, whole.length);
    double withEnd = -sum(ofResponse);
    double end = ofResponse[response - 1];

    assertThat(loss(conversation("stop"))).isCloseTo(withEnd / response, within(1e-5));
    for (String finishReason : List.of("", "length")) {
      double cut = loss(conversation(finishReason));
      assertThat(cut).isCloseTo((withEnd + end) / (response - 1), within(1e-5));
      assertThat(loss(conversation("stop")) * response - cut * (response - 1))
          .isCloseTo(-end, within(1e-4));
    }
    assertThat(-end).as("it would be seen").isGreaterThan(.01);
  }

  private static String conversation(String finishReason) {
    return "{\"responseId\": \"r\", \"messages\": [{\"role\": \"user\", \"content\": \"where?\"}],"
        + " \"response\": \"on the mat.\", \"finishReason\": \""
        + finishReason
        + "\"}";
  }

  @Test
  void aLineWithoutATextIsRefusedByItsNumberAndNotPassedOver() throws IOException {
    String good = "{\"text\": \"The river has three bridges.\"}";
    assertThat(loss(good)).isPositive();
    for (String bad :
        List.of(
            "{}",
            "{\"Text\": \"a word\"}",
            "{\"text\": null}",
            "{\"text\": [\"a word\"]}",
            "{\"text\": 7}",
            "[]",
            "7")) {
      assertThatThrownBy(() -> loss(good, bad))
          .as(bad)
          .hasMessageContaining("line 2 is neither a conversation nor an object with a text");
    }
    assertThatThrownBy(() -> loss(good, "{\"text\": \"\"}"))
        .hasMessageContaining("line 2 has no token");
  }

  @Test
  void aRawPromptWithItsResponseIsAConversation() throws IOException {
    assertThat(
            loss(
                "{\"responseId\": \"r\", \"prompt\": \"The river has\", \"response\": \" three"
                    + " bridges.\"}"))
        .isPositive();
  }

  @Test
  void shortMemoryIsOfTheEnvironmentAndALostDeviceOfTheProcess() {
    RuntimeException cause = new IllegalStateException();
    TransferException lost =
        EngineJudge.failure("why", EngineException.deviceLost("CUDA is gone", cause));
    assertThat(TransferException.isOfEnvironment(lost)).isTrue();
    assertThat(TransferException.isOfProcess(lost)).isTrue();

    for (EngineException passing :
        new EngineException[] {
          EngineException.outOfMemory("no memory", cause),
          // as a forward says it that was tried in the smallest parts, and the loading of a model
          new EngineException(
              EngineException.Kind.RECORD,
              "too large",
              EngineException.outOfMemory("no memory", cause)),
          new EngineException(
              EngineException.Kind.ENVIRONMENT,
              "too large",
              EngineException.outOfMemory("no memory", cause))
        }) {
      TransferException waited = EngineJudge.failure("why", passing);
      assertThat(waited).hasMessage("why");
      assertThat(TransferException.isOfEnvironment(waited)).isTrue();
      assertThat(TransferException.isOfProcess(waited)).isFalse();
    }
    TransferException missing =
        EngineJudge.failure(
            "why", new EngineException(EngineException.Kind.ENVIRONMENT, "no such device", cause));
    assertThat(TransferException.isOfEnvironment(missing)).isFalse();
    assertThat(missing.mayPass()).isTrue();
    TransferException record =
        EngineJudge.failure("why", new EngineException(EngineException.Kind.RECORD, "NaN", cause));
    assertThat(TransferException.isOfEnvironment(record)).isFalse();
    assertThat(record.mayPass()).isFalse();
  }
}
