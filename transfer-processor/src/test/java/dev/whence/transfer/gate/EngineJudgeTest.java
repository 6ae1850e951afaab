package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.samples.BundledModels;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EngineJudgeTest {
  @TempDir private Path directory;

  private double loss(String... lines) throws IOException {
    Path set = Files.write(directory.resolve("set.jsonl"), List.of(lines));
    return new EngineJudge(EngineOptions.defaults().withDtype(EngineOptions.Dtype.FP32))
        .loss(BundledModels.unpack("tiny-base"), set);
  }

  @Test
  void a_line_without_a_text_is_refused_by_its_number_and_not_passed_over() throws IOException {
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
  void a_raw_prompt_with_its_response_is_a_conversation() throws IOException {
    assertThat(
            loss(
                "{\"responseId\": \"r\", \"prompt\": \"The river has\", \"response\": \" three"
                    + " bridges.\"}"))
        .isPositive();
  }

  @Test
  void short_memory_is_of_the_environment_and_a_lost_device_of_the_process() {
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
