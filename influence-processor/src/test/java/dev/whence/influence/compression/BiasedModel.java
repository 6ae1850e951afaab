package dev.whence.influence.compression;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.engine.weights.SafetensorsWriter.Tensor;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Tiny-base made a Qwen2: without norms of queries and keys, with Gaussian biases. */
public final class BiasedModel {
  private BiasedModel() {}

  public static Path write(Path directory, double deviation) throws IOException {
    Path model = BundledModels.unpack("tiny-base");
    Files.createDirectories(directory);
    for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(model.resolve(file), directory.resolve(file));
    }
    Files.writeString(
        directory.resolve("config.json"),
        Files.readString(model.resolve("config.json"))
            .replace("Qwen3ForCausalLM", "Qwen2ForCausalLM")
            .replace("\"qwen3\"", "\"qwen2\"")
            .replace("  \"attention_bias\" : false,\n", ""));
    Random random = new Random(3);
    try (ModelFiles files = ModelFiles.open(model)) {
      List<Tensor> tensors = new ArrayList<>();
      files
          .weights()
          .tensors()
          .forEach(
              (name, info) -> {
                if (name.endsWith("q_norm.weight") || name.endsWith("k_norm.weight")) {
                  return;
                }
                long elements = info.shape().stream().reduce(1L, Math::multiplyExact);
                tensors.add(
                    tensor(
                        name,
                        info.shape(),
                        files.weights().floats(name, 0, Math.toIntExact(elements))));
                if (name.matches(".*\\.[qkv]_proj\\.weight")) {
                  float[] bias = new float[Math.toIntExact(info.shape().get(0))];
                  for (int i = 0; i < bias.length; i++) {
                    bias[i] = (float) (deviation * random.nextGaussian());
                  }
                  tensors.add(
                      tensor(name.replace(".weight", ".bias"), List.of(info.shape().get(0)), bias));
                }
              });
      SafetensorsWriter.write(
          directory.resolve("model.safetensors"), ElementType.F32, tensors, Map.of());
    }
    return directory;
  }

  private static Tensor tensor(String name, List<Long> shape, float[] values) {
    return new Tensor(
        name, shape, (offset, n) -> Arrays.copyOfRange(values, (int) offset, (int) offset + n));
  }
}
