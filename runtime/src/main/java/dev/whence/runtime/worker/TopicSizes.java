package dev.whence.runtime.worker;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Asks the broker how large a record of each topic may be, and so whether the topics are there. */
public final class TopicSizes {
  private static final int SECONDS = 15;

  private TopicSizes() {}

  static RecordSizes read(Admin admin, Collection<String> topics) {
    return new RecordSizes(largest(admin, topics));
  }

  /**
   * Reads max.message.bytes.
   *
   * @return bytes of the largest batch of records, by topic
   * @throws EnvironmentException if the broker does not answer or a topic is missing
   */
  public static Map<String, Integer> largest(Admin admin, Collection<String> topics) {
    List<ConfigResource> resources =
        topics.stream().map(topic -> new ConfigResource(ConfigResource.Type.TOPIC, topic)).toList();
    Map<String, Integer> sizes = new HashMap<>();
    for (var answer : admin.describeConfigs(resources).values().entrySet()) {
      ConfigResource resource = answer.getKey();
      try {
        var config = answer.getValue().get(SECONDS, TimeUnit.SECONDS);
        sizes.put(
            resource.name(),
            Integer.parseInt(config.get(TopicConfig.MAX_MESSAGE_BYTES_CONFIG).value()));
      } catch (ExecutionException e) {
        throw new EnvironmentException(
            e.getCause() instanceof UnknownTopicOrPartitionException
                ? "topic "
                    + resource.name()
                    + " does not exist; create the topics with: whence topics --create"
                : "topic "
                    + resource.name()
                    + " can not be looked up ("
                    + (e.getCause() == null ? e : e.getCause()).getClass().getSimpleName()
                    + "); are the brokers reachable?",
            e);
      } catch (TimeoutException e) {
        throw new EnvironmentException("the brokers did not answer within " + SECONDS + " s", e);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new EnvironmentException("interrupted", e);
      }
    }
    return sizes;
  }
}
