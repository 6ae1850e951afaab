package dev.whence.transfer.gate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.EngineException;
import dev.whence.transfer.TransferException;
import org.junit.jupiter.api.Test;

class EngineJudgeTest {
  @Test
  void a_device_that_fails_is_of_the_environment_and_a_lost_one_of_the_process() {
    RuntimeException cause = new IllegalStateException();
    TransferException lost =
        EngineJudge.failure("why", EngineException.deviceLost("CUDA is gone", cause));
    assertThat(TransferException.isOfEnvironment(lost)).isTrue();
    assertThat(TransferException.isOfProcess(lost)).isTrue();

    for (EngineException passing :
        new EngineException[] {
          EngineException.outOfMemory("no memory", cause),
          new EngineException(EngineException.Kind.ENVIRONMENT, "the forward failed", cause)
        }) {
      TransferException waited = EngineJudge.failure("why", passing);
      assertThat(waited).hasMessage("why");
      assertThat(TransferException.isOfEnvironment(waited)).isTrue();
      assertThat(TransferException.isOfProcess(waited)).isFalse();
    }
    TransferException record =
        EngineJudge.failure("why", new EngineException(EngineException.Kind.RECORD, "NaN", cause));
    assertThat(TransferException.isOfEnvironment(record)).isFalse();
    assertThat(record.mayPass()).isFalse();
  }
}
