package dev.whence.cli;

import dev.whence.engine.weights.SafetensorsHeader;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** A model directory of a few F32 tensors, for commands that look at bytes only. */
final class SmallModel {
  private static final String TOKENIZER =
      "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []},"
          + " \"added_tokens\": []}";

  private final SortedMap<String, float[]> tensors = new TreeMap<>();

  SmallModel add(String name, float... values) {
    tensors.put(name, values);
    return this;
  }

  Path write(Path directory) throws IOException {
    Files.createDirectories(directory);
    Files.writeString(directory.resolve("config.json"), "{\"vocab_size\": 2, \"eos_token_id\": 0}");
    Files.writeString(directory.resolve("tokenizer.json"), TOKENIZER);
    List<SafetensorsHeader.Tensor> header = new ArrayList<>();
    tensors.forEach(
        (name, values) ->
            header.add(
                new SafetensorsHeader.Tensor(
                    name, "F32", List.of((long) values.length), 4L * values.length)));
    try (OutputStream out = Files.newOutputStream(directory.resolve("model.safetensors"))) {
      out.write(SafetensorsHeader.of(header, Map.of()).array());
      for (float[] values : tensors.values()) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        for (float value : values) {
          bytes.putFloat(value);
        }
        out.write(bytes.array());
      }
    }
    return directory;
  }

  /** The weights file, byte by byte. */
  static byte[] weights(Path directory) throws IOException {
    return Files.readAllBytes(directory.resolve("model.safetensors"));
  }
}
