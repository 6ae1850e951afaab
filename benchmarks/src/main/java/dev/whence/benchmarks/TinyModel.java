package dev.whence.benchmarks;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/**
 * A Llama of random weights in Hugging Face layout, small enough that its time is nothing beside
 * what is measured around it. Its vocabulary is the 256 bytes and two special tokens; its answers
 * mean nothing.
 */
public final class TinyModel {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int HIDDEN = 64;
  private static final int LAYERS = 2;
  private static final int HEADS = 4;
  private static final int KEY_VALUE_HEADS = 2;
  private static final int INTERMEDIATE = 128;
  private static final int MAX_POSITIONS = 4096;
  private static final String START = "<|im_start|>";
  private static final String END = "<|im_end|>";
  private static final int VOCABULARY = 258;
  private static final String TEMPLATE =
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
          + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

  private TinyModel() {}

  /**
   * Writes the model.
   *
   * @param directory is created; the same seed always gives the same files
   */
  public static Path write(Path directory, long seed) throws IOException {
    Files.createDirectories(directory);
    JSON.writeValue(directory.resolve("config.json").toFile(), config());
    JSON.writeValue(directory.resolve("tokenizer.json").toFile(), tokenizer());
    JSON.writeValue(directory.resolve("tokenizer_config.json").toFile(), tokenizerConfig());
    writeWeights(directory.resolve("model.safetensors"), new Random(seed));
    return directory;
  }

  private static ObjectNode config() {
    ObjectNode config = JSON.createObjectNode();
    config.putArray("architectures").add("LlamaForCausalLM");
    return config
        .put("model_type", "llama")
        .put("vocab_size", VOCABULARY)
        .put("hidden_size", HIDDEN)
        .put("intermediate_size", INTERMEDIATE)
        .put("num_hidden_layers", LAYERS)
        .put("num_attention_heads", HEADS)
        .put("num_key_value_heads", KEY_VALUE_HEADS)
        .put("head_dim", HIDDEN / HEADS)
        .put("max_position_embeddings", MAX_POSITIONS)
        .put("rms_norm_eps", 1e-5)
        .put("rope_theta", 10000.0)
        .put("hidden_act", "silu")
        .put("tie_word_embeddings", false)
        .put("torch_dtype", "float32")
        .put("bos_token_id", 256)
        .put("eos_token_id", 257);
  }

  private static ObjectNode tokenizer() {
    ObjectNode root = JSON.createObjectNode().put("version", "1.0");
    ArrayNode added = root.putArray("added_tokens");
    added.add(special(256, START));
    added.add(special(257, END));
    root.putNull("normalizer");
    root.putObject("pre_tokenizer")
        .put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", false)
        .put("use_regex", true);
    root.putNull("post_processor");
    root.putObject("decoder")
        .put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", false)
        .put("use_regex", true);
    ObjectNode model = root.putObject("model").put("type", "BPE");
    ObjectNode vocabulary = model.putObject("vocab");
    int fallback = 256;
    for (int value = 0; value < 256; value++) {
      boolean printable = (value >= '!' && value <= '~') || (value >= 0xA1 && value != 0xAD);
      vocabulary.put(Character.toString(printable ? value : fallback++), value);
    }
    model.putArray("merges");
    return root;
  }

  private static ObjectNode special(int id, String content) {
    return JSON.createObjectNode()
        .put("id", id)
        .put("content", content)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", true);
  }

  private static ObjectNode tokenizerConfig() {
    return JSON.createObjectNode()
        .put("tokenizer_class", "PreTrainedTokenizerFast")
        .put("bos_token", START)
        .put("eos_token", END)
        .put("chat_template", TEMPLATE);
  }

  private static void writeWeights(Path file, Random random) throws IOException {
    Map<String, long[]> shapes = shapes();
    ObjectNode header = JSON.createObjectNode();
    long at = 0;
    for (Map.Entry<String, long[]> entry : shapes.entrySet()) {
      long bytes = 4 * elements(entry.getValue());
      ObjectNode tensor = header.putObject(entry.getKey()).put("dtype", "F32");
      ArrayNode shape = tensor.putArray("shape");
      for (long size : entry.getValue()) {
        shape.add(size);
      }
      tensor.putArray("data_offsets").add(at).add(at + bytes);
      at += bytes;
    }
    byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
    try (OutputStream out = Files.newOutputStream(file)) {
      out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
      out.write(text);
      shapes.forEach((name, shape) -> write(out, shape, random));
    }
  }

  private static void write(OutputStream out, long[] shape, Random random) {
    int count = Math.toIntExact(elements(shape));
    ByteBuffer bytes = ByteBuffer.allocate(4 * count).order(ByteOrder.LITTLE_ENDIAN);
    double deviation = shape.length == 1 ? 0 : 1 / Math.sqrt((double) shape[1]);
    for (int i = 0; i < count; i++) {
      bytes.putFloat((float) (shape.length == 1 ? 1 : deviation * random.nextGaussian()));
    }
    try {
      out.write(bytes.array());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Map<String, long[]> shapes() {
    Map<String, long[]> shapes = new LinkedHashMap<>();
    long keys = (long) KEY_VALUE_HEADS * HIDDEN / HEADS;
    shapes.put("model.embed_tokens.weight", new long[] {VOCABULARY, HIDDEN});
    for (int i = 0; i < LAYERS; i++) {
      String layer = "model.layers." + i + ".";
      shapes.put(layer + "input_layernorm.weight", new long[] {HIDDEN});
      shapes.put(layer + "self_attn.q_proj.weight", new long[] {HIDDEN, HIDDEN});
      shapes.put(layer + "self_attn.k_proj.weight", new long[] {keys, HIDDEN});
      shapes.put(layer + "self_attn.v_proj.weight", new long[] {keys, HIDDEN});
      shapes.put(layer + "self_attn.o_proj.weight", new long[] {HIDDEN, HIDDEN});
      shapes.put(layer + "post_attention_layernorm.weight", new long[] {HIDDEN});
      shapes.put(layer + "mlp.gate_proj.weight", new long[] {INTERMEDIATE, HIDDEN});
      shapes.put(layer + "mlp.up_proj.weight", new long[] {INTERMEDIATE, HIDDEN});
      shapes.put(layer + "mlp.down_proj.weight", new long[] {HIDDEN, INTERMEDIATE});
    }
    shapes.put("model.norm.weight", new long[] {HIDDEN});
    shapes.put("lm_head.weight", new long[] {VOCABULARY, HIDDEN});
    return shapes;
  }

  private static long elements(long[] shape) {
    long product = 1;
    for (long size : shape) {
      product *= size;
    }
    return product;
  }
}
