package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import dev.whence.engine.TrunkReuse;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;

/** What the attribution stage counts: responses by how they ended, and tokens. */
final class AttributionMetrics {
  private final Map<AttributionStatus, Counter> responses = new EnumMap<>(AttributionStatus.class);
  private final Counter tokens;
  private final Counter flops;
  private final Counter sources;

  AttributionMetrics(MeterRegistry registry) {
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

  void ended(AttributionStatus status) {
    Counter counter = responses.get(status);
    if (counter != null) {
      counter.increment();
    }
  }

  void scored(AttributionResult result) {
    tokens.increment((double) (result.cost().trunkTokens() + result.cost().branchTokens()));
    flops.increment(result.cost().flops());
    sources.increment(result.sources().size());
  }
}
