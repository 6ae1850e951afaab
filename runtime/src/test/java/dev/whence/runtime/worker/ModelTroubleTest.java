package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class ModelTroubleTest {
  @Test
  void aRecordThatFailsAgainAfterAPauseCountsOnce() {
    ModelTrouble trouble = new ModelTrouble(3);
    for (int i = 0; i < 5; i++) {
      trouble.failed(record(7));
    }
    assertThat(trouble.inARow()).isEqualTo(1);
    assertThat(trouble.tooMany()).isFalse();
    trouble.failed(record(8));
    trouble.failed(record(9));
    assertThat(trouble.tooMany()).isTrue();
  }

  private static SourceRecord record(long offset) {
    return new SourceRecord("in", 0, offset, 0, null, null, List.of());
  }
}
