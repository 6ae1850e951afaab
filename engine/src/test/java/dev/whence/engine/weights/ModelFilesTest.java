package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.Encoding;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** One small model as a sharded directory and as GGUF (small_models.py). */
class ModelFilesTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @Test
  void aGgufFileHandsOutTheSameTensorsAsTheDirectoryItWasMadeFrom() {
    try (ModelFiles directory = ModelFiles.open(Fixtures.path("weights/llama"));
        ModelFiles gguf = ModelFiles.open(Fixtures.path("weights/llama.gguf"))) {
      assertThat(gguf.weights().tensors()).isEqualTo(directory.weights().tensors());
      for (String name : directory.weights().tensors().keySet()) {
        assertThat(Fixtures.floats(gguf.weights(), name))
            .as(name)
            .isEqualTo(Fixtures.floats(directory.weights(), name));
      }
      assertThat(gguf.config()).isEqualTo(directory.config());
      assertThat(gguf.name()).isEqualTo("llama");
    }
  }

  @Test
  void aGgufFileReadsTextAsTheDirectoryItWasMadeFrom() throws IOException {
    try (ModelFiles directory = ModelFiles.open(Fixtures.path("weights/llama"));
        ModelFiles gguf = ModelFiles.open(Fixtures.path("weights/llama.gguf"))) {
      assertThat(gguf.tokenizer().vocabularySize())
          .isEqualTo(directory.tokenizer().vocabularySize());
      for (JsonNode text : Fixtures.json("text/tokens.json")) {
        Encoding expected = directory.tokenizer().encode(text.path("text").asText());
        Encoding actual = gguf.tokenizer().encode(text.path("text").asText());
        assertThat(actual.ids())
            .isEqualTo(expected.ids())
            .isEqualTo(JSON.treeToValue(text.path("ids"), int[].class));
        assertThat(actual.starts()).isEqualTo(expected.starts());
        assertThat(actual.ends()).isEqualTo(expected.ends());
      }
      for (int id = 0; id < gguf.tokenizer().vocabularySize(); id++) {
        assertThat(gguf.tokenizer().isSpecial(id)).isEqualTo(directory.tokenizer().isSpecial(id));
      }
    }
  }

  @Test
  void theTextSideOfAGgufFileIsThatOfTheWholeModel() {
    Path file = Fixtures.path("weights/llama.gguf");
    try (ModelFiles whole = ModelFiles.open(file);
        ModelText text = ModelText.open(file, Optional.empty())) {
      assertThat(text.name()).isEqualTo("llama");
      assertThat(text.config()).isEqualTo(whole.config());
      assertThat(text.tokenizer().encode("one two").ids())
          .isEqualTo(whole.tokenizer().encode("one two").ids());
      assertThat(text.template()).hasSameClassAs(whole.template());
    }
  }

  @Test
  void anotherTemplateHasAnotherDigestOfTheText() {
    Path file = Fixtures.path("weights/llama.gguf");
    try (ModelText one = ModelText.open(file, Optional.empty());
        ModelText again = ModelText.open(file, Optional.empty());
        ModelText other = ModelText.open(file, Optional.of("{{ messages[0].content }}"))) {
      assertThat(one.digest()).hasSize(64).isEqualTo(again.digest());
      assertThat(other.digest()).isNotEqualTo(one.digest());
    }
  }

  @Test
  void readingInPiecesOfAnySizeGivesTheSameBytes() {
    try (ModelFiles gguf = ModelFiles.open(Fixtures.path("weights/llama.gguf"))) {
      String name = "model.layers.0.self_attn.q_proj.weight";
      float[] whole = Fixtures.floats(gguf.weights(), name);
      for (int size : new int[] {1, 7, 33, 500}) {
        for (int from = 0; from < whole.length; from += size) {
          int n = Math.min(size, whole.length - from);
          ByteBuffer piece = ByteBuffer.allocate(4 * n).order(ByteOrder.LITTLE_ENDIAN);
          gguf.weights().read(name, 4L * from, piece);
          for (int i = 0; i < n; i++) {
            assertThat(piece.getFloat(4 * i)).isEqualTo(whole[from + i]);
          }
        }
      }
    }
  }

  @Test
  void gptNeoxProjectionsComeOutInterleavedByHead() throws IOException {
    JsonNode expected = Fixtures.json("weights/neox.json");
    try (ModelFiles gguf = ModelFiles.open(Fixtures.path("weights/neox.gguf"))) {
      assertThat(gguf.config().isGptNeoX()).isTrue();
      assertThat(gguf.config().parallelResidual()).isTrue();
      expected
          .properties()
          .forEach(
              entry -> {
                float[] values = Fixtures.floats(gguf.weights(), entry.getKey());
                for (int i = 0; i < values.length; i++) {
                  assertThat(values[i]).isEqualTo((float) entry.getValue().get(i).asDouble());
                }
              });
    }
  }

  @Test
  void theDigestDoesNotDependOnSharding(@TempDir Path single) throws IOException {
    Path sharded = Fixtures.path("weights/llama");
    for (String name : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(sharded.resolve(name), single.resolve(name));
    }
    try (ModelFiles model = ModelFiles.open(sharded)) {
      writeSingle(model.weights(), single.resolve("model.safetensors"));
      try (ModelFiles same = ModelFiles.open(single)) {
        assertThat(same.digest()).isEqualTo(model.digest()).matches("[0-9a-f]{64}");
      }
      byte[] bytes = Files.readAllBytes(single.resolve("model.safetensors"));
      bytes[bytes.length - 1] ^= 1;
      Files.write(single.resolve("model.safetensors"), bytes);
      try (ModelFiles other = ModelFiles.open(single)) {
        assertThat(other.digest()).isNotEqualTo(model.digest());
      }
    }
  }

  /** What decides which tokens are scored; a transfer computes the same without opening a model. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "generation_config.json ; {\"eos_token_id\": [2, 0]}",
        "tokenizer_config.json ; {\"tokenizer_class\": \"LlamaTokenizerFast\"}",
        "tokenizer_config.json ; {\"bos_token\": \"<|endoftext|>\"}",
        "tokenizer_config.json ; {\"additional_special_tokens\": [\"the\"]}",
        "tokenizer_config.json ; {\"added_tokens_decoder\": {}}",
        "tokenizer_config.json ; {\"added_tokens_decoder\":"
            + " {\"2\": {\"content\": \"<|im_end|>\", \"special\": false}}}"
      })
  void theDigestCoversSpecialTokensAndEnds(String file, String change, @TempDir Path directory)
      throws IOException {
    copy(directory);
    String before = digest(directory);
    ObjectNode json = (ObjectNode) JSON.readTree(directory.resolve(file).toFile());
    json.setAll((ObjectNode) JSON.readTree(change));
    Files.writeString(directory.resolve(file), json.toString());
    assertThat(digest(directory)).isNotEqualTo(before);
    json.put("transformers_version", "5");
    String same = digest(directory);
    Files.writeString(directory.resolve(file), json.toPrettyString());
    assertThat(digest(directory)).isEqualTo(same);
  }

  @Test
  void theDigestCoversSpecialTokensMapWhereItCounts(@TempDir Path directory) throws IOException {
    copy(directory);
    Path map = directory.resolve("special_tokens_map.json");
    String before = digest(directory);
    Files.writeString(map, "{\"bos_token\": \"<|endoftext|>\"}");
    assertThat(digest(directory)).isEqualTo(before); // there is an added_tokens_decoder
    Files.writeString(directory.resolve("tokenizer_config.json"), "{}");
    String older = digest(directory);
    Files.writeString(map, "{\"bos_token\": \"<|im_end|>\"}");
    assertThat(digest(directory)).isNotEqualTo(older);
  }

  private static String digest(Path directory) {
    try (ModelFiles model = ModelFiles.open(directory)) {
      SortedMap<String, WeightDigest.Hashed> tensors = new TreeMap<>();
      model
          .weights()
          .tensors()
          .forEach(
              (name, info) -> {
                ByteBuffer bytes = ByteBuffer.allocate((int) info.byteLength());
                model.weights().read(name, 0, bytes);
                tensors.put(
                    name,
                    new WeightDigest.Hashed(
                        info.type().name(), info.shape(), sha256(bytes.flip())));
              });
      assertThat(WeightDigest.ofTextsIn(directory).hex(tensors)).isEqualTo(model.digest());
      return model.digest();
    }
  }

  private static String sha256(ByteBuffer bytes) {
    try {
      MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
      sha256.update(bytes);
      return HexFormat.of().formatHex(sha256.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "tokenizer.ggml.add_bos_token, true",
    "tokenizer.ggml.bos_token_id, 0",
    "tokenizer.ggml.eos_token_id, 0",
    "tokenizer.ggml.eot_token_id, 0"
  })
  void theDigestOfAGgufFileCoversSpecialTokens(String key, String value, @TempDir Path directory)
      throws IOException {
    Object parsed = value.equals("true") ? (Object) true : Long.valueOf(value);
    assertThat(ggufDigest(values -> values.put(key, parsed), directory))
        .isNotEqualTo(ggufDigest(values -> {}, directory));
  }

  @Test
  void metadataThatReadAlikeHaveDigestsOfTheirOwn(@TempDir Path directory) throws IOException {
    List<String> digests =
        List.of(
            ggufDigest(values -> values.putAll(Map.of("a", "1\nb=2")), directory),
            ggufDigest(values -> values.putAll(Map.of("a", "1", "b", "2")), directory),
            ggufDigest(values -> values.putAll(Map.of("a=1\nb", "2")), directory),
            ggufDigest(values -> values.putAll(Map.of("a", 1L, "b", "2")), directory),
            ggufDigest(values -> values.putAll(Map.of("a", List.of("1, 2"))), directory),
            ggufDigest(values -> values.putAll(Map.of("a", List.of("1", "2"))), directory),
            ggufDigest(values -> values.putAll(Map.of("a", "[1, 2]")), directory),
            ggufDigest(values -> values.putAll(Map.of("a", new long[] {1, 2})), directory));
    assertThat(digests).doesNotHaveDuplicates();
  }

  private static String ggufDigest(Consumer<Map<String, Object>> change, Path directory)
      throws IOException {
    Path file = GgufCopy.write("llama.gguf", change, directory.resolve("m.gguf"));
    try (ModelFiles model = ModelFiles.open(file)) {
      return model.digest();
    }
  }

  @Test
  void contradictionsBetweenConfigAndWeightsAreAllListed(@TempDir Path copy) throws IOException {
    copy(copy);
    ObjectNode config = (ObjectNode) JSON.readTree(copy.resolve("config.json").toFile());
    config.put("intermediate_size", 40).put("num_hidden_layers", 2);
    Files.writeString(copy.resolve("config.json"), config.toString());
    assertThatThrownBy(() -> ModelFiles.open(copy))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("'model.layers.0.mlp.gate_proj.weight' has shape [32, 32]")
        .hasMessageContaining("'model.layers.1.input_layernorm.weight' is missing");
  }

  @Test
  void anIndexCanNotLeadOutOfTheDirectory(@TempDir Path copy) throws IOException {
    copy(copy);
    for (String shard : List.of("../x.safetensors", "/etc/passwd", "a/b", "..", "")) {
      Files.writeString(
          copy.resolve("model.safetensors.index.json"),
          JSON.createObjectNode()
              .set("weight_map", JSON.createObjectNode().put("lm_head.weight", shard))
              .toString());
      assertThatThrownBy(() -> ModelFiles.open(copy))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("not a plain file name");
    }
  }

  @Test
  void linksMayLeadIntoTheModelsOwnCacheOnly(@TempDir Path cache) throws IOException {
    Path model = cache.resolve("models--acme--tiny");
    Path blobs = Files.createDirectories(model.resolve("blobs"));
    Path snapshot = Files.createDirectories(model.resolve("snapshots").resolve("c0ffee"));
    Files.createDirectories(model.resolve("refs"));
    Files.writeString(model.resolve("refs").resolve("main"), "c0ffee");
    try (var files = Files.list(Fixtures.path("weights/llama"))) {
      for (Path file : files.toList()) {
        Path blob = Files.copy(file, blobs.resolve("b-" + file.getFileName()));
        Files.createSymbolicLink(snapshot.resolve(file.getFileName()), blob);
      }
    }
    Path found = ModelFiles.resolve("acme/tiny", cache);
    try (ModelFiles opened = ModelFiles.open(found)) {
      assertThat(opened.name()).isEqualTo("acme/tiny");
    }
    Path outside = Files.copy(blobs.resolve("b-config.json"), cache.resolve("config.json"));
    Files.delete(snapshot.resolve("config.json"));
    Files.createSymbolicLink(snapshot.resolve("config.json"), outside);
    assertThatThrownBy(() -> ModelFiles.open(found)).hasMessageContaining("outside");
    assertThatThrownBy(() -> ModelFiles.resolve("acme/none", cache))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("acme/none");
    assertThatThrownBy(() -> ModelFiles.resolve("acme/tiny@../../x", cache))
        .isInstanceOf(EngineException.class);
  }

  private static void copy(Path target) throws IOException {
    try (var files = Files.list(Fixtures.path("weights/llama"))) {
      for (Path file : files.toList()) {
        Files.copy(file, target.resolve(file.getFileName()));
      }
    }
  }

  /** All tensors in one file, in reverse order. */
  private static void writeSingle(WeightSource weights, Path path) throws IOException {
    ObjectNode header = JSON.createObjectNode();
    List<ByteBuffer> data = new ArrayList<>();
    long at = 0;
    List<TensorInfo> infos = new ArrayList<>(weights.tensors().values());
    java.util.Collections.reverse(infos);
    for (TensorInfo info : infos) {
      ObjectNode entry = header.putObject(info.name()).put("dtype", info.type().name());
      info.shape().forEach(entry.putArray("shape")::add);
      entry.putArray("data_offsets").add(at).add(at + info.byteLength());
      at += info.byteLength();
      ByteBuffer bytes = ByteBuffer.allocate((int) info.byteLength());
      weights.read(info.name(), 0, bytes);
      data.add(bytes.flip());
    }
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer file =
        ByteBuffer.allocate((int) (8 + json.length + at)).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(json.length).put(json);
    data.forEach(file::put);
    Files.write(path, file.array());
  }
}
