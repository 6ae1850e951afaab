package dev.whence.attribution.method;

import dev.whence.engine.Scorer;
import java.util.List;

/**
 * The same prompt and response as a smaller model reads them: with its own tokenizer and template.
 *
 * @param scorer the proxy
 * @param task in the proxy's tokens
 * @param method that scores it
 * @param sources for each source of the target's task, its index in the proxy's
 */
public record ProxyReading(
    Scorer scorer, ScoringTask task, AttributionMethod method, List<Integer> sources) {
  public ProxyReading {
    sources = List.copyOf(sources);
  }

  /** The proxy's scores of the target's sources. */
  List<ContextScores.SourceTau> taus(Meter meter) {
    ContextScores scores = method.score(scorer, task, meter.ofProxy());
    return sources.stream().map(scores.sources()::get).toList();
  }
}
