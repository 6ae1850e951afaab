package dev.whence.runtime.health;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What a worker counts. The only labels are the stage and, for dead letters, the failure's code:
 * nothing that a user can make up.
 */
public final class WorkerMetrics {
  private final MeterRegistry registry;
  private final String stage;
  private final Counter written;
  private final Counter expired;
  private final Counter batches;
  private final Counter aborts;
  private final Counter givenUp;
  private final Counter environment;
  private final Counter restarts;
  private final Timer modelTime;
  private final Timer endToEnd;
  private final Timer commitTime;
  private final DistributionSummary batchRecords;
  private final AtomicLong held = new AtomicLong();

  /** NaN where it is not known. */
  private volatile double lag = Double.NaN;

  public WorkerMetrics(MeterRegistry registry, String stage) {
    this.registry = registry;
    this.stage = stage;
    written = counter("whence.records", "records that ended with their results");
    expired =
        counter("whence.records.expired", "offsets that retention deleted before they were read");
    batches = counter("whence.batches", "batches committed");
    aborts = counter("whence.transactions.aborted", "transactions aborted and tried again");
    givenUp = counter("whence.batches.given.up", "batches whose results could not be committed");
    environment = counter("whence.environment.failures", "pauses because of the environment");
    restarts = counter("whence.clients.restarted", "times that new Kafka clients were needed");
    modelTime = timer("whence.model.time", "time on the model, per record");
    commitTime = timer("whence.commit.time", "time of a transaction");
    endToEnd = timer("whence.end.to.end", "from the record's timestamp to its committed result");
    batchRecords =
        DistributionSummary.builder("whence.batch.records")
            .description("records per batch")
            .tag("stage", stage)
            .register(registry);
    Gauge.builder("whence.queue.lag", this, metrics -> metrics.lag)
        .description("records not yet committed, over the assigned partitions; NaN if not known")
        .tag("stage", stage)
        .register(registry);
    Gauge.builder("whence.records.held", held, AtomicLong::doubleValue)
        .description("records read and not yet committed")
        .tag("stage", stage)
        .register(registry);
  }

  private Counter counter(String name, String description) {
    return Counter.builder(name).description(description).tag("stage", stage).register(registry);
  }

  private Timer timer(String name, String description) {
    return Timer.builder(name)
        .description(description)
        .tag("stage", stage)
        .publishPercentileHistogram()
        .minimumExpectedValue(Duration.ofMillis(1))
        .maximumExpectedValue(Duration.ofMinutes(10))
        .register(registry);
  }

  /** A record's results are committed. */
  public void finished(long timestampMillis, long nowMillis, long modelNanos) {
    written.increment();
    if (modelNanos > 0) {
      modelTime.record(Duration.ofNanos(modelNanos));
    }
    endToEnd.record(Duration.ofMillis(Math.max(0, nowMillis - timestampMillis)));
  }

  /** A record went to the dead letter queue. */
  public void deadLetter(String code) {
    Counter.builder("whence.dlq.records")
        .description("records given up")
        .tag("stage", stage)
        .tag("code", code)
        .register(registry)
        .increment();
  }

  public void batch(int records, Duration commit) {
    batches.increment();
    batchRecords.record(records);
    commitTime.record(commit);
  }

  public void aborted() {
    aborts.increment();
  }

  public void givenUp() {
    givenUp.increment();
  }

  public void environmentFailed() {
    environment.increment();
  }

  public void clientsRestarted() {
    restarts.increment();
  }

  public void expired(long offsets) {
    expired.increment((double) offsets);
  }

  /**
   * What waits in the assigned partitions.
   *
   * @param unreadRecords behind what was read; empty if that is not known
   * @param heldRecords read and not yet committed
   */
  public void queue(OptionalLong unreadRecords, long heldRecords) {
    lag = unreadRecords.isPresent() ? unreadRecords.getAsLong() + heldRecords : Double.NaN;
    held.set(heldRecords);
  }
}
