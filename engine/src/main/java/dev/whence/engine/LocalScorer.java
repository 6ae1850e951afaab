package dev.whence.engine;

import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.kernel.Decoder;
import dev.whence.engine.kernel.NativeMemory;
import dev.whence.engine.kernel.Sequence;
import dev.whence.engine.kernel.Work;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.WeightSource;
import java.util.List;

/**
 * Scores with a model in this process. Weights are loaded once; trunks and branches are computed by
 * a {@link Decoder}. One thread uses it; {@link #nativeMemory()} may be read from any.
 */
public final class LocalScorer implements Scorer {
  private final Decoder decoder;
  private final Tokenizer tokenizer;
  private final PromptTemplate template;
  private final ScorerDescription description;

  private LocalScorer(
      Decoder decoder,
      Tokenizer tokenizer,
      PromptTemplate template,
      ScorerDescription description) {
    this.decoder = decoder;
    this.tokenizer = tokenizer;
    this.template = template;
    this.description = description;
  }

  /**
   * Opens a model from its parts. The weights are read to their end and not closed; tokenizer and
   * template are closed with the scorer.
   *
   * @param name as it goes into results
   * @param digest of the model files, hex
   * @throws EngineException of kind MODEL if the weights do not fit the configuration, ENVIRONMENT
   *     if the native library, device or memory fails
   */
  public static LocalScorer open(
      String name,
      String digest,
      ModelConfig config,
      WeightSource weights,
      Tokenizer tokenizer,
      PromptTemplate template,
      EngineOptions options) {
    Decoder decoder = Decoder.open(config, weights, options);
    return new LocalScorer(
        decoder,
        tokenizer,
        template,
        new ScorerDescription(
            name,
            digest,
            decoder.dtype(),
            decoder.deviceName(),
            config.modelType(),
            config.layers(),
            config.maxPositions(),
            !config.rotary().lengthDependent(),
            decoder.parameters(),
            options.aliases()));
  }

  @Override
  public ScorerDescription description() {
    return description;
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public PromptTemplate template() {
    return template;
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

  /** The decoder, for generation and for measuring. */
  public Decoder decoder() {
    return decoder;
  }

  /** Bytes of native memory held: weights and open trunks. */
  public NativeMemory nativeMemory() {
    return decoder.memory();
  }

  @Override
  public void close() {
    decoder.close();
    try {
      tokenizer.close();
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new EngineException(Kind.ENVIRONMENT, "The tokenizer could not be closed.", e);
    }
  }
}
