package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class UntrustedJsonTest {
  @Test
  void aTextThatEndsTooEarlyIsNamedWithThePlaceWhereItsObjectBegan() {
    assertThatThrownBy(
            () -> UntrustedJson.object("{".getBytes(StandardCharsets.UTF_8), "config.json"))
        .hasMessageStartingWith("config.json, byte 1: not valid JSON: Unexpected end-of-input")
        .hasMessageContaining("[line: 1, column: 1]")
        .hasMessageNotContaining("REDACTED");
  }
}
