package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.node.MissingNode;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * What the maths of a decoder needs to know, the same for Hugging Face directories and GGUF. A key
 * of config.json that would change the maths and is not here is refused by name when it is read.
 *
 * @param modelType llama, mistral, qwen2, qwen3, gpt_neox
 * @param vocabularySize rows of the embedding
 * @param hiddenSize width d
 * @param layers decoder layers
 * @param heads query heads
 * @param keyValueHeads key and value heads (= heads without grouped-query attention)
 * @param headDim width of a head
 * @param intermediateSize width of the MLP
 * @param normEpsilon of RMSNorm or LayerNorm
 * @param activation "silu", "gelu" (exact) or "gelu_tanh"
 * @param rotary position encoding
 * @param maxPositions longest sequence
 * @param slidingWindow a token sees itself and the slidingWindow - 1 tokens before it; 0 = no
 *     window
 * @param tiedEmbeddings whether the head is the embedding
 * @param qkvBias whether query, key and value projections have biases
 * @param outputBias whether the attention's output projection has a bias
 * @param mlpBias whether the MLP's projections have biases
 * @param queryKeyNorm Qwen3: RMSNorm over each head of q and k before rotation
 * @param parallelResidual GPT-NeoX: attention and MLP both read the layer's input
 * @param beginToken id, or -1
 * @param endTokens ids that end generation
 * @param ranks by layer, where linear layers are kept as two factors; empty: none are
 */
public record ModelConfig(
    String modelType,
    int vocabularySize,
    int hiddenSize,
    int layers,
    int heads,
    int keyValueHeads,
    int headDim,
    int intermediateSize,
    double normEpsilon,
    String activation,
    Rotary rotary,
    int maxPositions,
    int slidingWindow,
    boolean tiedEmbeddings,
    boolean qkvBias,
    boolean outputBias,
    boolean mlpBias,
    boolean queryKeyNorm,
    boolean parallelResidual,
    int beginToken,
    List<Integer> endTokens,
    List<Ranks> ranks) {
  public ModelConfig {
    endTokens = List.copyOf(endTokens);
    ranks = List.copyOf(ranks);
  }

  /**
   * Ranks of a layer's matrix products where a matrix W is kept as B A, with A [rank, inputs] and B
   * [outputs, rank]; 0: as it is. Projections that read the same inputs are one product and share
   * A.
   *
   * @param attentionInput of queries, keys and values together
   * @param attentionOutput of the attention's output projection
   * @param mlpInput of gate and up together
   * @param mlpOutput of down
   */
  public record Ranks(int attentionInput, int attentionOutput, int mlpInput, int mlpOutput) {
    public static final Ranks NONE = new Ranks(0, 0, 0, 0);
  }

  /** A model whose matrices are kept as they are. */
  public ModelConfig(
      String modelType,
      int vocabularySize,
      int hiddenSize,
      int layers,
      int heads,
      int keyValueHeads,
      int headDim,
      int intermediateSize,
      double normEpsilon,
      String activation,
      Rotary rotary,
      int maxPositions,
      int slidingWindow,
      boolean tiedEmbeddings,
      boolean qkvBias,
      boolean outputBias,
      boolean mlpBias,
      boolean queryKeyNorm,
      boolean parallelResidual,
      int beginToken,
      List<Integer> endTokens) {
    this(
        modelType,
        vocabularySize,
        hiddenSize,
        layers,
        heads,
        keyValueHeads,
        headDim,
        intermediateSize,
        normEpsilon,
        activation,
        rotary,
        maxPositions,
        slidingWindow,
        tiedEmbeddings,
        qkvBias,
        outputBias,
        mlpBias,
        queryKeyNorm,
        parallelResidual,
        beginToken,
        endTokens,
        List.of());
  }

  /** Whether linear layers are kept as two factors. */
  public boolean isFactored() {
    return !ranks.isEmpty();
  }

  /** Ranks of a layer. */
  public Ranks ranks(int layer) {
    return ranks.isEmpty() ? Ranks.NONE : ranks.get(layer);
  }

  /**
   * Reads the text of a config.json.
   *
   * @param origin names the text in errors
   * @throws dev.whence.engine.EngineException of kind MODEL if it is no configuration of a family
   *     that is known, with everything wrong listed
   */
  public static ModelConfig parse(String json, String origin) {
    return HuggingFaceConfig.read(
        UntrustedJson.object(json.getBytes(StandardCharsets.UTF_8), origin),
        MissingNode.getInstance(),
        origin);
  }

  public boolean isGptNeoX() {
    return modelType.equals("gpt_neox");
  }

  /**
   * Rotary positions, non-interleaved ("rotate half").
   *
   * @param dimensions how many of the head's dimensions are rotated (partial rotary)
   * @param inverseFrequencies dimensions / 2 values, scaling (linear, llama3, yarn) applied
   * @param attentionFactor multiplies cos and sin (yarn); 1 otherwise
   * @param lengthDependent whether the frequencies depend on the sequence's length: then views must
   *     not be shifted. False for every configuration that is read: dynamic NTK counts within the
   *     trained length only, where its frequencies are the plain ones, and longrope is refused
   */
  public record Rotary(
      int dimensions,
      List<Double> inverseFrequencies,
      double attentionFactor,
      boolean lengthDependent) {
    public Rotary {
      inverseFrequencies = List.copyOf(inverseFrequencies);
    }
  }
}
