package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.engine.Answerer;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One loaded model for two users: the application answers questions with it, the processor scores
 * the answers. A model has one user at a time, so they take turns.
 */
final class SharedModel implements AutoCloseable {
  private final LocalScorer model;
  private final Answerer answerer;
  private final ReentrantLock turn = new ReentrantLock(true);

  private SharedModel(LocalScorer model) {
    this.model = model;
    this.answerer = new Answerer(model);
  }

  /**
   * @throws dev.whence.engine.EngineException if the model can not be loaded
   */
  static SharedModel open(Path path, EngineOptions options) {
    ModelFiles files = ModelFiles.open(path);
    // What this model answers, it also scores: it is no surrogate for itself.
    return new SharedModel(LocalScorer.open(files, options.withAliases(List.of(files.name()))));
  }

  ScorerDescription description() {
    return model.description();
  }

  /** The prompt with the model's greedy answer. */
  Conversation answer(Conversation prompt, int maxNewTokens) {
    turn.lock();
    try {
      return answerer.answer(prompt, maxNewTokens);
    } finally {
      turn.unlock();
    }
  }

  /** The model as the processor sees it; closing it leaves the model open. */
  Scorer scorer() {
    return new TakingTurns();
  }

  /** Waits for its user, then frees the model. */
  @Override
  public void close() {
    turn.lock();
    try {
      model.close();
    } finally {
      turn.unlock();
    }
  }

  private final class TakingTurns implements Scorer {
    @Override
    public ScorerDescription description() {
      return model.description();
    }

    @Override
    public Tokenizer tokenizer() {
      return model.tokenizer();
    }

    @Override
    public PromptTemplate template() {
      return model.template();
    }

    @Override
    public Trunk trunk(int[] tokens, int scoredFrom) {
      turn.lock();
      try {
        return model.trunk(tokens, scoredFrom);
      } finally {
        turn.unlock();
      }
    }

    @Override
    public List<double[]> score(Trunk trunk, List<Branch> branches) {
      turn.lock();
      try {
        return model.score(trunk, branches);
      } finally {
        turn.unlock();
      }
    }

    @Override
    public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
      return model.estimate(trunkTokens, trunkScored, branches);
    }

    @Override
    public void close() {
      // the model is its owner's to close
    }
  }
}
