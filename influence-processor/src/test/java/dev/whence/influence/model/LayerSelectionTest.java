package dev.whence.influence.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.ModelConfig;
import dev.whence.influence.InfluenceException;
import org.junit.jupiter.api.Test;

class LayerSelectionTest {
  /** A model of one block; nothing of it is read but its shapes. */
  private static ModelConfig model(int width, int inner) {
    return ModelConfig.parse(
        """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d,
         "intermediate_size": %d, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 256,
         "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": true}
        """
            .formatted(width, inner),
        "test");
  }

  @Test
  void theLargestSideIsThatOfAMatrixInDoublesThatABufferHolds() {
    long side = LayerSelection.LARGEST_SIDE;
    assertThat(side * side * Double.BYTES).isLessThanOrEqualTo(Integer.MAX_VALUE);
    assertThat((side + 1) * (side + 1) * Double.BYTES).isGreaterThan(Integer.MAX_VALUE);
  }

  @Test
  void aLayerThatIsTooLargeForItsCovariancesIsRefusedByNameBeforeAnythingIsComputed() {
    int most = LayerSelection.LARGEST_SIDE;
    assertThat(new LayerSelection("all").of(model(128, most))).hasSize(7);
    assertThatThrownBy(() -> new LayerSelection("mlp").of(model(128, most + 1)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageStartingWith("Layer model.layers.0.mlp.gate_proj has 16384 outputs;")
        .hasMessageContaining("of at most 16383");
    assertThatThrownBy(() -> new LayerSelection("down_proj").of(model(128, 53_248)))
        .isInstanceOf(InfluenceException.class)
        .hasMessageStartingWith("Layer model.layers.0.mlp.down_proj has 53248 inputs;");
  }

  @Test
  void aLayerThatIsNotChosenMayBeAsLargeAsItLikes() {
    assertThat(new LayerSelection("attention").of(model(128, 53_248))).hasSize(4);
  }
}
