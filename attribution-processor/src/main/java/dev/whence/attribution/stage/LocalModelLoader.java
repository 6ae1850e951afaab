package dev.whence.attribution.stage;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.worker.EnvironmentException;

/** Loads models into this process. */
final class LocalModelLoader implements ModelLoader {
  private final EngineOptions options;

  LocalModelLoader(EngineOptions options) {
    this.options = options;
  }

  @Override
  public Loaded load(Choice choice, Runnable beforeWeights) throws ModelLoadException {
    EngineOptions wanted = options(choice);
    try {
      ModelFiles files = ModelFiles.open(choice.path(), choice.chatTemplate());
      boolean verified = false;
      try {
        verify(choice, files);
        verified = true;
      } finally {
        if (!verified) {
          files.close();
        }
      }
      beforeWeights.run();
      LocalScorer scorer = LocalScorer.open(files, wanted);
      return new Loaded(
          scorer, () -> scorer.nativeMemory().weightBytes() + scorer.nativeMemory().trunkBytes());
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.ENVIRONMENT) {
        String why = String.valueOf(e.getMessage());
        throw e.isDeviceLost()
            ? EnvironmentException.ofProcess(why, e)
            : new EnvironmentException(why, e);
      }
      throw new ModelLoadException(String.valueOf(e.getMessage()), e);
    }
  }

  /** Before a file is opened or a model makes room: a wrong word costs nothing. */
  private EngineOptions options(Choice choice) throws ModelLoadException {
    EngineOptions wanted = options.withAliases(choice.aliases());
    if (choice.dtype().isEmpty()) {
      return wanted;
    }
    try {
      return wanted.withDtype(EngineOptions.Dtype.of(choice.dtype().get()));
    } catch (IllegalArgumentException e) {
      throw new ModelLoadException("the release's dtype is none of bf16, fp32", e);
    }
  }

  private static void verify(Choice choice, ModelFiles files) throws ModelLoadException {
    if (choice.digest().isPresent() && !choice.digest().get().equalsIgnoreCase(files.digest())) {
      throw new ModelLoadException(
          "the model at "
              + choice.path()
              + " has digest "
              + files.digest()
              + ", but its release says "
              + choice.digest().get());
    }
  }
}
