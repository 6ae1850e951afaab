package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.MissingNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.text.SpecialTokens;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Damaged and hostile files end with an EngineException of kind MODEL, and with nothing else. */
class HostileFilesTest {
  private static byte[] gguf = new byte[0];
  private static byte[] safetensors = new byte[0];
  private static Path directory = Path.of(".");

  @BeforeContainer
  static void files() throws IOException {
    gguf = Files.readAllBytes(Fixtures.path("weights/llama.gguf"));
    safetensors =
        Files.readAllBytes(Fixtures.path("weights/llama/model-00002-of-00003.safetensors"));
    directory = Files.createTempDirectory("hostile");
  }

  @AfterContainer
  static void clean() throws IOException {
    Files.deleteIfExists(directory.resolve("m.gguf"));
    Files.deleteIfExists(directory.resolve("m.safetensors"));
    Files.deleteIfExists(directory);
  }

  @Property(tries = 400)
  void aGgufFileWithChangedBytesIsReadOrRefused(
      @ForAll @Size(min = 1, max = 6) List<@IntRange(max = 12_000) Integer> places,
      @ForAll byte value)
      throws IOException {
    byte[] bytes = gguf.clone();
    places.forEach(place -> bytes[place] = value);
    readOrRefuseGguf(bytes);
  }

  @Property(tries = 300)
  void aGgufFileWithAHostileLengthIsReadOrRefused(
      @ForAll @IntRange(max = 12_000) int place, @ForAll long length) throws IOException {
    byte[] bytes = gguf.clone();
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(place, length);
    readOrRefuseGguf(bytes);
  }

  @Property(tries = 100)
  void aTruncatedGgufFileIsRefused(@ForAll @LongRange(max = 100_000) long length)
      throws IOException {
    byte[] bytes = Arrays.copyOf(gguf, (int) length);
    Path path = Files.write(directory.resolve("m.gguf"), bytes);
    assertThatThrownBy(() -> GgufFile.open(path).close())
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile);
  }

  @Property(tries = 400)
  void aSafetensorsFileWithChangedBytesIsReadOrRefused(
      @ForAll @Size(min = 1, max = 6) List<@IntRange(max = 600) Integer> places, @ForAll byte value)
      throws IOException {
    byte[] bytes = safetensors.clone();
    places.forEach(place -> bytes[place] = value);
    readOrRefuseSafetensors(bytes);
  }

  @Property(tries = 100)
  void aTruncatedOrLongerSafetensorsFileIsRefused(@ForAll @IntRange(max = 20_000) int length)
      throws IOException {
    if (length == safetensors.length) {
      return;
    }
    Path path = Files.write(directory.resolve("m.safetensors"), Arrays.copyOf(safetensors, length));
    assertThatThrownBy(() -> SafetensorsFile.open(path).close())
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]},'a':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}} | Duplicate",
        "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]},'b':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}} | overlap",
        "{'a':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}} | hole",
        "{'a':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}} | the file has",
        "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}} | needs 12 bytes",
        "{'a':{'dtype':'F32','shape':[4611686018427387904,4],'data_offsets':[0,8]}} | overflows",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,1152921504606846976]}} | not inside",
        "{'a':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}} | shape",
        "{'a':{'dtype':'Q9','shape':[2],'data_offsets':[0,8]}} | Q9",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8],'x':1}} | unknown key",
        "{'a':[]} | not a JSON object",
        "[] | not a JSON object",
        "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}} {} | follows"
      })
  void aSafetensorsHeaderThatLiesIsRefusedWithTheReason(String json, String reason)
      throws IOException {
    byte[] header = json.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + 8).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(header.length).put(header);
    Path path = Files.createTempFile("lies", ".safetensors");
    try {
      Files.write(path, bytes.array());
      assertThatThrownBy(() -> SafetensorsFile.open(path).close())
          .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
          .hasMessageContaining(reason)
          .hasMessageContaining(path.toString());
    } finally {
      Files.delete(path);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {65, 1_000, 1_000_000})
  void nestingThatIsTooDeepIsRefusedInEveryFile(int depth, @TempDir Path directory)
      throws IOException {
    String deep = "{\"a\":" + "[".repeat(depth) + "]".repeat(depth) + "}";
    byte[] header = deep.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(8 + header.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(header.length).put(header);
    Path tensors = Files.write(directory.resolve("model.safetensors"), bytes.array());
    assertThatThrownBy(() -> SafetensorsFile.open(tensors).close())
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContaining("model.safetensors");
    copyTexts(directory);
    for (String name :
        List.of(
            "special_tokens_map.json",
            "tokenizer_config.json",
            "tokenizer.json",
            "generation_config.json",
            "config.json")) {
      Files.writeString(directory.resolve(name), deep);
      assertThatThrownBy(() -> ModelText.open(directory, Optional.empty()))
          .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
          .hasMessageContaining(name)
          .hasMessageContaining("nesting");
      Files.copy(
          Fixtures.path("weights/llama/" + name),
          directory.resolve(name),
          StandardCopyOption.REPLACE_EXISTING);
    }
    ModelText.open(directory, Optional.empty()).close();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 100_000})
  void aGgufListOfListsIsRefusedByItsKey(int depth, @TempDir Path directory) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(100 + 12 * depth).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put("GGUF".getBytes(StandardCharsets.UTF_8)).putInt(3).putLong(0).putLong(1);
    bytes.putLong(4).put("nest".getBytes(StandardCharsets.UTF_8)).putInt(9);
    for (int i = 0; i < depth; i++) {
      bytes.putInt(9).putLong(1); // one list of one element each
    }
    bytes.putInt(4).putLong(1).putInt(7);
    Path path = Files.write(directory.resolve("m.gguf"), bytes.array());
    assertThatThrownBy(() -> GgufFile.open(path).close())
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContaining("'nest' is a list of lists");
  }

  @Test
  void listsThatAreTooLongTogetherAreRefused(@TempDir Path directory) throws IOException {
    int n = 4_000_001;
    ByteBuffer bytes = ByteBuffer.allocate(100 + 2 * n).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put("GGUF".getBytes(StandardCharsets.UTF_8)).putInt(3).putLong(0).putLong(2);
    for (String key : List.of("a", "b")) {
      bytes.putLong(1).put(key.getBytes(StandardCharsets.UTF_8)).putInt(9).putInt(0).putLong(n);
      bytes.position(bytes.position() + n);
    }
    Path path = Files.write(directory.resolve("m.gguf"), bytes.array());
    assertThatThrownBy(() -> GgufFile.open(path).close())
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContaining("length of 'b'");
  }

  @Test
  void stringsThatAreTooLongTogetherAreRefused(@TempDir Path directory) throws IOException {
    int length = 16 << 20;
    Path path = directory.resolve("m.gguf");
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      ByteBuffer head = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
      head.put("GGUF".getBytes(StandardCharsets.UTF_8)).putInt(3).putLong(0).putLong(9);
      file.write(head.array());
      for (int i = 0; i < 9; i++) { // eight of 16 MiB and their keys are more than 128 MiB
        ByteBuffer key = ByteBuffer.allocate(21).order(ByteOrder.LITTLE_ENDIAN);
        key.putLong(1).put((byte) ('a' + i)).putInt(8).putLong(length);
        file.write(key.array());
        file.seek(file.getFilePointer() + length);
      }
      file.setLength(file.getFilePointer());
    }
    assertThatThrownBy(() -> GgufFile.open(path).close())
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContaining("the length of a string is 16777216, at most 16777208 can follow");
  }

  /** A list of 16 million numbers has 32 MB, and as a tree hundreds. */
  @Test
  void aFileOfTooManyValuesIsRefused(@TempDir Path directory) throws IOException {
    copyTexts(directory);
    byte[] values = new byte[(int) (2 * UntrustedJson.MAX_TOKENS) + 16];
    for (int i = 0; i < values.length; i += 2) {
      values[i] = '1';
      values[i + 1] = ',';
    }
    byte[] head = "{\"a\":[".getBytes(StandardCharsets.UTF_8);
    System.arraycopy(head, 0, values, 0, head.length);
    Files.write(directory.resolve("tokenizer.json"), values);
    assertThatThrownBy(() -> ModelText.open(directory, Optional.empty()))
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContainingAll("tokenizer.json", "limit", "16777216");
  }

  @ParameterizedTest
  @CsvSource({
    "config.json, 4194304",
    "generation_config.json, 4194304",
    "special_tokens_map.json, 4194304",
    "tokenizer_config.json, 33554432",
    "tokenizer.json, 268435456"
  })
  void aFileThatIsLargerThanOneOfItsNameCanBeIsRefused(
      String name, long most, @TempDir Path directory) throws IOException {
    copyTexts(directory);
    try (RandomAccessFile file = new RandomAccessFile(directory.resolve(name).toFile(), "rw")) {
      file.setLength(most + 1);
    }
    assertThatThrownBy(() -> ModelText.open(directory, Optional.empty()))
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContainingAll(name, "more than the " + most + " allowed");
  }

  @Test
  void weightsAreClosedWhereMemoryRunsOutOverAModel() {
    AtomicInteger closed = new AtomicInteger();
    WeightSource weights =
        new WeightSource() {
          @Override
          public Map<String, TensorInfo> tensors() {
            throw new OutOfMemoryError("thrown by the test");
          }

          @Override
          public void read(String name, long offset, ByteBuffer target) {}

          @Override
          public void close() {
            closed.incrementAndGet();
          }
        };
    try (ModelFiles files = ModelFiles.open(Fixtures.path("weights/llama"))) {
      assertThatThrownBy(
              () ->
                  ModelFiles.assemble(
                      "m",
                      files.config(),
                      weights,
                      MissingNode.getInstance(),
                      "m",
                      new SpecialTokens(Map.of(), false),
                      Optional.empty(),
                      WeightDigest.of(new byte[0], new byte[0], Optional.empty(), "")))
          .isInstanceOf(OutOfMemoryError.class);
    }
    assertThat(closed).hasValue(1);
  }

  @Test
  void anArchitectureThatIsNotKnownIsRefusedByNameInBothFormats(@TempDir Path directory)
      throws IOException {
    String config = Files.readString(Fixtures.path("weights/llama/config.json"));
    assertThat(config).contains("\"model_type\": \"llama\"");
    Files.writeString(
        directory.resolve("config.json"),
        config.replace("\"model_type\": \"llama\"", "\"model_type\": \"mamba\""));
    assertThatThrownBy(() -> ModelText.open(directory, Optional.empty()))
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContainingAll("mamba", "model_type", "config.json");
    GgufMetadata metadata =
        new GgufMetadata(Path.of("m.gguf"), Map.of("general.architecture", "mamba"));
    assertThatThrownBy(() -> GgufConfig.architecture(metadata))
        .isInstanceOfSatisfying(EngineException.class, HostileFilesTest::blamesTheFile)
        .hasMessageContainingAll("mamba", "architecture", "m.gguf");
  }

  private static void copyTexts(Path directory) throws IOException {
    try (var files = Files.list(Fixtures.path("weights/llama"))) {
      for (Path file : files.filter(f -> f.toString().endsWith(".json")).toList()) {
        Files.copy(file, directory.resolve(file.getFileName()));
      }
    }
  }

  private static void readOrRefuseGguf(byte[] bytes) throws IOException {
    Path path = Files.write(directory.resolve("m.gguf"), bytes);
    try (GgufFile file = GgufFile.open(path)) {
      ModelConfig config = GgufConfig.read(file);
      try (WeightSource weights =
          new GgufWeights(file, GgufConfig.architecture(file.metadata()), config)) {
        ExpectedTensors.check(config, weights.tensors(), "m");
        weights.tensors().keySet().forEach(name -> Fixtures.floats(weights, name));
        TokenizerSettings.specialTokens(file.metadata());
        dev.whence.engine.text.GgufTokenizer.toJson(
            TokenizerSettings.vocabulary(file.metadata()), "m");
      }
    } catch (EngineException e) {
      blamesTheFile(e);
    }
  }

  private static void readOrRefuseSafetensors(byte[] bytes) throws IOException {
    Path path = Files.write(directory.resolve("m.safetensors"), bytes);
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      for (SafetensorsFile.Entry entry : file.entries().values()) {
        assertThat(entry.end()).isLessThanOrEqualTo(bytes.length);
      }
    } catch (EngineException e) {
      blamesTheFile(e);
    }
  }

  private static void blamesTheFile(EngineException e) {
    assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL);
    assertThat(e.getMessage()).isNotBlank();
  }
}
