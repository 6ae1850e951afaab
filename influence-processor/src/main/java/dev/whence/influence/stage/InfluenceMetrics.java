package dev.whence.influence.stage;

import dev.whence.schemas.avro.InfluenceCause;
import dev.whence.schemas.avro.InfluenceStatus;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicLong;

/** What the stages of the influence processor count. */
final class InfluenceMetrics {
  private final MeterRegistry registry;
  private final Counter notSampled;
  private final Counter scannedDocuments;
  private final Counter scannedBytes;
  private final Counter reranked;
  private final Counter expired;
  private final Counter closedEarly;
  private final DistributionSummary queriesPerScan;
  private final Timer scan;
  private final Timer rerank;
  private final AtomicLong openShards;
  private final AtomicLong openWords;
  private final AtomicLong heldBytes;

  InfluenceMetrics(MeterRegistry registry) {
    this.registry = registry;
    notSampled =
        Counter.builder("whence.influence.not.sampled")
            .description("responses that the sampling rate left out")
            .register(registry);
    scannedDocuments =
        Counter.builder("whence.influence.scanned.documents")
            .description("documents looked at, each once for all queries of a scan")
            .register(registry);
    scannedBytes =
        Counter.builder("whence.influence.scanned")
            .description("codes read by scans")
            .baseUnit("bytes")
            .register(registry);
    reranked =
        Counter.builder("whence.influence.reranked")
            .description("documents whose gradients were computed anew")
            .register(registry);
    expired =
        Counter.builder("whence.influence.expired")
            .description("records of queries whose deadline had passed before they were read")
            .register(registry);
    closedEarly =
        Counter.builder("whence.influence.closed.early")
            .description("queries that the merger closed early, for want of room")
            .register(registry);
    queriesPerScan =
        DistributionSummary.builder("whence.influence.scan.queries")
            .description("queries that shared a scan")
            .register(registry);
    scan = timer("whence.influence.scan.time", "time of a scan of all shards that were asked");
    rerank = timer("whence.influence.rerank.time", "time of ranking a query's candidates again");
    openShards = gauge("whence.influence.shards.open", "shards that were opened and checked");
    openWords = gauge("whence.influence.words.open", "shards whose words are open");
    heldBytes = gauge("whence.influence.held.bytes", "signs of open shards that are in memory");
  }

  private AtomicLong gauge(String name, String description) {
    AtomicLong value = new AtomicLong();
    Gauge.builder(name, value, AtomicLong::get).description(description).register(registry);
    return value;
  }

  private Timer timer(String name, String description) {
    return Timer.builder(name)
        .description(description)
        .publishPercentileHistogram()
        .minimumExpectedValue(Duration.ofMillis(1))
        .maximumExpectedValue(Duration.ofMinutes(10))
        .register(registry);
  }

  void notSampled() {
    notSampled.increment();
  }

  /** A query was written. */
  void asked(InfluenceCause cause) {
    registry
        .counter("whence.influence.queries", "cause", cause.name().toLowerCase(Locale.ROOT))
        .increment();
  }

  /** A result was written. */
  void ended(InfluenceStatus status) {
    registry
        .counter("whence.influence.results", "status", status.name().toLowerCase(Locale.ROOT))
        .increment();
  }

  void scanned(int queries, long documents, long bytes, Duration time) {
    queriesPerScan.record(queries);
    scannedDocuments.increment((double) documents);
    scannedBytes.increment((double) bytes);
    scan.record(time);
  }

  void reranked(int documents, Duration time) {
    reranked.increment(documents);
    rerank.record(time);
  }

  void expired() {
    expired.increment();
  }

  /** The merger had no more room for open queries, and closed the oldest. */
  void closedEarly() {
    closedEarly.increment();
  }

  /**
   * So many shards are open.
   *
   * @param words shards whose words are
   * @param held bytes of signs in memory
   */
  void open(int shards, int words, long held) {
    openShards.set(shards);
    openWords.set(words);
    heldBytes.set(held);
  }

  /** A shard was asked. */
  void shard(boolean missing) {
    registry
        .counter("whence.influence.shards", "result", missing ? "missing" : "scanned")
        .increment();
  }

  /** The merger got a record that changed nothing: {@code late}, {@code duplicate}, ... */
  void ignored(String why) {
    registry.counter("whence.influence.partials.ignored", "why", why).increment();
  }
}
