package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.common.KafkaFuture;

/**
 * Says when the brokers no longer answer: a consumer that polls goes on in silence and gets
 * nothing. Asks without waiting, each time it is looked at and the last answer is old enough. Owned
 * by the thread that polls.
 */
public final class BrokerWatch {
  private static final String PART = "brokers";
  private static final Duration EVERY = Duration.ofSeconds(5);

  /** How long an answer may take. */
  static final Duration SILENT = Duration.ofSeconds(15);

  /** One may be a single broker's; its neighbours answer the next one. */
  private static final int FAILURES = 2;

  private final Admin admin;
  private final Health health;
  private final Duration every;
  private final Duration silentFor;
  private Optional<KafkaFuture<String>> asked = Optional.empty();
  private long askedAt;
  private int failedInARow;

  /**
   * Asks every five seconds, and says so when two questions in a row had no answer in 15.
   *
   * @param admin asks; closed by the caller
   */
  public BrokerWatch(Admin admin, Health health) {
    this(admin, health, EVERY, SILENT);
  }

  /**
   * Of another patience.
   *
   * @param admin asks; closed by the caller
   * @param every a question is asked so often
   * @param silentFor a question may stay without an answer so long, twice in a row
   */
  public BrokerWatch(Admin admin, Health health, Duration every, Duration silentFor) {
    this.admin = admin;
    this.health = health;
    this.every = every;
    this.silentFor = silentFor;
    this.askedAt = System.nanoTime() - every.toNanos();
  }

  /** Asks, or looks whether there is an answer. Returns at once. */
  public void look() {
    long passed = System.nanoTime() - askedAt;
    if (asked.isPresent() && asked.get().isDone()) {
      if (asked.get().isCompletedExceptionally()) {
        failedInARow++;
        if (failedInARow >= FAILURES) {
          health.notReady(PART, "the brokers do not answer: " + why(asked.get()));
        }
      } else {
        failedInARow = 0;
        health.ready(PART);
      }
      asked = Optional.empty();
    }
    if (asked.isEmpty() && passed >= every.toNanos()) {
      askedAt = System.nanoTime();
      asked =
          Optional.of(
              admin
                  .describeCluster(
                      new DescribeClusterOptions().timeoutMs((int) silentFor.toMillis()))
                  .clusterId());
    }
  }

  private static String why(KafkaFuture<String> failed) {
    try {
      return failed.get();
    } catch (ExecutionException e) {
      return TransactionWriter.describe(e.getCause() == null ? e : e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "interrupted";
    }
  }
}
