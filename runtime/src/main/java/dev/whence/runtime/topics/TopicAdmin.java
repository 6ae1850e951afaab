package dev.whence.runtime.topics;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicState.Kind;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.Topic;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
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
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TopicExistsException;
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
  private static final String MIN_IN_SYNC = TopicConfig.MIN_IN_SYNC_REPLICAS_CONFIG;

  private final Clients clients;
  private final List<Topic> catalogue;

  /**
   * @param clients of the cluster and the registry; schemas are left alone where the connection
   *     names no registry
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
   * compatibility to FULL_TRANSITIVE. What the cluster or the registry refuses for one topic, for
   * example a record size above a provider's limit, is {@link Kind#REFUSED} with the reason, and
   * the others are done.
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
      int brokers = await(admin.describeCluster().nodes()).size();
      List<Topic> created = new ArrayList<>();
      List<NewTopic> missing =
          catalogue.stream()
              .filter(
                  topic ->
                      !descriptions.containsKey(topic.name())
                          || !configs.containsKey(resource(topic.name())))
              .map(TopicAdmin::asNew)
              .toList();
      CreateTopicsResult creation = admin.createTopics(change ? missing : List.of());
      for (Topic topic : catalogue) {
        TopicDescription description = descriptions.get(topic.name());
        Config config = configs.get(resource(topic.name()));
        if (description == null || config == null) {
          if (!change) {
            states.add(missing(topic));
            continue;
          }
          try {
            states.addAll(created(admin, creation, topic, brokers));
            created.add(topic);
          } catch (RefusedException e) {
            states.add(
                new TopicState(topic.name(), Kind.REFUSED, "not created: " + e.getMessage()));
          }
        } else {
          states.addAll(compare(admin, topic, description, brokers, config, change));
        }
      }
      awaitLeaders(admin, created);
    } catch (RefusedException e) {
      // Of what concerns all topics: nothing can be done without it.
      throw new EnvironmentException(String.valueOf(e.getMessage()), e);
    }
    if (!clients.connection().registryUrl().isEmpty()) {
      states.addAll(new SubjectAdmin(clients.connection()).run(catalogue, change));
    }
    return states;
  }

  private static TopicState missing(Topic topic) {
    return new TopicState(topic.name(), Kind.MISSING, "the topic does not exist");
  }

  private static NewTopic asNew(Topic topic) {
    return new NewTopic(topic.name(), Optional.of(topic.partitions()), Optional.empty())
        .configs(topic.config());
  }

  /** What came of one of the new topics. */
  private static List<TopicState> created(
      Admin admin, CreateTopicsResult result, Topic topic, int brokers) {
    await(Objects.requireNonNull(result.values().get(topic.name())));
    int replicas;
    String minInSync;
    try {
      replicas = await(result.replicationFactor(topic.name()));
      minInSync = effective(await(result.config(topic.name())), MIN_IN_SYNC);
    } catch (RefusedException e) {
      // Who may create a topic need not be allowed to look at its settings.
      String detail = topic.partitions() + " partitions; " + e.getMessage();
      return List.of(new TopicState(topic.name(), Kind.CREATED, detail));
    }
    List<TopicState> states = new ArrayList<>();
    String warning = Durability.warning(replicas, brokers);
    states.add(
        new TopicState(
            topic.name(),
            Kind.CREATED,
            topic.partitions()
                + " partitions, "
                + replicas
                + " replicas each"
                + (warning.isEmpty() ? "" : "; " + warning)));
    boolean unknown = minInSync.isEmpty() && replicas > Durability.IN_SYNC;
    if (unknown || Durability.isTooLow(replicas, minInSync)) {
      // With the broker's default of one replica in sync, losing one broker loses what it held.
      TopicState raised =
          raised(topic, MIN_IN_SYNC + " is " + minInSync, () -> raiseMinInSync(admin, topic));
      if (raised.kind() == Kind.REFUSED) {
        states.add(raised);
      }
    }
    return states;
  }

  /**
   * A new topic is known to the controller first and to its leaders later. Who comes next should
   * find it: a record that is sent in between may fail for good. Who may create topics need not be
   * allowed to see them; then nothing is waited for.
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
      boolean listed = await(admin.listTopics().names()).containsAll(names);
      try {
        if (listed) {
          await(admin.listOffsets(partitions).all());
          return;
        }
        // The list leaves out what may not be seen; this says so.
        var unused = await(admin.describeTopics(names).allTopicNames());
      } catch (RefusedException e) {
        LOG.info("whether new topics have leaders yet can not be seen: {}", e.getMessage());
        return;
      } catch (EnvironmentException e) {
        LOG.debug("new topics are not there yet: {}", e.getMessage());
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
    }
    LOG.warn(
        "new topics were not seen with leaders within {} s: the brokers are slow to make them, or"
            + " this user lacks DESCRIBE on them ({})",
        SECONDS,
        names);
  }

  private static List<TopicState> compare(
      Admin admin,
      Topic topic,
      TopicDescription description,
      int brokers,
      Config config,
      boolean change) {
    List<TopicState> states = new ArrayList<>();
    int partitions = description.partitions().size();
    int replicas =
        description.partitions().stream().mapToInt(p -> p.replicas().size()).min().orElse(0);
    if (partitions != topic.partitions()) {
      boolean raise = change && partitions < topic.partitions() && !topic.partitionsFixed();
      String detail =
          partitions
              + " partitions, wanted "
              + topic.partitions()
              + (topic.partitionsFixed() ? "; a stream's state hangs on their number" : "");
      states.add(
          raise
              ? raised(topic, detail, () -> addPartitions(admin, topic))
              : new TopicState(topic.name(), Kind.DRIFT, detail));
    }
    topic
        .config()
        .forEach(
            (key, wanted) -> {
              String actual = effective(config, key);
              if (!same(key, actual, wanted)) {
                boolean raise = change && isLess(key, actual, wanted);
                String detail = key + " is " + actual + ", wanted " + wanted;
                states.add(
                    raise
                        ? raised(topic, detail, () -> alter(admin, topic.name(), key, wanted))
                        : new TopicState(
                            topic.name(), change ? notRaised(key) : Kind.DRIFT, detail));
              }
            });
    String minInSync = effective(config, MIN_IN_SYNC);
    if (Durability.isTooLow(replicas, minInSync)) {
      String detail =
          MIN_IN_SYNC
              + " is "
              + minInSync
              + " of "
              + replicas
              + " replicas, wanted "
              + Durability.IN_SYNC;
      states.add(
          change
              ? raised(topic, detail, () -> raiseMinInSync(admin, topic))
              : new TopicState(topic.name(), Kind.DRIFT, detail));
    }
    String warning = Durability.warning(replicas, brokers);
    if (states.isEmpty() || !warning.isEmpty()) { // that is the brokers' affair, and no drift
      states.add(
          new TopicState(
              topic.name(),
              Kind.AS_WANTED,
              partitions
                  + " partitions, as wanted"
                  + (warning.isEmpty() ? "" : "; but " + warning)));
    }
    return states;
  }

  /** Raises, or says why it could not be. */
  private static TopicState raised(Topic topic, String detail, Runnable raising) {
    try {
      raising.run();
      return new TopicState(topic.name(), Kind.RAISED, detail);
    } catch (RefusedException e) {
      return new TopicState(topic.name(), Kind.REFUSED, detail + "; " + e.getMessage());
    }
  }

  private static void addPartitions(Admin admin, Topic topic) {
    await(
        admin
            .createPartitions(Map.of(topic.name(), NewPartitions.increaseTo(topic.partitions())))
            .all());
  }

  private static void raiseMinInSync(Admin admin, Topic topic) {
    alter(admin, topic.name(), MIN_IN_SYNC, Integer.toString(Durability.IN_SYNC));
  }

  /** The value in force, a default of the brokers included. */
  private static String effective(Config config, String key) {
    ConfigEntry entry = config.get(key);
    return entry == null || entry.value() == null ? "" : entry.value();
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

  private static void alter(Admin admin, String topic, String key, String value) {
    AlterConfigOp operation =
        new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
    await(admin.incrementalAlterConfigs(Map.of(resource(topic), List.of(operation))).all());
  }

  private static ConfigResource resource(String topic) {
    return new ConfigResource(ConfigResource.Type.TOPIC, topic);
  }

  /** Another one may be making the topic, and brokers may still be on their way. */
  private static boolean passes(Throwable answer) {
    return answer instanceof RetriableException
        || answer instanceof TopicExistsException
        || answer instanceof InvalidReplicationFactorException;
  }

  private static <T> T await(KafkaFuture<T> future) {
    try {
      return future.get(SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      String answer =
          "the cluster answered: " + cause.getClass().getSimpleName() + ": " + cause.getMessage();
      if (cause instanceof ApiException && !passes(cause)) {
        throw new RefusedException(answer, e);
      }
      throw new EnvironmentException(answer, e);
    } catch (TimeoutException e) {
      throw new EnvironmentException(
          "the brokers did not answer within " + SECONDS + " s; are they reachable?", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EnvironmentException("interrupted", e);
    }
  }
}
