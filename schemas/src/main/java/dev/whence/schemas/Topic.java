package dev.whence.schemas;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.avro.Schema;

/**
 * One topic of the catalogue.
 *
 * @param name full name, prefix included
 * @param key what the key is, for example {@code responseId}; keys are UTF-8 strings
 * @param value schema of the value as it is registered under {@link #subject()}; absent for a
 *     dead-letter topic, which holds its source's bytes
 * @param partitions how many a new topic gets
 * @param partitionsFixed whether their number must stay as it is once the topic is there: a Kafka
 *     Streams state hangs on it, and would not be found again under a key that moved
 * @param cleanup what the broker does with old records
 * @param retention how long records are kept; absent: as long as compaction keeps them
 * @param maxMessageBytes largest record batch, in bytes
 * @param deadLetters name of the topic for records that could not be processed, if it has one
 */
public record Topic(
    String name,
    String key,
    Optional<Schema> value,
    int partitions,
    boolean partitionsFixed,
    Cleanup cleanup,
    Optional<Duration> retention,
    int maxMessageBytes,
    Optional<String> deadLetters) {

  /** What the broker does with old records. */
  public enum Cleanup {
    DELETE("delete"),
    COMPACT("compact"),
    COMPACT_AND_DELETE("compact,delete");

    private final String policy;

    Cleanup(String policy) {
      this.policy = policy;
    }

    /** The value of {@code cleanup.policy}. */
    public String policy() {
      return policy;
    }
  }

  /** Subject of the value's schema: Confluent's TopicNameStrategy. */
  public String subject() {
    return name + "-value";
  }

  /** The topic's configuration in Kafka's words; what is not here is the broker's default. */
  public Map<String, String> config() {
    Map<String, String> config = new LinkedHashMap<>();
    config.put("cleanup.policy", cleanup.policy());
    retention.ifPresent(time -> config.put("retention.ms", Long.toString(time.toMillis())));
    config.put("max.message.bytes", Integer.toString(maxMessageBytes));
    return config;
  }
}
