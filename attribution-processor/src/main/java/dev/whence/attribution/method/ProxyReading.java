package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.engine.Scorer;
import dev.whence.engine.WorkEstimate;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The same prompt and response as a smaller model reads them: with its own tokenizer and template.
 *
 * @param scorer the proxy
 * @param task in the proxy's tokens
 * @param method that scores it
 * @param sources for each source of the target's task, its index in the proxy's
 */
public record ProxyReading(
    Scorer scorer, ScoringTask task, AttributionMethod method, List<Integer> sources)
    implements Prior {
  public ProxyReading {
    sources = List.copyOf(sources);
  }

  @Override
  public List<SourceTau> taus(Meter meter) {
    ContextScores scores = method.score(scorer, task, meter.ofProxy());
    return sources.stream().map(scores.sources()::get).toList();
  }

  @Override
  public List<Integer> candidates(List<SourceTau> taus, int k) {
    return SourceTau.top(taus, k);
  }

  @Override
  public List<Integer> expectedCandidates(int k) {
    return IntStream.range(0, Math.min(k, sources.size())).boxed().toList();
  }

  @Override
  public WorkEstimate estimate() {
    return method.estimate(scorer, task);
  }
}
