package dev.whence.attribution.stage;

import dev.whence.attribution.AttributionResult;
import dev.whence.attribution.AttributionStatus;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;

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
