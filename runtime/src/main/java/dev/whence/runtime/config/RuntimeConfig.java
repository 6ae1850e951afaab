package dev.whence.runtime.config;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * What every processor is configured with; a processor reads its own keys beside it. README.md of
 * this module lists the keys.
 *
 * @param connection cluster and registry
 * @param topicPrefix begins every topic's name
 * @param group consumer group
 * @param groupProtocol how the group assigns partitions
 * @param instanceId configured name of this instance, or empty to find one
 * @param dataDir where a found instance name is kept
 * @param start where the group starts without a committed offset
 * @param batch limits of a batch
 * @param failures when something is whose fault
 * @param shutdownGrace how long a running batch may take to finish at shutdown
 * @param http health and metrics
 * @param models where models may come from
 */
public record RuntimeConfig(
    Connection connection,
    String topicPrefix,
    String group,
    GroupProtocol groupProtocol,
    Optional<String> instanceId,
    Path dataDir,
    Start start,
    BatchLimits batch,
    FailurePolicy failures,
    Duration shutdownGrace,
    HttpEndpoint http,
    ModelSettings models) {

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._-]{1,100}");

  /** With the consumer protocol these belong to the broker, and the client refuses them. */
  private static final Set<String> CLASSIC_ONLY =
      Set.of("session.timeout.ms", "heartbeat.interval.ms");

  /**
   * Reads the keys of the runtime. Problems stay in the settings until {@link Settings#finish}.
   *
   * @param settings where from
   * @param defaultGroup group of a processor that is not given one
   */
  public static RuntimeConfig read(Settings settings, String defaultGroup) {
    Connection connection = Connection.read(settings);
    GroupProtocol protocol =
        settings.choice("group.protocol", GroupProtocol.class, GroupProtocol.CONSUMER);
    if (protocol == GroupProtocol.CONSUMER) {
      for (String key : CLASSIC_ONLY) {
        if (connection.kafka().values().containsKey(key)
            || connection.consumer().values().containsKey(key)) {
          settings.problem(
              key
                  + " can not be set with group.protocol consumer: it is the group's configuration"
                  + " on the broker");
        }
      }
    }
    Optional<String> instance = settings.text("instance.id");
    instance.ifPresent(id -> checkName(settings, "instance.id", id));
    String group = settings.text("group", defaultGroup);
    checkName(settings, "group", group);
    String prefix = settings.text("topics.prefix", "whence.");
    if (!prefix.isEmpty()) {
      checkName(settings, "topics.prefix", prefix);
    }
    return new RuntimeConfig(
        connection,
        prefix,
        group,
        protocol,
        instance,
        Path.of(settings.text("data.dir", "whence-data")),
        settings.choice("start", Start.class, Start.EARLIEST),
        BatchLimits.read(settings),
        FailurePolicy.read(settings),
        settings.duration(
            "shutdown.grace", Duration.ofSeconds(20), Duration.ZERO, Duration.ofHours(1)),
        HttpEndpoint.read(settings),
        ModelSettings.read(settings));
  }

  private static void checkName(Settings settings, String key, String name) {
    if (!NAME.matcher(name).matches()) {
      settings.problem(
          key + " must have 1 to 100 characters out of letters, digits, dot, dash and underscore");
    }
  }
}
