package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import java.io.IOException;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HuggingFaceConfigTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String LLAMA =
      """
      {"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2,
       "num_attention_heads": 4, "intermediate_size": 48}
      """;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "default",
        "linear",
        "dynamic",
        "llama3",
        "yarn",
        "yarn_tuned",
        "partial",
        "head_dim"
      })
  void rotaryFrequenciesAreThoseOfTransformers(String name) throws IOException {
    JsonNode fixture = Fixtures.json("weights/rotary.json").path(name);
    ObjectNode newer = fixture.path("config").deepCopy();
    ModelConfig.Rotary rotary = read(newer).rotary();
    JsonNode expected = fixture.path("inverse_frequencies");
    assertThat(rotary.inverseFrequencies()).hasSize(expected.size());
    assertThat(rotary.dimensions()).isEqualTo(2 * expected.size());
    for (int i = 0; i < expected.size(); i++) {
      double wanted = expected.get(i).asDouble();
      assertThat(rotary.inverseFrequencies().get(i))
          .isCloseTo(wanted, Offset.offset(1e-6 * wanted));
    }
    assertThat(rotary.attentionFactor())
        .isCloseTo(fixture.path("attention_factor").asDouble(), Offset.offset(1e-12));
    assertThat(rotary.lengthDependent()).isFalse();
  }

  @Test
  void theNewerSpellingOfRotaryParametersMeansTheSame() throws IOException {
    ObjectNode older = (ObjectNode) JSON.readTree(LLAMA);
    older.put("rope_theta", 5e5);
    older.set("rope_scaling", JSON.readTree("{\"type\": \"linear\", \"factor\": 2.0}"));
    ObjectNode newer = (ObjectNode) JSON.readTree(LLAMA);
    newer.set(
        "rope_parameters",
        JSON.readTree("{\"rope_type\": \"linear\", \"factor\": 2.0, \"rope_theta\": 500000.0}"));
    assertThat(read(newer)).isEqualTo(read(older));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "quantization_config | {\"quant_method\": \"awq\"} | quantization_config",
        "rope_scaling | {\"rope_type\": \"longrope\", \"factor\": 2} | longrope",
        "rope_scaling | {\"rope_type\": \"llama3\", \"factor\": 2} | low_freq_factor",
        "hidden_act | \"relu\" | hidden_act",
        "sliding_window | 16 | sliding_window",
        "num_key_value_heads | 3 | num_key_value_heads",
        "num_local_experts | 8 | num_local_experts",
        "architectures | [\"LlamaForSequenceClassification\"] | architectures",
        "vocab_size | -3 | vocab_size",
        "vocab_size | 1e300 | vocab_size",
        "head_dim | 7 | head",
        "eos_token_id | 64 | eos_token_id",
        "rms_norm_eps | \"x\" | rms_norm_eps"
      })
  void whatChangesTheMathsAndIsNotSupportedIsRefusedByName(String key, String value, String named)
      throws IOException {
    ObjectNode config = (ObjectNode) JSON.readTree(LLAMA);
    config.set(key, JSON.readTree(value));
    assertThatThrownBy(() -> read(config))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
        .hasMessageContaining(named);
  }

  /** 4 bytes of each of 2,048 positions' rotations for a dimension: 8 GiB for a head of 2^20. */
  @ParameterizedTest
  @CsvSource({"head_dim, 1026", "head_dim, 1048576", "hidden_size, 4104", "hidden_size, 1048576"})
  void headsThatAreWiderThanAnyKnownAreRefused(String key, int width) throws IOException {
    ObjectNode config = (ObjectNode) JSON.readTree(LLAMA);
    config.put(key, width);
    assertThatThrownBy(() -> read(config)).hasMessageContaining("more than 1024");
    config.put("hidden_size", 4096).remove("head_dim");
    assertThat(read(config).headDim()).isEqualTo(1024);
  }

  @Test
  void allThatIsWrongIsListedAtOnce() throws IOException {
    ObjectNode config = (ObjectNode) JSON.readTree(LLAMA);
    config.remove("hidden_size");
    config.put("hidden_act", "relu");
    assertThatThrownBy(() -> read(config))
        .hasMessageContaining("hidden_size")
        .hasMessageContaining("hidden_act");
  }

  @Test
  void aSlidingWindowIsMistralsDefaultAndQwensOption() throws IOException {
    ObjectNode config = (ObjectNode) JSON.readTree(LLAMA);
    config.put("model_type", "mistral").put("num_key_value_heads", 2);
    assertThat(read(config).slidingWindow()).isEqualTo(4096);
    config.putNull("sliding_window");
    assertThat(read(config).slidingWindow()).isZero();
    config.put("model_type", "qwen2").put("sliding_window", 16);
    assertThat(read(config).slidingWindow()).isZero();
    config.put("use_sliding_window", true).put("max_window_layers", 0);
    assertThat(read(config).slidingWindow()).isEqualTo(16);
    config.put("max_window_layers", 1);
    assertThatThrownBy(() -> read(config)).hasMessageContaining("max_window_layers");
  }

  private static ModelConfig read(JsonNode config) {
    return HuggingFaceConfig.read(config, MissingNode.getInstance(), "config.json");
  }
}
