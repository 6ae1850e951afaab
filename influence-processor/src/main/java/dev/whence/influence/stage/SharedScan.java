package dev.whence.influence.stage;

import dev.whence.influence.InfluenceException;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.query.IndexScan;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** One reading of every shard that is asked, for all queries that ask it. Not thread-safe. */
final class SharedScan {
  /** Bytes of signs that one query's scan reads in a second, until it was measured. */
  private static final double FIRST_BYTES_PER_SECOND = 2e8;

  private final InfluenceMetrics metrics;
  private final LearntRate bytesPerSecond = new LearntRate(FIRST_BYTES_PER_SECOND);

  SharedScan(InfluenceMetrics metrics) {
    this.metrics = metrics;
  }

  private static List<ComingQuery> waiting(Collection<ComingQuery> queries) {
    return queries.stream().filter(one -> one.scanned.isEmpty() && !one.here().isEmpty()).toList();
  }

  /** Seconds that {@link #run} is expected to take. */
  double predicted(Collection<ComingQuery> queries) {
    long bytes =
        waiting(queries).stream()
            .flatMap(one -> one.here().stream())
            .mapToLong(ShardFile::scannedBytes)
            .sum();
    return bytes / bytesPerSecond.value();
  }

  /**
   * Scans for all queries that were not scanned yet and have a shard here. A shard that can not be
   * read is missing from here on.
   */
  void run(Collection<ComingQuery> queries) {
    long began = System.nanoTime();
    List<ComingQuery> waiting = waiting(queries);
    Map<ShardFile, List<ComingQuery>> askers = new LinkedHashMap<>();
    for (ComingQuery one : waiting) {
      for (ShardFile shard : one.here()) {
        askers.computeIfAbsent(shard, unused -> new ArrayList<>()).add(one);
      }
    }
    Map<ComingQuery, IndexScan.Candidates> found = new HashMap<>();
    waiting.forEach(one -> found.put(one, new IndexScan.Candidates(List.of(), List.of())));
    long documents = 0;
    long bytes = 0;
    long work = 0;
    for (Map.Entry<ShardFile, List<ComingQuery>> entry : askers.entrySet()) {
      ShardFile shard = entry.getKey();
      List<ComingQuery> asking = entry.getValue();
      List<IndexScan.Candidates> candidates;
      try {
        candidates = IndexScan.scan(shard, asking.stream().map(ComingQuery::asked).toList());
      } catch (InfluenceException e) {
        asking.forEach(one -> one.missing(shard, e));
        continue;
      }
      for (int i = 0; i < asking.size(); i++) {
        IndexScan.Candidates more = candidates.get(i);
        found.computeIfPresent(
            asking.get(i), (one, before) -> before.plus(more, one.asked().most()));
      }
      documents += shard.size();
      bytes += shard.scannedBytes();
      work += shard.scannedBytes() * asking.size();
    }
    double seconds = (System.nanoTime() - began) / 1e9;
    if (work > 0 && seconds > 0) {
      bytesPerSecond.add(work / seconds);
    }
    metrics.scanned(waiting.size(), documents, bytes, Duration.ofNanos((long) (seconds * 1e9)));
    found.forEach(
        (one, candidates) ->
            one.scanned =
                Optional.of(new ComingQuery.Scanned(candidates, seconds / waiting.size())));
  }
}
