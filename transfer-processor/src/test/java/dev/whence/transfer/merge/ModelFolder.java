package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsHeader;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.files.Sha256;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Writes a model directory of given tensors: weights need not make sense, only their bytes. */
public final class ModelFolder {
  /** A tensor of given bytes. */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  public record Raw(String name, String dtype, List<Long> shape, byte[] bytes) {}

  private final Map<String, List<Raw>> shards = new LinkedHashMap<>();
  private final Map<String, String> texts = new TreeMap<>();
  private Map<String, String> metadata = Map.of();

  public ModelFolder() {
    texts.put("config.json", "{\"vocab_size\": 4, \"eos_token_id\": 0}");
    tokens(List.of("a", "b", "c", "d"));
  }

  public ModelFolder tokens(List<String> tokens) {
    return tokens(tokens, List.of());
  }

  /**
   * Sets the tokenizer.
   *
   * @param added tokens behind those of the tokenizer's model
   */
  public ModelFolder tokens(List<String> tokens, List<String> added) {
    List<String> vocabulary = new ArrayList<>();
    for (int i = 0; i < tokens.size(); i++) {
      vocabulary.add("\"" + tokens.get(i) + "\": " + i);
    }
    return text(
        "tokenizer.json",
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {"
            + String.join(", ", vocabulary)
            + "}, \"merges\": []}, \"added_tokens\": ["
            + IntStream.range(0, added.size())
                .mapToObj(
                    i ->
                        "{\"id\": "
                            + (tokens.size() + i)
                            + ", \"content\": \""
                            + added.get(i)
                            + "\"}")
                .collect(Collectors.joining(", "))
            + "]}");
  }

  /** Makes it say that it is a stored diff vector. */
  public ModelFolder diff() {
    metadata = DirectoryWriter.OF_DIFF;
    return this;
  }

  public ModelFolder text(String name, String content) {
    texts.put(name, content);
    return this;
  }

  public ModelFolder add(Raw tensor) {
    return add(SafetensorsShards.SINGLE, tensor);
  }

  public ModelFolder add(String shard, Raw tensor) {
    shards.computeIfAbsent(shard, name -> new ArrayList<>()).add(tensor);
    return this;
  }

  public ModelFolder random(String shard, String name, ElementType type, long seed, Long... shape) {
    return add(shard, random(name, type, seed, shape));
  }

  public static Raw random(String name, ElementType type, long seed, Long... shape) {
    long n = List.of(shape).stream().reduce(1L, Math::multiplyExact);
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(n * type.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    Random random = new Random(seed);
    for (long i = 0; i < n; i++) {
      float value = (float) (random.nextGaussian() * .02);
      switch (type) {
        case F32 -> bytes.putFloat(value);
        case BF16 -> bytes.putShort((short) (Float.floatToRawIntBits(value) >>> 16));
        case F16 -> bytes.putShort((short) Rounding.toF16(value));
      }
    }
    return new Raw(name, type.name(), List.of(shape), bytes.array());
  }

  /** Of single values. */
  public static Raw f32(String name, float... values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      bytes.putFloat(value);
    }
    return new Raw(name, "F32", List.of((long) values.length), bytes.array());
  }

  /** Rows of one value each, repeated. */
  public static Raw rows(String name, int width, float... values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * width * 4).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      for (int i = 0; i < width; i++) {
        bytes.putFloat(value);
      }
    }
    return new Raw(name, "F32", List.of((long) values.length, (long) width), bytes.array());
  }

  public Path write(Path directory) throws IOException {
    Files.createDirectories(directory);
    StringBuilder index = new StringBuilder();
    for (Map.Entry<String, List<Raw>> shard : shards.entrySet()) {
      try (OutputStream out = Files.newOutputStream(directory.resolve(shard.getKey()))) {
        out.write(
            SafetensorsHeader.of(
                    shard.getValue().stream()
                        .map(
                            raw ->
                                new SafetensorsHeader.Tensor(
                                    raw.name(), raw.dtype(), raw.shape(), raw.bytes().length))
                        .toList(),
                    metadata)
                .array());
        for (Raw raw : shard.getValue()) {
          out.write(raw.bytes());
          index
              .append(index.isEmpty() ? "" : ", ")
              .append("\"" + raw.name() + "\": \"" + shard.getKey() + "\"");
        }
      }
    }
    if (!shards.containsKey(SafetensorsShards.SINGLE)) {
      Files.writeString(
          directory.resolve(SafetensorsShards.INDEX), "{\"weight_map\": {" + index + "}}");
    }
    for (Map.Entry<String, String> text : texts.entrySet()) {
      Files.writeString(ReleaseTexts.place(directory, text.getKey()), text.getValue());
    }
    return directory;
  }

  /** All files of a directory, by name. */
  public static Map<String, String> contents(Path directory) throws IOException {
    Map<String, String> contents = new TreeMap<>();
    try (var files = Files.walk(directory)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        contents.put(directory.relativize(file).toString(), Sha256.of(Files.readAllBytes(file)));
      }
    }
    return contents;
  }

  /** Values of an F32 tensor of a directory. */
  public static List<Float> floats(Path directory, String tensor) {
    try (SourceModel model = SourceModel.open(Role.TARGET, directory, java.util.Optional.empty())) {
      SourceModel.Tensor found = model.tensors().get(tensor);
      ByteBuffer bytes =
          ByteBuffer.allocate((int) found.entry().byteLength()).order(ByteOrder.LITTLE_ENDIAN);
      found.read(0, bytes);
      bytes.flip();
      List<Float> values = new ArrayList<>();
      while (bytes.hasRemaining()) {
        values.add(bytes.getFloat());
      }
      return values;
    }
  }

  /** The bytes of all tensors of a directory, by name. */
  public static Map<String, String> values(Path directory) {
    Map<String, String> values = new TreeMap<>();
    try (SourceModel model = SourceModel.open(Role.TARGET, directory, java.util.Optional.empty())) {
      model
          .tensors()
          .forEach(
              (name, tensor) -> {
                ByteBuffer bytes = ByteBuffer.allocate((int) tensor.entry().byteLength());
                tensor.read(0, bytes);
                values.put(name, tensor.dtype() + " " + Sha256.of(bytes.array()));
              });
    }
    return values;
  }
}
