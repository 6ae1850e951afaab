package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Rotary scaling and sliding windows of GGUF files (small_tokenizers.py). */
class GgufConfigTest {

  @ParameterizedTest
  @ValueSource(strings = {"linear", "llama3", "yarn"})
  void rotaryFrequenciesAreThoseOfTransformersForTheModelThatWasConverted(String name)
      throws IOException {
    JsonNode expected = Fixtures.json("weights/rotary.json").path(name);
    ModelConfig.Rotary rotary = read("rope-" + name + ".gguf").rotary();
    JsonNode frequencies = expected.path("inverse_frequencies");
    assertThat(rotary.dimensions()).isEqualTo(2 * frequencies.size());
    for (int i = 0; i < frequencies.size(); i++) {
      double wanted = frequencies.get(i).asDouble();
      assertThat(rotary.inverseFrequencies().get(i))
          .isCloseTo(wanted, Offset.offset(1e-6 * wanted));
    }
    assertThat(rotary.attentionFactor())
        .isCloseTo(expected.path("attention_factor").asDouble(), Offset.offset(1e-7));
  }

  /** As in llama.cpp, which only scales not at all if the file says "none". */
  @Test
  void aScalingFactorWithoutATypeIsLinear(@TempDir Path directory) throws IOException {
    String bytes =
        new String(
            Files.readAllBytes(Fixtures.path("weights/rope-linear.gguf")),
            StandardCharsets.ISO_8859_1);
    Path changed =
        Files.write(
            directory.resolve("m.gguf"),
            bytes
                .replace("llama.rope.scaling.type", "llama.xope.scaling.type")
                .getBytes(StandardCharsets.ISO_8859_1));
    try (GgufFile opened = GgufFile.open(changed)) {
      assertThat(opened.metadata().has("llama.rope.scaling.type")).isFalse();
      assertThat(GgufConfig.read(opened).rotary()).isEqualTo(read("rope-linear.gguf").rotary());
    }
  }

  /** Lengths stay, so that the file is still in order. */
  @ParameterizedTest
  @CsvSource({
    "rope-yarn.gguf, yarn, yurn, yurn",
    "rope-linear.gguf, linear, lineal, lineal",
    "rope-linear.gguf, llama.rope.scaling.factor, llama.rope.scaling.fuctor, fuctor",
    "rope-yarn.gguf, llama.rope.scaling.original_context_length,"
        + " llama.rope.scaling.original_context_langth, original_context_langth"
  })
  void aRotaryScalingThatIsNotKnownIsRefusedByName(
      String file, String right, String wrong, String named, @TempDir Path directory)
      throws IOException {
    String bytes =
        new String(
            Files.readAllBytes(Fixtures.path("weights/" + file)), StandardCharsets.ISO_8859_1);
    assertThat(bytes).contains(right);
    Path changed =
        Files.write(
            directory.resolve("m.gguf"),
            bytes.replace(right, wrong).getBytes(StandardCharsets.ISO_8859_1));
    try (GgufFile opened = GgufFile.open(changed)) {
      assertThatThrownBy(() -> GgufConfig.read(opened))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
          .hasMessageContaining(named);
    }
  }

  @ParameterizedTest
  @CsvSource({"llama.attention.key_length, 1026", "llama.embedding_length, 4104"})
  void headsThatAreWiderThanAnyKnownAreRefused(String key, long width, @TempDir Path directory)
      throws IOException {
    Path wide =
        GgufCopy.write(
            "rope-linear.gguf",
            values -> {
              values.remove("llama.attention.key_length");
              values.put(key, width);
            },
            directory.resolve("m.gguf"));
    try (GgufFile file = GgufFile.open(wide)) {
      assertThatThrownBy(() -> GgufConfig.read(file))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
          .hasMessageContaining("more than 1024");
    }
  }

  /** As in llama.cpp: "invalid n_rot". */
  @Test
  void aLlamaWhoseHeadsAreRotatedInPartIsRefused(@TempDir Path directory) throws IOException {
    Path partial =
        GgufCopy.write(
            "llama.gguf",
            values -> values.put("llama.rope.dimension_count", 4L),
            directory.resolve("m.gguf"));
    assertThatThrownBy(() -> ModelFiles.open(partial))
        .isInstanceOfSatisfying(
            EngineException.class, e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
        .hasMessageContaining("llama.rope.dimension_count is 4, not the 8 of a head");
    Path whole = GgufCopy.write("llama.gguf", values -> {}, partial);
    try (ModelFiles copy = ModelFiles.open(whole);
        ModelFiles file = ModelFiles.open(Fixtures.path("weights/llama.gguf"))) {
      assertThat(copy.config()).isEqualTo(file.config());
    }
  }

  @Test
  void aMistralThatDoesNotSayItsWindowIsToldAbout() {
    Map<String, Object> values = new TreeMap<>();
    values.put("general.architecture", "llama");
    values.put("general.name", "mistralai_Mistral-7B-Instruct-v0.1");
    values.put("llama.context_length", 32_768L);
    values.put("llama.rope.freq_base", 10_000.0);
    GgufMetadata metadata = new GgufMetadata(Path.of("m.gguf"), values);
    assertThat(GgufConfig.doubtfulWindow(metadata).orElseThrow())
        .contains("m.gguf", "4096", "llama.attention.sliding_window");
    values.put("llama.attention.sliding_window", 4096L);
    assertThat(GgufConfig.doubtfulWindow(metadata)).isEmpty();
    values.remove("llama.attention.sliding_window");
    values.put("llama.rope.freq_base", 1_000_000.0); // v0.2 and later: no window
    assertThat(GgufConfig.doubtfulWindow(metadata)).isEmpty();
    values.put("llama.rope.freq_base", 10_000.0);
    values.put("general.name", "TinyLlama");
    assertThat(GgufConfig.doubtfulWindow(metadata)).isEmpty();
  }

  private static ModelConfig read(String name) {
    try (GgufFile file = GgufFile.open(Fixtures.path("weights/" + name))) {
      return GgufConfig.read(file);
    }
  }
}
