package dev.whence.engine.training;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.weights.ElementType;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/** A trained model as a Hugging Face directory. */
public final class TrainedModel {
  private static final String CONFIG = "config.json";
  private static final List<String> TAKEN_OVER =
      List.of(
          CONFIG,
          "generation_config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "chat_template.jinja",
          "additional_chat_templates/tool_use.jinja");

  private TrainedModel() {}

  /**
   * What a model takes over from the one that it was trained from: configuration, tokenizer, chat
   * templates.
   *
   * @param directory in Hugging Face layout
   * @return contents by path in the directory, which may name a folder of it
   * @throws EngineException of kind ENVIRONMENT if a file can not be read
   */
  public static Map<String, byte[]> filesOf(Path directory) {
    Map<String, byte[]> files = new TreeMap<>();
    for (String name : TAKEN_OVER) {
      Path file = directory.resolve(name);
      if (Files.exists(file)) {
        try {
          files.put(name, Files.readAllBytes(file));
        } catch (IOException e) {
          throw new EngineException(Kind.ENVIRONMENT, file + " could not be read.", e);
        }
      }
    }
    return files;
  }

  /**
   * Refuses to put a model where another one would be lost: where training starts from, and where a
   * model is that no checkpoints say was made by training.
   *
   * @param output the model's directory to be
   * @param checkpoints where those of its training are
   * @param from directory of the model that training starts from
   * @throws EngineException of kind ENVIRONMENT if it can not be written there
   */
  public static void checkPlace(Path output, Path checkpoints, Optional<Path> from) {
    try {
      if (from.isPresent() && Files.exists(output) && Files.isSameFile(from.get(), output)) {
        throw new EngineException(
            Kind.ENVIRONMENT,
            output + " is the model that training starts from: choose another output.");
      }
      if (holdsModel(output) && Checkpoint.list(checkpoints).isEmpty()) {
        throw new EngineException(
            Kind.ENVIRONMENT,
            output
                + " holds a model already, and no checkpoints that say how it was trained: choose"
                + " another output, or remove it.");
      }
    } catch (IOException e) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          output + " could not be looked at (" + FileProblem.of(e, output) + ").",
          e);
    }
  }

  private static boolean holdsModel(Path directory) {
    return Files.exists(directory.resolve("model.safetensors"))
        || Files.exists(directory.resolve("model.safetensors.index.json"));
  }

  /**
   * Writes the directory; the weights last, and at once, so that a model is whole or none.
   *
   * @param files besides the weights, by name
   * @param type of the stored weights
   * @throws EngineException of kind ENVIRONMENT if it can not be written, MODEL if a weight is not
   *     finite in that type
   */
  public static void write(
      Path directory, Map<String, byte[]> files, Trainer trainer, ElementType type) {
    try {
      Files.createDirectories(directory);
      for (Map.Entry<String, byte[]> file : new TreeMap<>(files).entrySet()) {
        byte[] content = file.getValue();
        put(
            directory,
            file.getKey(),
            file.getKey().equals(CONFIG) ? stored(content, type) : content);
      }
    } catch (IOException e) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          directory + " could not be written " + FileProblem.unwritten(e, directory) + ".",
          e);
    }
    trainer.save(directory.resolve("model.safetensors"), type);
  }

  /**
   * Puts a file that {@link #filesOf} names into a directory, at once.
   *
   * @throws IOException if it can not be written
   */
  public static void put(Path directory, String name, byte[] content) throws IOException {
    Path file = directory.resolve(name);
    Files.createDirectories(Objects.requireNonNull(file.getParent()));
    Path beside = directory.resolve(name + ".writing");
    OwnFile.write(beside, content);
    Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /** The configuration with the element type of the weights beside it. */
  public static byte[] stored(byte[] config, ElementType type) throws IOException {
    ObjectNode json = (ObjectNode) JsonMapper.builder().build().readTree(config);
    json.remove("dtype"); // what later versions of the Hugging Face library call it
    json.put(
        "torch_dtype",
        switch (type) {
          case F32 -> "float32";
          case F16 -> "float16";
          case BF16 -> "bfloat16";
        });
    return json.toPrettyString().getBytes(StandardCharsets.UTF_8);
  }
}
