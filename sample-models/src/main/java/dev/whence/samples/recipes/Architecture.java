package dev.whence.samples.recipes;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * The shape of a sample model, as a config.json.
 *
 * @param family of the decoder
 * @param vocabulary tokens
 * @param hidden width
 * @param layers decoder layers
 * @param heads query heads; keys and values have as many
 * @param headDimension width of a head
 * @param intermediate width of the MLP
 * @param positions longest sequence
 */
public record Architecture(
    Family family,
    int vocabulary,
    int hidden,
    int layers,
    int heads,
    int headDimension,
    int intermediate,
    int positions) {

  /** Families of decoders. */
  public enum Family {
    /** Llama with a norm over each head of queries and keys, the head tied to the embedding. */
    QWEN3,
    /** GPT-NeoX: parallel residual, rotation of half of each head, biases, an untied head. */
    GPT_NEOX
  }

  /** The config.json that Hugging Face's library writes for such a model, less its defaults. */
  public String config() {
    ObjectNode config = JsonMapper.builder().build().createObjectNode();
    switch (family) {
      case QWEN3 -> {
        config.putArray("architectures").add("Qwen3ForCausalLM");
        config
            .put("model_type", "qwen3")
            .put("num_key_value_heads", heads)
            .put("head_dim", headDimension)
            .put("hidden_act", "silu")
            .put("rms_norm_eps", 1e-6)
            .put("rope_theta", 10_000.0)
            .put("attention_bias", false)
            .put("use_sliding_window", false)
            .put("tie_word_embeddings", true);
      }
      case GPT_NEOX -> {
        if (heads * headDimension != hidden) {
          throw new IllegalArgumentException("heads of GPT-NeoX share the hidden width evenly");
        }
        config.putArray("architectures").add("GPTNeoXForCausalLM");
        config
            .put("model_type", "gpt_neox")
            .put("rotary_pct", 0.5)
            .put("rotary_emb_base", 10_000)
            .put("layer_norm_eps", 1e-5)
            .put("use_parallel_residual", true)
            .put("hidden_act", "gelu")
            .put("attention_bias", true)
            .put("tie_word_embeddings", false);
      }
    }
    return config
        .put("vocab_size", vocabulary)
        .put("hidden_size", hidden)
        .put("intermediate_size", intermediate)
        .put("num_hidden_layers", layers)
        .put("num_attention_heads", heads)
        .put("max_position_embeddings", positions)
        .put("bos_token_id", SampleTokenizer.END_OF_TEXT_ID)
        .put("eos_token_id", SampleTokenizer.END_OF_TURN_ID)
        .toPrettyString();
  }
}
