package dev.whence.runtime.kafka;

import dev.whence.runtime.config.Connection;
import dev.whence.schemas.ClientTrouble;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.common.config.ConfigException;

/**
 * Why brokers can not be asked anything. Kafka's own messages name the request that was not
 * answered, but not who was asked.
 */
public final class BrokerTrouble {
  private BrokerTrouble() {}

  /**
   * One sentence that names the brokers, without a period.
   *
   * @return empty if they were reached: the problem is another one
   */
  public static Optional<String> sentence(Connection brokers, Throwable problem) {
    for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
      if (cause instanceof ConfigException) {
        return Optional.of(
            "the brokers at '"
                + brokers.bootstrapServers()
                + "' can not be asked: "
                + ClientTrouble.messages(cause));
      }
      if (cause instanceof TimeoutException
          || cause instanceof org.apache.kafka.common.errors.TimeoutException) {
        return Optional.of(
            "the brokers at '"
                + brokers.bootstrapServers()
                + "' did not answer in time; are they reachable?");
      }
    }
    return Optional.empty();
  }
}
