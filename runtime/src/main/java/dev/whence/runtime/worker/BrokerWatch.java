package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
import java.time.Duration;
import java.util.Optional;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.common.KafkaFuture;

/**
 * Says when the brokers no longer answer: a consumer that polls goes on in silence and gets
 * nothing. Asks without waiting, each time it is looked at and the last answer is old enough. Owned
 * by the poll thread.
 */
final class BrokerWatch {
  private static final String PART = "brokers";

  private final Admin admin;
  private final Health health;
  private final Duration every;
  private final Duration silentFor;
  private Optional<KafkaFuture<String>> asked = Optional.empty();
  private long askedAt;

  /**
   * @param admin asks; closed by the caller
   * @param every a question is asked so often
   * @param silentFor a question may stay without an answer so long
   */
  BrokerWatch(Admin admin, Health health, Duration every, Duration silentFor) {
    this.admin = admin;
    this.health = health;
    this.every = every;
    this.silentFor = silentFor;
    this.askedAt = System.nanoTime() - every.toNanos();
  }

  /** Asks, or looks whether there is an answer. Returns at once. */
  void look() {
    long passed = System.nanoTime() - askedAt;
    if (asked.isPresent() && asked.get().isDone()) {
      if (asked.get().isCompletedExceptionally()) {
        silent();
      } else {
        health.ready(PART);
      }
      asked = Optional.empty();
    } else if (asked.isPresent() && passed > silentFor.toNanos()) {
      silent();
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

  private void silent() {
    health.notReady(PART, "the brokers have not answered for " + silentFor.toSeconds() + " s");
  }
}
