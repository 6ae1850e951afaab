package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.text.SpecialTokens;
import dev.whence.engine.text.TemplateSources;
import dev.whence.files.Sha256;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The digest that {@link ModelFiles#digest()} defines, computed once. Whoever has read all tensors
 * anyway gives their digests to {@link #hex(SortedMap)} instead.
 */
public final class WeightDigest {
  private static final int PIECE = 1 << 20;

  private final String tokenizer;
  private final String config;
  private final String template;
  private final Optional<String> withTools;
  private final String settings;
  private @Nullable String hex;

  private WeightDigest(
      String tokenizer,
      String config,
      String template,
      Optional<String> withTools,
      String settings) {
    this.tokenizer = tokenizer;
    this.config = config;
    this.template = template;
    this.withTools = withTools;
    this.settings = settings;
  }

  /**
   * A tensor's part.
   *
   * @param sha256 of its bytes, in hex
   */
  public record Hashed(String dtype, List<Long> shape, String sha256) {
    public Hashed {
      shape = List.copyOf(shape);
    }
  }

  /** With what a Hugging Face directory has beside its weights. */
  public static WeightDigest ofTextsIn(Path directory) {
    byte[] config = UntrustedJson.bytes(directory, "config.json");
    JsonNode tokenizerConfig = ModelFiles.optional(directory, "tokenizer_config.json");
    return of(
        UntrustedJson.bytes(directory, "tokenizer.json"),
        config,
        TokenizerSettings.template(directory, tokenizerConfig),
        TokenizerSettings.settings(
            UntrustedJson.object(config, directory.resolve("config.json").toString()),
            ModelFiles.optional(directory, "generation_config.json"),
            tokenizerConfig,
            ModelFiles.optional(directory, "special_tokens_map.json")));
  }

  /**
   * @param settings of special tokens and the end of an answer
   */
  static WeightDigest of(
      byte[] tokenizer, byte[] config, Optional<TemplateSources> template, String settings) {
    return new WeightDigest(
        Sha256.of(tokenizer),
        Sha256.of(config),
        Sha256.of(template.map(TemplateSources::standard).orElse("")),
        template.flatMap(TemplateSources::withTools).map(Sha256::of),
        Sha256.of(settings));
  }

  /** A digest of what a model reads and how, where its weights are somewhere else. */
  static String ofTexts(
      ModelConfig config,
      JsonNode tokenizer,
      Optional<TemplateSources> template,
      SpecialTokens special) {
    MessageDigest all = Sha256.begin();
    line(all, "whence-text 1");
    line(all, "tokenizer\t" + Sha256.of(tokenizer.toString()));
    line(all, "config\t" + Sha256.of(config.toString()));
    line(all, "template\t" + Sha256.of(template.map(TemplateSources::standard).orElse("")));
    line(
        all,
        "template tool_use\t" + Sha256.of(template.flatMap(TemplateSources::withTools).orElse("")));
    // in an order: that of a map is another one in each process
    line(all, "special\t" + Sha256.of(new TreeMap<>(special.named()).toString()));
    line(all, "begin\t" + special.addsBegin() + "\t" + special.beginsChats());
    return HexFormat.of().formatHex(all.digest());
  }

  synchronized String hex(WeightSource weights) {
    String known = hex;
    if (known == null) {
      known = compute(weights);
      hex = known;
    }
    return known;
  }

  private String compute(WeightSource weights) {
    SortedMap<String, Hashed> hashed = new TreeMap<>();
    ByteBuffer piece = ByteBuffer.allocate(PIECE);
    for (TensorInfo info : weights.tensors().values()) {
      MessageDigest one = Sha256.begin();
      long length = info.byteLength();
      for (long at = 0; at < length; at += piece.limit()) {
        piece.clear().limit((int) Math.min(PIECE, length - at));
        weights.read(info.name(), at, piece);
        one.update(piece.flip());
      }
      hashed.put(
          info.name(),
          new Hashed(info.type().name(), info.shape(), HexFormat.of().formatHex(one.digest())));
    }
    return hex(hashed);
  }

  /**
   * The digest of a model whose tensors were read already.
   *
   * @param tensors by name, without {@linkplain SafetensorsShards#isBuffer buffers}
   */
  public String hex(SortedMap<String, Hashed> tensors) {
    MessageDigest all = Sha256.begin();
    line(all, "whence-model 2");
    tensors.forEach(
        (name, tensor) ->
            line(
                all,
                String.join(
                    "\t",
                    "tensor",
                    name,
                    tensor.dtype(),
                    tensor.shape().stream().map(String::valueOf).collect(Collectors.joining(",")),
                    tensor.sha256())));
    line(all, "tokenizer\t" + tokenizer);
    line(all, "config\t" + config);
    line(all, "template\t" + template);
    withTools.ifPresent(sha256 -> line(all, "template tool_use\t" + sha256));
    line(all, "settings\t" + settings);
    return HexFormat.of().formatHex(all.digest());
  }

  private static void line(MessageDigest digest, String text) {
    digest.update((text + "\n").getBytes(StandardCharsets.UTF_8));
  }
}
