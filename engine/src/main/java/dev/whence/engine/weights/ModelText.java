package dev.whence.engine.weights;

import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What a model reads and how, without its weights: for a model that runs somewhere else.
 *
 * @param name as {@link ModelFiles#name}
 * @param digest SHA-256 over config, tokenizer, special tokens and chat template, in hex; of other
 *     bytes than {@link ModelFiles#digest}, which covers the weights
 */
public record ModelText(
    String name, String digest, ModelConfig config, Tokenizer tokenizer, PromptTemplate template)
    implements AutoCloseable {

  /**
   * Opens the config.json and tokenizer.json of a Hugging Face directory, where weights may be
   * missing, or what a .gguf file says beside its weights.
   *
   * @param chatTemplate a Jinja chat template to use instead of the model's own
   * @throws dev.whence.engine.EngineException as {@link ModelFiles#open(Path)}
   */
  public static ModelText open(Path path, Optional<String> chatTemplate) {
    return ModelFiles.text(path, chatTemplate);
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
