package dev.whence.engine.weights;

import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * GGUF tensor names to Hugging Face names, per architecture; the inverse of tensor_mapping.py of
 * the gguf package.
 */
final class GgufNames {
  private static final Pattern BLOCK =
      Pattern.compile("blk\\.(0|[1-9][0-9]{0,4})\\.([a-z_]+)\\.(weight|bias)");

  private static final Map<String, String> LLAMA_GLOBAL =
      Map.of(
          "token_embd.weight", "model.embed_tokens.weight",
          "output_norm.weight", "model.norm.weight",
          "output.weight", "lm_head.weight");

  private static final Map<String, String> LLAMA_BLOCK =
      Map.ofEntries(
          Map.entry("attn_norm", "input_layernorm"),
          Map.entry("attn_q", "self_attn.q_proj"),
          Map.entry("attn_k", "self_attn.k_proj"),
          Map.entry("attn_v", "self_attn.v_proj"),
          Map.entry("attn_output", "self_attn.o_proj"),
          Map.entry("attn_q_norm", "self_attn.q_norm"),
          Map.entry("attn_k_norm", "self_attn.k_norm"),
          Map.entry("ffn_norm", "post_attention_layernorm"),
          Map.entry("ffn_gate", "mlp.gate_proj"),
          Map.entry("ffn_up", "mlp.up_proj"),
          Map.entry("ffn_down", "mlp.down_proj"));

  private static final Map<String, String> NEOX_GLOBAL =
      Map.of(
          "token_embd.weight", "gpt_neox.embed_in.weight",
          "output_norm.weight", "gpt_neox.final_layer_norm.weight",
          "output_norm.bias", "gpt_neox.final_layer_norm.bias",
          "output.weight", "embed_out.weight");

  private static final Map<String, String> NEOX_BLOCK =
      Map.ofEntries(
          Map.entry("attn_norm", "input_layernorm"),
          Map.entry("attn_qkv", "attention.query_key_value"),
          Map.entry("attn_output", "attention.dense"),
          Map.entry("ffn_norm", "post_attention_layernorm"),
          Map.entry("ffn_up", "mlp.dense_h_to_4h"),
          Map.entry("ffn_down", "mlp.dense_4h_to_h"));

  private GgufNames() {}

  /** The Hugging Face name, or empty for a tensor that the architecture does not have. */
  static Optional<String> huggingFace(String architecture, String name) {
    boolean neox = architecture.equals("gptneox");
    String global = (neox ? NEOX_GLOBAL : LLAMA_GLOBAL).get(name);
    if (global != null) {
      return Optional.of(global);
    }
    Matcher block = BLOCK.matcher(name);
    if (!block.matches()) {
      return Optional.empty();
    }
    String module = (neox ? NEOX_BLOCK : LLAMA_BLOCK).get(block.group(2));
    if (module == null) {
      return Optional.empty();
    }
    return Optional.of(
        (neox ? "gpt_neox.layers." : "model.layers.")
            + block.group(1)
            + "."
            + module
            + "."
            + block.group(3));
  }
}
