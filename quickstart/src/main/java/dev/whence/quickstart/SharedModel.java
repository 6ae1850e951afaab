package dev.whence.quickstart;

import dev.whence.attribution.stage.ModelLoader;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Answerer;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.kernel.NativeMemory;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelFiles;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * One loaded model for two users: the application answers questions with it, the processor scores
 * the answers. A model has one user at a time, so they take turns. When the processor takes over
 * another release, the application answers with that from its next question on.
 */
final class SharedModel implements AutoCloseable {
  private static final int CLOSE_SECONDS = 3;

  private final Path path;
  private final EngineOptions options;
  private final LocalScorer first;
  private final ReentrantLock turn = new ReentrantLock(true);
  private LocalScorer current; // guarded by turn

  private SharedModel(Path path, EngineOptions options, LocalScorer model) {
    this.path = path;
    this.options = options;
    this.first = model;
    this.current = model;
  }

  /**
   * @throws dev.whence.engine.EngineException if the model can not be loaded
   */
  static SharedModel open(Path path, EngineOptions options) {
    ModelFiles files = ModelFiles.open(path);
    // What this model answers, it also scores: it is no surrogate for itself.
    EngineOptions own = options.withAliases(List.of(files.name()));
    return new SharedModel(path, options, LocalScorer.open(files, own));
  }

  /** Where it was loaded from. */
  Path path() {
    return path;
  }

  /** How it was loaded. */
  EngineOptions options() {
    return options;
  }

  ScorerDescription description() {
    return first.description();
  }

  private <T> T inTurn(Supplier<T> use) {
    turn.lock();
    try {
      return use.get();
    } finally {
      turn.unlock();
    }
  }

  /** The prompt with the model's greedy answer. */
  Conversation answer(Conversation prompt, int maxNewTokens) {
    return inTurn(() -> new Answerer(current).answer(prompt, maxNewTokens));
  }

  /**
   * What the processor loads models with: this one is there already, and stays open when the
   * processor closes it; a release on the models topic is loaded from its own place.
   */
  ModelLoader loader() {
    ModelLoader fromFiles = ModelLoader.local(options);
    return (choice, beforeWeights) -> {
      if (choice.path().equals(path) && choice.digest().isEmpty()) {
        return shared(first);
      }
      return fromFiles.load(choice, beforeWeights).scorer() instanceof LocalScorer loaded
          ? shared(loaded)
          : unreachable();
    };
  }

  /** From now on the application answers with it, too. */
  private ModelLoader.Loaded shared(LocalScorer model) {
    turn.lock();
    try {
      current = model;
    } finally {
      turn.unlock();
    }
    return new ModelLoader.Loaded(new TakingTurns(model), () -> bytes(model.nativeMemory()));
  }

  private static ModelLoader.Loaded unreachable() {
    throw new IllegalStateException("models of this process are local ones");
  }

  private static long bytes(NativeMemory memory) {
    return memory.weightBytes() + memory.trunkBytes();
  }

  /** Frees the model, unless an answer takes too long: then the end of the process frees it. */
  @Override
  public void close() {
    try {
      if (turn.tryLock(CLOSE_SECONDS, TimeUnit.SECONDS)) {
        try {
          first.close();
        } finally {
          turn.unlock();
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private final class TakingTurns implements Scorer {
    private final LocalScorer model;

    TakingTurns(LocalScorer model) {
      this.model = model;
    }

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
      return inTurn(() -> new ClosedInTurn(model.trunk(tokens, scoredFrom)));
    }

    @Override
    public List<double[]> score(Trunk trunk, List<Branch> branches) {
      if (!(trunk instanceof ClosedInTurn own)) {
        throw new IllegalArgumentException("the trunk is another scorer's");
      }
      return inTurn(() -> model.score(own.trunk(), branches));
    }

    @Override
    public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
      return model.estimate(trunkTokens, trunkScored, branches);
    }

    @Override
    public void begin(WorkEstimate estimate) {
      model.begin(estimate);
    }

    @Override
    public void close() {
      if (model == first) {
        return; // its owner's to close
      }
      turn.lock();
      try {
        if (current == model) {
          current = first; // nothing took its place: the processor ends
        }
        model.close();
      } finally {
        turn.unlock();
      }
    }
  }

  /** A closed trunk goes back to the model, whose trunks one thread at a time may touch. */
  private final class ClosedInTurn implements Trunk {
    private final Trunk trunk;

    ClosedInTurn(Trunk trunk) {
      this.trunk = trunk;
    }

    Trunk trunk() {
      return trunk;
    }

    @Override
    public int length() {
      return trunk.length();
    }

    @Override
    public int[] tokens() {
      return trunk.tokens();
    }

    @Override
    public int scoredFrom() {
      return trunk.scoredFrom();
    }

    @Override
    public double[] logProbs() {
      return trunk.logProbs();
    }

    @Override
    public int reused() {
      return trunk.reused();
    }

    @Override
    public long bytes() {
      return trunk.bytes();
    }

    @Override
    public void close() {
      turn.lock();
      try {
        trunk.close();
      } finally {
        turn.unlock();
      }
    }
  }
}
