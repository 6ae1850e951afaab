package dev.whence.engine.weights;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The digest that {@link ModelFiles#digest()} defines, computed once. */
final class WeightDigest {
  private static final int PIECE = 1 << 20;

  private final String tokenizer;
  private final String config;
  private final String template;
  private @Nullable String hex;

  private WeightDigest(String tokenizer, String config, String template) {
    this.tokenizer = tokenizer;
    this.config = config;
    this.template = template;
  }

  static WeightDigest of(byte[] tokenizer, byte[] config, Optional<String> template) {
    return new WeightDigest(
        sha256(tokenizer),
        sha256(config),
        sha256(template.orElse("").getBytes(StandardCharsets.UTF_8)));
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
    MessageDigest all = newDigest();
    line(all, "whence-model 1");
    ByteBuffer piece = ByteBuffer.allocate(PIECE);
    for (TensorInfo info : weights.tensors().values()) {
      MessageDigest one = newDigest();
      long length = info.byteLength();
      for (long at = 0; at < length; at += piece.limit()) {
        piece.clear().limit((int) Math.min(PIECE, length - at));
        weights.read(info.name(), at, piece);
        one.update(piece.flip());
      }
      String shape = info.shape().stream().map(String::valueOf).collect(Collectors.joining(","));
      line(
          all,
          String.join(
              "\t",
              "tensor",
              info.name(),
              info.type().name(),
              shape,
              HexFormat.of().formatHex(one.digest())));
    }
    line(all, "tokenizer\t" + tokenizer);
    line(all, "config\t" + config);
    line(all, "template\t" + template);
    return HexFormat.of().formatHex(all.digest());
  }

  private static void line(MessageDigest digest, String text) {
    digest.update((text + "\n").getBytes(StandardCharsets.UTF_8));
  }

  private static String sha256(byte[] bytes) {
    return HexFormat.of().formatHex(newDigest().digest(bytes));
  }

  private static MessageDigest newDigest() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
