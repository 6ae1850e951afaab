package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.attribution.Proportion;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.engine.TrunkReuse;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * What the attribution stage counts: responses by how they ended, once that is committed, and
 * tokens as they are run, however often.
 */
final class AttributionMetrics {
  private final Map<AttributionStatus, Counter> responses = new EnumMap<>(AttributionStatus.class);
  private final MeterRegistry registry;
  private final Counter tokens;
  private final Counter flops;
  private final Counter sources;

  AttributionMetrics(MeterRegistry registry) {
    this.registry = registry;
    for (AttributionStatus status : AttributionStatus.values()) {
      responses.put(
          status,
          Counter.builder("whence.responses")
              .description("responses by how their attribution ended")
              .tag("status", status.name().toLowerCase(Locale.ROOT))
              .register(registry));
    }
    tokens =
        Counter.builder("whence.tokens")
            .description("tokens run through the model, trunks and branches")
            .register(registry);
    flops =
        Counter.builder("whence.flops")
            .description("floating point operations of the model")
            .register(registry);
    sources = Counter.builder("whence.sources").description("sources scored").register(registry);
  }

  /** How much of the trunks was taken over from earlier ones; since the model was loaded. */
  static void trunkReuse(MeterRegistry registry, Supplier<TrunkReuse> reuse) {
    Gauge.builder("whence.trunks.reused.share", reuse, AttributionMetrics::share)
        .description("share of the trunks' tokens that an earlier trunk had computed")
        .strongReference(true)
        .register(registry);
    Gauge.builder("whence.trunks.hit.share", reuse, AttributionMetrics::hits)
        .description("share of the trunks that began like an earlier one")
        .strongReference(true)
        .register(registry);
  }

  private static double share(Supplier<TrunkReuse> reuse) {
    TrunkReuse now = reuse.get();
    return now.tokens() == 0 ? 0 : (double) now.reused() / now.tokens();
  }

  private static double hits(Supplier<TrunkReuse> reuse) {
    TrunkReuse now = reuse.get();
    return now.trunks() == 0 ? 0 : (double) now.hits() / now.trunks();
  }

  /**
   * What the fast path is known to be worth; nothing until enough was measured.
   *
   * @param ended of results that the clock ended, or of whole ones
   */
  static void fastPath(MeterRegistry registry, boolean ended, Supplier<Calibrator.Known> known) {
    Tags tags = Tags.of("ended", String.valueOf(ended));
    Gauge.builder("whence.fast.pairs", () -> known.get().pairs())
        .tags(tags)
        .description(
            "responses scored by both roles that the fast path's confidence is learnt from, with the"
                + " target that fewest are known of")
        .strongReference(true)
        .register(registry);
    share(
        registry,
        "whence.fast.escalated.share",
        "share of the responses that the wanted agreement makes the fast path hand on",
        tags.and("bound", "estimate"),
        () -> known.get().escalatedShare());
    proportion(
        registry,
        "whence.fast.agreement",
        "share of the drawn responses on which the target agrees; low, high: 95 % interval",
        tags,
        () -> Optional.of(known.get().agreement()).filter(all -> all.of() > 0));
    proportion(
        registry,
        "whence.fast.kept.agreement",
        "the same of those that the fast path would have kept when it saw them",
        tags,
        () -> Optional.of(known.get().stood()).filter(stood -> stood.of() > 0));
  }

  private static void proportion(
      MeterRegistry registry,
      String name,
      String description,
      Tags tags,
      Supplier<Optional<Proportion>> of) {
    share(
        registry,
        name,
        description,
        tags.and("bound", "estimate"),
        () -> of.get().map(Proportion::share));
    share(
        registry, name, description, tags.and("bound", "low"), () -> of.get().map(Proportion::low));
    share(
        registry,
        name,
        description,
        tags.and("bound", "high"),
        () -> of.get().map(Proportion::high));
  }

  private static void share(
      MeterRegistry registry,
      String name,
      String description,
      Tags tags,
      Supplier<Optional<Double>> value) {
    Gauge.builder(name, () -> value.get().orElse(Double.NaN))
        .description(description)
        .tags(tags)
        .strongReference(true)
        .register(registry);
  }

  /** The FAST role has handed a response on. */
  void escalated(String code) {
    registry.counter("whence.escalations", "reason", code.toLowerCase(Locale.ROOT)).increment();
  }

  /** The FAST role would have handed a response on, and kept it: it fits into no record. */
  void tooLargeToEscalate() {
    registry.counter("whence.escalations.too.large").increment();
  }

  /** The TARGET role is done with an escalation. */
  void closed(String how) {
    registry.counter("whence.escalations.closed", "how", how.toLowerCase(Locale.ROOT)).increment();
  }

  /**
   * A drawn response was scored by both roles.
   *
   * @param agreed true, false, or unknown: not of the same sources, or not in the whole context
   */
  void compared(String agreed) {
    registry.counter("whence.comparisons", "agreed", agreed).increment();
  }

  void ended(AttributionStatus status) {
    Counter counter = responses.get(status);
    if (counter != null) {
      counter.increment();
    }
  }

  /** The model has worked, whatever becomes of the result. */
  void worked(AttributionResult result) {
    tokens.increment((double) (result.cost().trunkTokens() + result.cost().branchTokens()));
    flops.increment(result.cost().flops());
  }

  /** Counts sources that were scored here, not those that keep the scores of an earlier result. */
  void scored(long number) {
    sources.increment((double) number);
  }
}
