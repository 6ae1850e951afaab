package dev.whence.benchmarks.fidelity;

import dev.whence.benchmarks.RandomWeights;
import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.engine.Trunk;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.kernel.Decoder;
import dev.whence.engine.kernel.Sequence;
import dev.whence.engine.kernel.Work;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.ModelConfig;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A Llama of about 1.3 B parameters with {@link RandomWeights}, to time what a large target costs:
 * 24 layers of width 2,048 with 32 heads of 64, an MLP of 5,504, and the tokenizer and template of
 * another model. What it says means nothing.
 */
final class RandomTarget implements Scorer {
  private static final int HEAD_DIM = 64;
  private static final int POSITIONS = 8192;

  private final Decoder decoder;
  private final Scorer reader;

  private RandomTarget(Decoder decoder, Scorer reader) {
    this.decoder = decoder;
    this.reader = reader;
  }

  /**
   * Makes and loads one.
   *
   * @param reader lends tokenizer and template; stays the caller's to close
   */
  static RandomTarget open(LocalScorer reader, EngineOptions options) {
    ModelConfig config = config(reader.config());
    return new RandomTarget(Decoder.open(config, new RandomWeights(config), options), reader);
  }

  private static ModelConfig config(ModelConfig of) {
    List<Double> frequencies =
        IntStream.range(0, HEAD_DIM / 2)
            .mapToObj(i -> Math.pow(10_000, -2.0 * i / HEAD_DIM))
            .toList();
    return new ModelConfig(
        "llama",
        of.vocabularySize(),
        2048,
        24,
        32,
        32,
        HEAD_DIM,
        5504,
        1e-5,
        "silu",
        new ModelConfig.Rotary(HEAD_DIM, frequencies, 1, false),
        POSITIONS,
        0,
        true,
        false,
        false,
        false,
        false,
        false,
        of.beginToken(),
        of.endTokens());
  }

  @Override
  public ScorerDescription description() {
    return new ScorerDescription(
        "random-llama",
        "",
        decoder.dtype(),
        decoder.deviceName(),
        "llama",
        decoder.config().layers(),
        POSITIONS,
        true,
        decoder.parameters(),
        List.of());
  }

  @Override
  public Tokenizer tokenizer() {
    return reader.tokenizer();
  }

  @Override
  public PromptTemplate template() {
    return reader.template();
  }

  @Override
  public Trunk trunk(int[] tokens, int scoredFrom) {
    return Sequence.run(decoder, tokens, scoredFrom);
  }

  @Override
  public List<double[]> score(Trunk trunk, List<Branch> branches) {
    return ((Sequence) trunk).score(decoder, branches);
  }

  @Override
  public WorkEstimate estimate(int trunkTokens, int trunkScored, List<Branch> branches) {
    Work work = decoder.work(trunkTokens, trunkScored, branches);
    return new WorkEstimate(work.tokens(), work.flops(), decoder.seconds(work));
  }

  @Override
  public void close() {
    decoder.close();
  }
}
