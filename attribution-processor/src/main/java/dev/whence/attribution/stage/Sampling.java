package dev.whence.attribution.stage;

import dev.whence.conversation.Conversation;
import dev.whence.runtime.config.SamplingRate;
import dev.whence.runtime.config.Settings;
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
        new TreeMap<>(settings.named("filter.attributes.")));
  }

  /**
   * Says why a response is left out, or nothing if it is to be scored.
   *
   * @param requested whether somebody asked for its attribution: then no rate leaves it out, only a
   *     filter does, which says that it is not this processor's
   */
  public Optional<LeftOut> leavesOut(Conversation conversation, boolean requested) {
    if (!models.isEmpty() && !models.contains(conversation.model())) {
      return Optional.of(new LeftOut("FILTERED", "The model is not among filter.models."));
    }
    for (Map.Entry<String, String> wanted : attributes.entrySet()) {
      if (!wanted.getValue().equals(conversation.attributes().get(wanted.getKey()))) {
        return Optional.of(
            new LeftOut("FILTERED", "An attribute does not have the value of filter.attributes."));
      }
    }
    return requested || share(conversation.responseId()) < rate
        ? Optional.empty()
        : Optional.of(new LeftOut("SAMPLED", "Left out by sampling.rate."));
  }

  /** Uniform in [0, 1), of a hash of the id. */
  static double share(String responseId) {
    return SamplingRate.share(responseId);
  }
}
