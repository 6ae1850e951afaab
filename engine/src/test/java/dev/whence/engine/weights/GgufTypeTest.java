package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against the gguf package (gguf_blocks.py). */
class GgufTypeTest {
  @ParameterizedTest
  @ValueSource(strings = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"})
  void blocksDecodeToWhatTheReferenceDecodesThemTo(String name) throws IOException {
    JsonNode fixture = Fixtures.json("weights/gguf_blocks.json").path("types").path(name);
    GgufType type = GgufType.valueOf(name);
    ByteBuffer encoded =
        ByteBuffer.wrap(Base64.getDecoder().decode(fixture.path("encoded").asText()))
            .order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer expected =
        ByteBuffer.wrap(Base64.getDecoder().decode(fixture.path("values").asText()))
            .order(ByteOrder.LITTLE_ENDIAN);
    int blocks = encoded.capacity() / type.blockBytes();
    assertThat(blocks).isEqualTo(6);
    assertThat(expected.capacity()).isEqualTo(4 * blocks * type.blockElements());
    float[] values = new float[type.blockElements()];
    for (int block = 0; block < blocks; block++) {
      type.dequantise(encoded, block * type.blockBytes(), values);
      for (int i = 0; i < values.length; i++) {
        float wanted = expected.getFloat(4 * (block * values.length + i));
        assertThat(values[i])
            .as("block %d, element %d", block, i)
            .isCloseTo(
                wanted, org.assertj.core.data.Offset.offset(1e-6f + 2e-7f * Math.abs(wanted)));
      }
    }
  }
}
