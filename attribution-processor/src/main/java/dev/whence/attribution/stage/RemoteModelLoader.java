package dev.whence.attribution.stage;

import dev.whence.attribution.remote.RemoteOptions;
import dev.whence.attribution.remote.RemoteScorer;
import dev.whence.engine.EngineException;
import dev.whence.engine.weights.ModelText;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.worker.EnvironmentException;

/** Connects to a server that runs the model; reads only its tokenizer and template here. */
final class RemoteModelLoader implements ModelLoader {
  private final RemoteOptions options;

  RemoteModelLoader(RemoteOptions options) {
    this.options = options;
  }

  @Override
  public Loaded load(Choice choice, Runnable beforeWeights) throws ModelLoadException {
    if (choice.digest().isPresent()) {
      throw new ModelLoadException(
          "what a server runs can not be verified against the digest of a release");
    }
    try {
      ModelText text = ModelText.open(choice.path(), choice.chatTemplate());
      return new Loaded(RemoteScorer.open(text, options.withAliases(choice.aliases())), () -> 0);
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.ENVIRONMENT) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
      throw new ModelLoadException(String.valueOf(e.getMessage()), e);
    }
  }
}
