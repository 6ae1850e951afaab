package dev.whence.attribution.stage;

import dev.whence.conversation.Conversation;
import dev.whence.runtime.config.Settings;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Which responses are scored. The rate is applied to a hash of the responseId, so every processor
 * and every replay chooses the same ones, and a lower rate chooses some of those of a higher one.
 *
 * @param rate share of the responses, 0 to 1
 * @param models production models to score, as production names them; empty: all
 * @param attributes values that attributes must have, by name
 */
public record Sampling(double rate, Set<String> models, Map<String, String> attributes) {
  public static final Sampling ALL = new Sampling(1, Set.of(), Map.of());

  private static final double TWO_TO_53 = 0x1p53;

  public Sampling {
    models = Set.copyOf(models);
    attributes = Map.copyOf(attributes);
  }

  /** Why a response is not scored: a code and a sentence. */
  public record LeftOut(String code, String sentence) {}

  static Sampling read(Settings settings) {
    return new Sampling(
        settings.number("sampling.rate", 1, 0, 1),
        Set.copyOf(settings.list("filter.models")),
        new TreeMap<>(settings.under("filter.attributes.", name -> false)));
  }

  /** Says why a response is left out, or nothing if it is to be scored. */
  public Optional<LeftOut> leavesOut(Conversation conversation) {
    if (!models.isEmpty() && !models.contains(conversation.model())) {
      return Optional.of(new LeftOut("FILTERED", "The model is not among filter.models."));
    }
    for (Map.Entry<String, String> wanted : attributes.entrySet()) {
      if (!wanted.getValue().equals(conversation.attributes().get(wanted.getKey()))) {
        return Optional.of(
            new LeftOut("FILTERED", "An attribute does not have the value of filter.attributes."));
      }
    }
    return share(conversation.responseId()) < rate
        ? Optional.empty()
        : Optional.of(new LeftOut("SAMPLED", "Left out by sampling.rate."));
  }

  /** Uniform in [0, 1): the first 53 bits of the SHA-256 of the id. */
  static double share(String responseId) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(responseId.getBytes(StandardCharsets.UTF_8));
      return (ByteBuffer.wrap(hash).getLong() >>> 11) / TWO_TO_53;
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JVM has SHA-256", e);
    }
  }
}
