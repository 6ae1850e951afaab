package dev.whence.attribution.stage;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.Scorer;
import dev.whence.runtime.models.ModelLoadException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;

/** Turns model files into a scorer. */
public interface ModelLoader {
  /**
   * Loads models into this process.
   *
   * @param options how they run; a release's dtype and aliases win
   */
  static ModelLoader local(EngineOptions options) {
    return new LocalModelLoader(options);
  }

  /**
   * Loads a model.
   *
   * @param choice which
   * @param beforeWeights called once the files are known to be the wanted ones, before memory is
   *     taken for the weights
   * @throws ModelLoadException if the files are wrong or not those that were announced
   * @throws dev.whence.runtime.worker.EnvironmentException if device or memory fails
   */
  Loaded load(Choice choice, Runnable beforeWeights) throws ModelLoadException;

  /**
   * A loaded model.
   *
   * @param scorer to be closed by who asked for it
   * @param nativeBytes memory that it holds outside the heap
   */
  record Loaded(Scorer scorer, LongSupplier nativeBytes) {}

  /**
   * A model to load.
   *
   * @param path a Hugging Face directory or a GGUF file
   * @param digest that it must have, in hex, or empty for any
   * @param dtype bf16, fp32, or empty for the configured one
   * @param aliases production model names that it is
   * @param chatTemplate Jinja to use instead of the model's own, or empty
   */
  record Choice(
      Path path,
      Optional<String> digest,
      Optional<String> dtype,
      List<String> aliases,
      Optional<String> chatTemplate) {
    public Choice {
      aliases = List.copyOf(aliases);
    }
  }
}
