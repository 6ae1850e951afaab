package dev.whence.runtime.kafka;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.TopicSizes;
import dev.whence.schemas.ClientTrouble;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ForwardingAdmin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Makes the Kafka clients of a process. All of them read committed records only, and none of them
 * moves an offset on its own: a missing or expired offset is an error that its owner sees. None
 * that reads creates a topic: a broker would make it with partitions and limits of its own choice.
 */
public final class Clients {
  /** A dead writer's open transaction holds up all read_committed readers for at most this long. */
  public static final Duration TRANSACTION_TIMEOUT = Duration.ofSeconds(15);

  /** Few, for a compressed batch of a few megabytes may hold records of gigabytes. */
  public static final int RECORDS_OF_ONE_POLL = 8;

  /**
   * More than any topic's max.message.bytes: what is too large is found before it is sent. Less
   * than what brokers take as one request (socket.request.max.bytes, 100 MiB where nobody changed
   * it).
   */
  public static final int LARGEST_REQUEST_BYTES = 96 << 20;

  private static final Duration LOOK_UP = Duration.ofSeconds(30);

  /** By themselves producers and admins would wait for brokers that are gone, as they close. */
  private static final Duration CLOSE = Duration.ofSeconds(5);

  private final Connection connection;

  public Clients(Connection connection) {
    this.connection = connection;
  }

  public Connection connection() {
    return connection;
  }

  /**
   * The consumer of a worker. It never commits by itself.
   *
   * @param group consumer group
   * @param protocol of the group
   * @param clientId for logs and quotas
   * @param maxPollRecords most records of one poll
   */
  public Consumer<byte[], byte[]> groupConsumer(
      String group, GroupProtocol protocol, String clientId, int maxPollRecords) {
    Map<String, Object> properties = consumerProperties(clientId);
    properties.put(ConsumerConfig.GROUP_ID_CONFIG, group);
    properties.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, maxPollRecords);
    switch (protocol) {
      case CONSUMER -> properties.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, "consumer");
      case CLASSIC -> {
        properties.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, "classic");
        properties.put(
            ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG,
            CooperativeStickyAssignor.class.getName());
      }
    }
    return consumer(properties);
  }

  /** A consumer for {@code assign}: it has no group and commits nothing. */
  public Consumer<byte[], byte[]> reader(String clientId) {
    return consumer(consumerProperties(clientId));
  }

  /**
   * The same for records that may be large, or somebody's whom nobody knows: {@link
   * #RECORDS_OF_ONE_POLL}.
   *
   * @param maxPollRecords most records of one poll: all of them are in memory at once, uncompressed
   */
  public Consumer<byte[], byte[]> reader(String clientId, int maxPollRecords) {
    Map<String, Object> properties = consumerProperties(clientId);
    properties.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, maxPollRecords);
    return consumer(properties);
  }

  /** Reads batches without unpacking them. Closes with its owner, not with the given client. */
  public RawBatches rawBatches(Admin admin, String clientId) {
    Map<String, Object> properties = consumerProperties(clientId);
    properties.put(
        ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
    properties.put(
        ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
    return new RawBatches(admin, new ConsumerConfig(properties), clientId);
  }

  private Map<String, Object> consumerProperties(String clientId) {
    Map<String, Object> properties = new HashMap<>(connection.kafka().values());
    properties.putAll(connection.consumer().values());
    properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, connection.bootstrapServers());
    properties.put(ConsumerConfig.CLIENT_ID_CONFIG, clientId);
    properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "none");
    properties.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    properties.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, "false");
    return properties;
  }

  /**
   * A transactional producer. The id is stable over restarts: {@code initTransactions} of the new
   * process then ends what the old one left open at once. Its {@code close()} is bounded.
   */
  public Producer<byte[], byte[]> transactionalProducer(String transactionalId) {
    Map<String, Object> properties = new HashMap<>();
    properties.putAll(connection.kafka().values());
    properties.putAll(connection.producer().values());
    properties.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, connection.bootstrapServers());
    properties.put(ProducerConfig.CLIENT_ID_CONFIG, transactionalId);
    properties.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, transactionalId);
    properties.put(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, (int) TRANSACTION_TIMEOUT.toMillis());
    properties.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, "zstd");
    // A batch is sent when its transaction ends: waiting for more records would only add delay.
    properties.put(ProducerConfig.LINGER_MS_CONFIG, "0");
    // Shorter than the transaction's own timeout, so that a send fails before its transaction does.
    properties.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, "14000");
    properties.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, "10000");
    properties.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, "10000");
    properties.put(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, LARGEST_REQUEST_BYTES);
    properties.put(ProducerConfig.BUFFER_MEMORY_CONFIG, 2L * LARGEST_REQUEST_BYTES);
    return made(
        () ->
            new KafkaProducer<byte[], byte[]>(
                properties, new ByteArraySerializer(), new ByteArraySerializer()) {
              @Override
              public void close() {
                close(CLOSE);
              }
            });
  }

  /**
   * How many partitions a topic has.
   *
   * @throws EnvironmentException if the brokers can not say
   */
  public int partitions(String topic) {
    try (Admin admin = admin()) {
      return Objects.requireNonNull(
              admin
                  .describeTopics(List.of(topic))
                  .allTopicNames()
                  .get(LOOK_UP.toSeconds(), TimeUnit.SECONDS)
                  .get(topic))
          .partitions()
          .size();
    } catch (ExecutionException | TimeoutException e) {
      throw new EnvironmentException(
          "topic "
              + topic
              + " can not be looked up; are the brokers reachable, and were the topics created"
              + " (whence topics --create)?",
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new EnvironmentException("interrupted", e);
    }
  }

  /**
   * How large a batch of records of a topic may be, in bytes: its max.message.bytes.
   *
   * @throws EnvironmentException if the brokers can not say
   */
  public int largestMessageBytes(String topic) {
    try (Admin admin = admin()) {
      return Objects.requireNonNull(TopicSizes.largest(admin, List.of(topic)).get(topic));
    }
  }

  /** Its {@code close()} is bounded. */
  public Admin admin() {
    Map<String, Object> properties = new HashMap<>(connection.kafka().values());
    properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, connection.bootstrapServers());
    return made(
        () ->
            new ForwardingAdmin(properties) {
              @Override
              public void close() {
                close(CLOSE);
              }
            });
  }

  private static Consumer<byte[], byte[]> consumer(Map<String, Object> properties) {
    return made(
        () ->
            new KafkaConsumer<>(
                properties, new ByteArrayDeserializer(), new ByteArrayDeserializer()));
  }

  /** A client, or an exception that says which of its settings is wrong. */
  private static <C> C made(Supplier<C> client) {
    try {
      return client.get();
    } catch (KafkaException e) {
      throw new KafkaException(ClientTrouble.messages(e), e);
    }
  }
}
