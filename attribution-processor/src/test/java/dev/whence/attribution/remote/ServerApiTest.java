package dev.whence.attribution.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import org.junit.jupiter.api.Test;

/** Numbers that a server calls log-probabilities. */
class ServerApiTest {
  @Test
  void whatAModelMayGiveATokenIsTaken() {
    assertThat(ServerApi.checked(DoubleNode.valueOf(-2.5))).isEqualTo(-2.5);
    assertThat(ServerApi.checked(DoubleNode.valueOf(1e-4))).isZero(); // rounded up by the server
    // As vLLM writes the logarithm of 0.
    assertThat(ServerApi.checked(DoubleNode.valueOf(-9999))).isEqualTo(-9999);
    assertThat(ServerApi.checked(DoubleNode.valueOf(-1e6))).isEqualTo(-1e6);
  }

  @Test
  void whatNoModelGivesATokenIsRefused() {
    for (double least : new double[] {-1.1e6, -Float.MAX_VALUE, -1e200, -Double.MAX_VALUE}) {
      assertThatExceptionOfType(EngineException.class)
          .isThrownBy(() -> ServerApi.checked(DoubleNode.valueOf(least)))
          .withMessage(
              "the server returned a log-probability of %s, where no model gives a token less than"
                  + " -1000000.0",
              least)
          .satisfies(e -> assertThat(e.kind()).isEqualTo(Kind.MODEL));
    }
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> ServerApi.checked(DoubleNode.valueOf(0.5)))
        .withMessageContaining("no log-probability");
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(() -> ServerApi.checked(TextNode.valueOf("-1")))
        .withMessageContaining("no log-probability");
  }
}
