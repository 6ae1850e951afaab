package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.TrainableDecoder.Vector;
import dev.whence.engine.weights.ModelConfig.Rotary;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Weights for gradients are read in pieces, however large a tensor is. */
class TrainableLoadTest {
  private static final int VOCABULARY = 140_000;
  private static final int HIDDEN = 32;
  private static final String EMBEDDING = "model.embed_tokens.weight";
  private static final int PIECE_BYTES = 8 << 20;

  /** Says how much was asked for at once. */
  private static final class Watched implements WeightSource {
    private final WeightSource weights;
    private int largest;

    Watched(WeightSource weights) {
      this.weights = weights;
    }

    @Override
    public Map<String, TensorInfo> tensors() {
      return weights.tensors();
    }

    @Override
    public void read(String name, long offset, ByteBuffer target) {
      largest = Math.max(largest, target.remaining());
      weights.read(name, offset, target);
    }

    @Override
    public void close() {
      weights.close();
    }
  }

  private static RandomModel model() {
    return RandomModel.llama(
        RandomModel.plainLlama(
            VOCABULARY,
            HIDDEN,
            1,
            2,
            2,
            16,
            32,
            new Rotary(16, List.of(1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005), 1, false),
            64,
            true),
        11);
  }

  @Test
  void aTensorOfManyPiecesArrivesAsItIs() {
    RandomModel model = model();
    float[] embedding = model.get(EMBEDDING);
    assertThat(embedding.length).isGreaterThan(2 * PIECE_BYTES / Float.BYTES);
    Watched watched = new Watched(model);
    try (TrainableDecoder decoder =
        TrainableDecoder.frozen(model.config(), List.of(), EngineOptions.defaults())) {
      decoder.load(watched);
      assertThat(watched.largest).isLessThanOrEqualTo(PIECE_BYTES);
      long offset =
          decoder.layout().parameters().stream()
              .filter(parameter -> parameter.name().equals(EMBEDDING))
              .findFirst()
              .orElseThrow()
              .offset();
      assertThat(decoder.read(Vector.THETA, offset, embedding.length)).isEqualTo(embedding);
    }
  }

  @Test
  void aNumberThatIsNoneInTheLastPieceIsFound() {
    RandomModel model = model();
    float[] embedding = model.get(EMBEDDING);
    embedding[embedding.length - 1] = Float.NaN;
    try (TrainableDecoder decoder =
        TrainableDecoder.frozen(model.config(), List.of(), EngineOptions.defaults())) {
      assertThatThrownBy(() -> decoder.load(model))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining(EMBEDDING);
    }
  }
}
