package dev.whence.engine;

import dev.whence.engine.kernel.Decoder;
import dev.whence.engine.kernel.DecoderIntrospection;
import dev.whence.engine.kernel.NativeMemory;
import dev.whence.engine.kernel.Sequence;
import dev.whence.engine.kernel.Work;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import java.util.List;
import java.util.Optional;

/**
 * Scores with a model in this process. Weights are loaded once; trunks and branches are computed by
 * a {@link Decoder}. One thread uses it; {@link #nativeMemory()} may be read from any.
 */
public final class LocalScorer implements Scorer {
  private final Decoder decoder;
  private final ModelFiles files;
  private final ScorerDescription description;
  private final DecoderIntrospection introspection;

  private LocalScorer(
      Decoder decoder, ModelFiles files, ScorerDescription description, EngineOptions options) {
    this.decoder = decoder;
    this.files = files;
    this.description = description;
    this.introspection = new DecoderIntrospection(decoder, files.weights(), options);
  }

  /**
   * Loads a model. The files belong to the scorer from here on: they are closed with it, or if it
   * can not be opened.
   *
   * @throws EngineException of kind MODEL if the weights can not be read or do not fit the
   *     configuration, ENVIRONMENT if the native library, device or memory fails
   */
  public static LocalScorer open(ModelFiles files, EngineOptions options) {
    Decoder decoder = null;
    boolean complete = false;
    try {
      ModelConfig config = files.config();
      decoder = Decoder.open(config, files.weights(), options);
      ScorerDescription description =
          new ScorerDescription(
              files.name(),
              files.digest(),
              decoder.dtype(),
              decoder.deviceName(),
              config.modelType(),
              config.layers(),
              config.maxPositions(),
              !config.rotary().lengthDependent(),
              decoder.parameters(),
              options.aliases());
      complete = true;
      return new LocalScorer(decoder, files, description, options);
    } catch (EngineException e) {
      // There is no input yet whose fault it could be.
      throw e.kind() == EngineException.Kind.RECORD
          ? new EngineException(EngineException.Kind.ENVIRONMENT, String.valueOf(e.getMessage()), e)
          : e;
    } finally {
      if (!complete) {
        if (decoder != null) {
          decoder.close();
        }
        files.close();
      }
    }
  }

  @Override
  public ScorerDescription description() {
    return description;
  }

  @Override
  public Tokenizer tokenizer() {
    return files.tokenizer();
  }

  @Override
  public PromptTemplate template() {
    return files.template();
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    return Sequence.run(decoder, tokens, scoredFrom);
  }

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    if (!(trunk instanceof Sequence sequence)) {
      throw new IllegalArgumentException("the trunk was made by another scorer");
    }
    return sequence.score(decoder, branches);
  }

  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    Work work = decoder.work(trunkTokens, trunkScored, branches);
    return new WorkEstimate(work.tokens(), work.flops(), decoder.seconds(work));
  }

  /** What the model's files say about its maths. */
  public ModelConfig config() {
    return files.config();
  }

  /** The decoder, for generation and for measuring. */
  public Decoder decoder() {
    return decoder;
  }

  @Override
  public Optional<Introspection> introspection() {
    return Optional.of(introspection);
  }

  @Override
  public TrunkReuse trunkReuse() {
    return decoder.trunkReuse();
  }

  /** Bytes of native memory held: weights, open trunks and closed ones that are kept. */
  public NativeMemory nativeMemory() {
    return decoder.memory();
  }

  @Override
  public void close() {
    introspection.close();
    decoder.close();
    files.close();
  }
}
