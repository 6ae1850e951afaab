package dev.whence.producer;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.RetriableException;

/** Asks the brokers which cluster they are: a producer knows, and does not tell. */
final class Cluster {
  private static final int REQUEST_MS = 5_000;

  private Cluster() {}

  /**
   * @return empty if nobody answers
   * @throws IllegalStateException if no client can be made of the settings, or the brokers refuse
   *     it
   */
  static Optional<String> id(ProducerSettings settings, Duration atMost)
      throws InterruptedException {
    int millis = (int) Math.max(1, Math.min(atMost.toMillis(), Integer.MAX_VALUE));
    Map<String, Object> configuration = new HashMap<>(settings.producer());
    configuration.keySet().retainAll(AdminClientConfig.configNames());
    configuration.put(AdminClientConfig.RETRIES_CONFIG, Integer.MAX_VALUE);
    configuration.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, millis);
    configuration.put(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, Math.min(millis, REQUEST_MS));
    Admin admin;
    try {
      admin = Admin.create(configuration);
    } catch (KafkaException e) {
      throw new IllegalStateException(Trouble.of(new Trouble.NoClient(e)), e);
    }
    try {
      return Optional.of(
          admin.describeCluster().clusterId().get(millis + 1_000L, TimeUnit.MILLISECONDS));
    } catch (TimeoutException e) {
      return Optional.empty();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RetriableException) {
        return Optional.empty();
      }
      throw new IllegalStateException(
          "the brokers refuse to say which cluster they are: "
              + Trouble.of(e.getCause() == null ? e : e.getCause()),
          e);
    } finally {
      admin.close(Duration.ZERO);
    }
  }
}
