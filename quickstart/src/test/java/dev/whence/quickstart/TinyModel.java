package dev.whence.quickstart;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/**
 * A Hugging Face directory with a small random Llama that reads bytes: for tests of everything
 * around a model.
 */
final class TinyModel {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int HIDDEN = 32;
  private static final int INTERMEDIATE = 64;
  private static final int HEADS = 4;
  private static final int LAYERS = 2;
  private static final int POSITIONS = 4096;
  private static final int START = 256;
  private static final int END = 257;
  private static final int VOCABULARY = 258;
  private static final String TEMPLATE =
      "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
          + "{{ message['content'] }}<|im_end|>\n{% endfor %}"
          + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

  private TinyModel() {}

  static Path write(Path directory) throws IOException {
    Files.createDirectories(directory);
    JSON.writeValue(directory.resolve("config.json").toFile(), config());
    JSON.writeValue(directory.resolve("tokenizer.json").toFile(), tokenizer());
    JSON.writeValue(
        directory.resolve("tokenizer_config.json").toFile(),
        JSON.createObjectNode().put("eos_token", "<|im_end|>").put("chat_template", TEMPLATE));
    writeWeights(directory.resolve("model.safetensors"));
    return directory;
  }

  private static ObjectNode config() {
    ObjectNode config = JSON.createObjectNode();
    config.putArray("architectures").add("LlamaForCausalLM");
    return config
        .put("model_type", "llama")
        .put("hidden_size", HIDDEN)
        .put("intermediate_size", INTERMEDIATE)
        .put("num_attention_heads", HEADS)
        .put("num_key_value_heads", HEADS)
        .put("num_hidden_layers", LAYERS)
        .put("max_position_embeddings", POSITIONS)
        .put("rms_norm_eps", 1e-5)
        .put("rope_theta", 10000.0)
        .put("hidden_act", "silu")
        .put("vocab_size", VOCABULARY)
        .put("bos_token_id", START)
        .put("eos_token_id", END)
        .put("tie_word_embeddings", true);
  }

  /** Every byte is a token, written as byte-level BPE writes bytes. */
  private static ObjectNode tokenizer() {
    ObjectNode tokenizer = JSON.createObjectNode().put("version", "1.0");
    ArrayNode added = tokenizer.putArray("added_tokens");
    addSpecial(added, START, "<|im_start|>");
    addSpecial(added, END, "<|im_end|>");
    tokenizer.putNull("normalizer");
    byteLevel(tokenizer.putObject("pre_tokenizer"));
    tokenizer.putNull("post_processor");
    byteLevel(tokenizer.putObject("decoder"));
    ObjectNode model = tokenizer.putObject("model").put("type", "BPE");
    ObjectNode vocabulary = model.putObject("vocab");
    int unprintable = 0;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b > 32 && b < 127) || (b > 160 && b != 173);
      int shown = printable ? b : 256 + unprintable++;
      vocabulary.put(Character.toString(shown), b);
    }
    vocabulary.put("<|im_start|>", START).put("<|im_end|>", END);
    model.putArray("merges");
    return tokenizer;
  }

  private static void addSpecial(ArrayNode added, int id, String content) {
    added
        .addObject()
        .put("id", id)
        .put("content", content)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", true);
  }

  private static void byteLevel(ObjectNode to) {
    to.put("type", "ByteLevel").put("add_prefix_space", false).put("trim_offsets", false);
    to.put("use_regex", true);
  }

  private static void writeWeights(Path file) throws IOException {
    Map<String, int[]> shapes = new LinkedHashMap<>();
    shapes.put("model.embed_tokens.weight", new int[] {VOCABULARY, HIDDEN});
    shapes.put("model.norm.weight", new int[] {HIDDEN});
    for (int layer = 0; layer < LAYERS; layer++) {
      String prefix = "model.layers." + layer + ".";
      shapes.put(prefix + "input_layernorm.weight", new int[] {HIDDEN});
      shapes.put(prefix + "post_attention_layernorm.weight", new int[] {HIDDEN});
      for (String projection : new String[] {"q_proj", "k_proj", "v_proj", "o_proj"}) {
        shapes.put(prefix + "self_attn." + projection + ".weight", new int[] {HIDDEN, HIDDEN});
      }
      shapes.put(prefix + "mlp.gate_proj.weight", new int[] {INTERMEDIATE, HIDDEN});
      shapes.put(prefix + "mlp.up_proj.weight", new int[] {INTERMEDIATE, HIDDEN});
      shapes.put(prefix + "mlp.down_proj.weight", new int[] {HIDDEN, INTERMEDIATE});
    }
    ObjectNode header = JSON.createObjectNode();
    int at = 0;
    for (Map.Entry<String, int[]> tensor : shapes.entrySet()) {
      int bytes = 4 * size(tensor.getValue());
      ObjectNode entry = header.putObject(tensor.getKey()).put("dtype", "F32");
      Arrays.stream(tensor.getValue()).forEach(entry.putArray("shape")::add);
      entry.putArray("data_offsets").add(at).add(at + bytes);
      at += bytes;
    }
    byte[] json = JSON.writeValueAsBytes(header);
    byte[] padded = Arrays.copyOf(json, (json.length + 7) / 8 * 8);
    Arrays.fill(padded, json.length, padded.length, (byte) ' ');
    ByteBuffer data = ByteBuffer.allocate(at).order(ByteOrder.LITTLE_ENDIAN);
    Random random = new Random(1);
    for (int[] shape : shapes.values()) {
      for (int i = 0; i < size(shape); i++) {
        data.putFloat(shape.length == 1 ? 1 : (float) (random.nextGaussian() * .3));
      }
    }
    ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    length.putLong(padded.length);
    try (OutputStream out = Files.newOutputStream(file)) {
      out.write(length.array());
      out.write(padded);
      out.write(data.array());
    }
  }

  private static int size(int[] shape) {
    return Arrays.stream(shape).reduce(1, (a, b) -> a * b);
  }
}
