package dev.whence.runtime.topics;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicState.Kind;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.Topic;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.TopicConfig;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The topic catalogue against a cluster and a registry. It creates what is missing and raises what
 * is too small; it never makes anything smaller, never changes how records are cleaned up, and
 * never adds partitions where a Kafka Streams state hangs on their number.
 */
public final class TopicAdmin {
  private static final Logger LOG = LoggerFactory.getLogger(TopicAdmin.class);
  private static final int SECONDS = 30;

  private final Clients clients;
  private final List<Topic> catalogue;

  /**
   * @param clients of the cluster and the registry
   * @param catalogue the topics that should be there
   */
  public TopicAdmin(Clients clients, List<Topic> catalogue) {
    this.clients = clients;
    this.catalogue = List.copyOf(catalogue);
  }

  /**
   * Compares and changes nothing.
   *
   * @throws EnvironmentException if cluster or registry does not answer
   */
  public List<TopicState> report() {
    return run(false);
  }

  /**
   * Creates missing topics, raises what is too small, registers schemas and sets their
   * compatibility to FULL_TRANSITIVE.
   *
   * @throws EnvironmentException if cluster or registry does not answer
   */
  public List<TopicState> create() {
    return run(true);
  }

  private List<TopicState> run(boolean change) {
    List<TopicState> states = new ArrayList<>();
    try (Admin admin = clients.admin()) {
      Set<String> present = await(admin.listTopics().names());
      List<String> wanted = catalogue.stream().map(Topic::name).filter(present::contains).toList();
      Map<String, TopicDescription> descriptions =
          await(admin.describeTopics(wanted).allTopicNames());
      Map<ConfigResource, Config> configs =
          await(admin.describeConfigs(wanted.stream().map(TopicAdmin::resource).toList()).all());
      List<Topic> created = new ArrayList<>();
      for (Topic topic : catalogue) {
        TopicDescription description = descriptions.get(topic.name());
        Config config = configs.get(resource(topic.name()));
        if (description == null || config == null) {
          states.add(change ? createTopic(admin, topic) : missing(topic));
          if (change) {
            created.add(topic);
          }
        } else {
          states.addAll(compare(admin, topic, description.partitions().size(), config, change));
        }
      }
      awaitLeaders(admin, created);
    }
    states.addAll(new SubjectAdmin(clients.connection()).run(catalogue, change));
    return states;
  }

  private static TopicState missing(Topic topic) {
    return new TopicState(topic.name(), Kind.MISSING, "the topic does not exist");
  }

  private static TopicState createTopic(Admin admin, Topic topic) {
    NewTopic created =
        new NewTopic(topic.name(), Optional.of(topic.partitions()), Optional.empty())
            .configs(topic.config());
    CreateTopicsResult result = admin.createTopics(List.of(created));
    await(result.all());
    int replicas = await(result.replicationFactor(topic.name()));
    if (replicas >= 3) {
      // With the broker's default of one replica in sync, losing one broker loses what it held.
      alter(admin, topic.name(), Map.of(TopicConfig.MIN_IN_SYNC_REPLICAS_CONFIG, "2"));
    }
    return new TopicState(
        topic.name(),
        Kind.CREATED,
        topic.partitions() + " partitions, " + replicas + " replicas each");
  }

  /**
   * A new topic is known to the controller first and to its leaders later. Who comes next should
   * find it: a record that is sent in between may fail for good.
   */
  private static void awaitLeaders(Admin admin, List<Topic> created) {
    Map<TopicPartition, OffsetSpec> partitions = new HashMap<>();
    for (Topic topic : created) {
      for (int partition = 0; partition < topic.partitions(); partition++) {
        partitions.put(new TopicPartition(topic.name(), partition), OffsetSpec.latest());
      }
    }
    Set<String> names = created.stream().map(Topic::name).collect(Collectors.toSet());
    long giveUpAt = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
    while (System.nanoTime() < giveUpAt) {
      if (await(admin.listTopics().names()).containsAll(names)) {
        try {
          await(admin.listOffsets(partitions).all());
          return;
        } catch (EnvironmentException e) {
          LOG.debug("new topics are not there yet: {}", e.getMessage());
        }
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
    }
    throw new EnvironmentException("new topics have no leaders after " + SECONDS + " s");
  }

  private List<TopicState> compare(
      Admin admin, Topic topic, int partitions, Config config, boolean change) {
    List<TopicState> states = new ArrayList<>();
    if (partitions != topic.partitions()) {
      boolean raise = change && partitions < topic.partitions() && !topic.partitionsFixed();
      if (raise) {
        await(
            admin
                .createPartitions(
                    Map.of(topic.name(), NewPartitions.increaseTo(topic.partitions())))
                .all());
      }
      states.add(
          new TopicState(
              topic.name(),
              raise ? Kind.RAISED : Kind.DRIFT,
              partitions
                  + " partitions, wanted "
                  + topic.partitions()
                  + (topic.partitionsFixed() ? "; a stream's state hangs on their number" : "")));
    }
    Map<String, String> raised = new TreeMap<>();
    topic
        .config()
        .forEach(
            (key, wanted) -> {
              ConfigEntry entry = config.get(key);
              String actual = entry == null || entry.value() == null ? "" : entry.value();
              if (!same(key, actual, wanted)) {
                boolean raise = change && isLess(key, actual, wanted);
                if (raise) {
                  raised.put(key, wanted);
                }
                states.add(
                    new TopicState(
                        topic.name(),
                        raise ? Kind.RAISED : change ? notRaised(key) : Kind.DRIFT,
                        key + " is " + actual + ", wanted " + wanted));
              }
            });
    if (!raised.isEmpty()) {
      alter(admin, topic.name(), raised);
    }
    if (states.isEmpty()) {
      states.add(
          new TopicState(topic.name(), Kind.AS_WANTED, partitions + " partitions, as wanted"));
    }
    return states;
  }

  private static Kind notRaised(String key) {
    return key.equals(TopicConfig.CLEANUP_POLICY_CONFIG) ? Kind.REFUSED : Kind.DRIFT;
  }

  private static boolean same(String key, String actual, String wanted) {
    return key.equals(TopicConfig.CLEANUP_POLICY_CONFIG)
        ? Set.of(actual.split(",", -1)).equals(Set.of(wanted.split(",", -1)))
        : actual.equals(wanted);
  }

  /** Whether a size or a time is smaller than wanted; -1 stands for without end. */
  private static boolean isLess(String key, String actual, String wanted) {
    if (key.equals(TopicConfig.CLEANUP_POLICY_CONFIG)) {
      return false;
    }
    try {
      long now = Long.parseLong(actual);
      return now >= 0 && now < Long.parseLong(wanted);
    } catch (NumberFormatException e) {
      return false;
    }
  }

  private static void alter(Admin admin, String topic, Map<String, String> values) {
    List<AlterConfigOp> operations =
        values.entrySet().stream()
            .map(
                entry ->
                    new AlterConfigOp(
                        new ConfigEntry(entry.getKey(), entry.getValue()),
                        AlterConfigOp.OpType.SET))
            .toList();
    await(admin.incrementalAlterConfigs(Map.of(resource(topic), operations)).all());
  }

  private static ConfigResource resource(String topic) {
    return new ConfigResource(ConfigResource.Type.TOPIC, topic);
  }

  private static <T> T await(KafkaFuture<T> future) {
    try {
      return future.get(SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      throw new EnvironmentException(
          "the cluster answered: " + cause.getClass().getSimpleName() + ": " + cause.getMessage(),
          e);
    } catch (TimeoutException e) {
      throw new EnvironmentException(
          "the brokers did not answer within " + SECONDS + " s; are they reachable?", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EnvironmentException("interrupted", e);
    }
  }
}
