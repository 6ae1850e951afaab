package dev.whence.runtime.worker;

import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.embedded.RawRecords;
import dev.whence.runtime.config.BatchLimits;
import dev.whence.runtime.config.ClientProperties;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.config.Start;
import dev.whence.runtime.kafka.Clients;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;

/** A broker with fresh topics for each test, and what a test asks of it. */
final class WorkerCluster implements AutoCloseable {
  static final int PARTITIONS = 6;

  /** Failures of the environment and hangs are waited for in milliseconds here. */
  static final FailurePolicy QUICK =
      new FailurePolicy(
          3,
          5,
          Duration.ofMillis(500),
          10,
          Duration.ofSeconds(60),
          Duration.ofMinutes(5),
          Duration.ofMillis(100),
          Duration.ofSeconds(1));

  /** A member that was killed is given up after three seconds. */
  private static final Map<String, String> QUICK_SESSIONS =
      Map.of(
          "group.min.session.timeout.ms", "1000",
          "group.consumer.min.session.timeout.ms", "1000",
          "group.consumer.session.timeout.ms", "3000",
          "group.consumer.min.heartbeat.interval.ms", "500",
          "group.consumer.heartbeat.interval.ms", "500");

  private static final List<WorkerCluster> OPEN = new ArrayList<>();

  final EmbeddedBroker broker;

  private WorkerCluster(EmbeddedBroker broker) {
    this.broker = broker;
  }

  static WorkerCluster of(EmbeddedBroker broker) {
    return new WorkerCluster(broker);
  }

  /** The broker of this JVM, started once. */
  static synchronized WorkerCluster shared() throws IOException {
    if (OPEN.isEmpty()) {
      Path directory = Files.createTempDirectory("whence-worker");
      WorkerCluster cluster = new WorkerCluster(EmbeddedBroker.open(directory, 0, QUICK_SESSIONS));
      OPEN.add(cluster);
      Runtime.getRuntime().addShutdownHook(new Thread(cluster::close));
    }
    return OPEN.get(0);
  }

  @Override
  public void close() {
    try {
      broker.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Topics of one test. */
  record Topics(String in, String out, String dlq, String group) {}

  Topics topics() throws Exception {
    return topics(PARTITIONS);
  }

  Topics topics(int partitions) throws Exception {
    String id = UUID.randomUUID().toString().substring(0, 8);
    Topics topics = new Topics("in-" + id, "out-" + id, "dlq-" + id, "group-" + id);
    try (Admin admin = admin()) {
      admin
          .createTopics(
              List.of(
                  new NewTopic(topics.in, partitions, (short) 1),
                  new NewTopic(topics.out, 2, (short) 1),
                  new NewTopic(topics.dlq, 1, (short) 1)))
          .all()
          .get();
      awaitLeaders(admin, List.of(topics.in, topics.out, topics.dlq));
    }
    return topics;
  }

  /** A record that is sent before its partition is there may be sent out of order for good. */
  private static void awaitLeaders(Admin admin, List<String> topics) {
    await()
        .atMost(Duration.ofSeconds(30))
        .ignoreExceptions()
        .until(
            () -> {
              Map<TopicPartition, OffsetSpec> all = new HashMap<>();
              admin
                  .describeTopics(topics)
                  .allTopicNames()
                  .get()
                  .forEach(
                      (topic, description) ->
                          description
                              .partitions()
                              .forEach(
                                  info ->
                                      all.put(
                                          new TopicPartition(topic, info.partition()),
                                          OffsetSpec.latest())));
              admin.listOffsets(all).all().get();
              return true;
            });
  }

  Admin admin() {
    return Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()));
  }

  Clients clients() {
    return clients(broker.bootstrapServers(), GroupProtocol.CONSUMER);
  }

  static Clients clients(String bootstrapServers, GroupProtocol protocol) {
    Connection connection = Connection.of(bootstrapServers, "http://127.0.0.1:1");
    return new Clients(
        protocol == GroupProtocol.CONSUMER
            ? connection
            : new Connection(
                connection.bootstrapServers(),
                connection.registryUrl(),
                connection.kafka(),
                new ClientProperties(
                    Map.of("session.timeout.ms", "3000", "heartbeat.interval.ms", "500")),
                connection.producer(),
                connection.registry()));
  }

  static WorkerOptions options(
      Topics topics, GroupProtocol protocol, String instance, int records, FailurePolicy policy) {
    return new WorkerOptions(
        topics.in,
        topics.dlq,
        Set.of(topics.out),
        topics.group,
        protocol,
        instance,
        Start.EARLIEST,
        new BatchLimits(records, 32L << 20, Duration.ofSeconds(30)),
        policy,
        Duration.ofSeconds(20));
  }

  static WorkerOptions records(WorkerOptions options, int records) {
    return new WorkerOptions(
        options.sourceTopic(),
        options.deadLetterTopic(),
        options.sinkTopics(),
        options.group(),
        options.groupProtocol(),
        options.instanceId(),
        options.start(),
        new BatchLimits(records, 32L << 20, Duration.ofMinutes(2)),
        options.failures(),
        options.shutdownGrace());
  }

  static WorkerOptions failures(WorkerOptions options, FailurePolicy failures) {
    return new WorkerOptions(
        options.sourceTopic(),
        options.deadLetterTopic(),
        options.sinkTopics(),
        options.group(),
        options.groupProtocol(),
        options.instanceId(),
        options.start(),
        options.batch(),
        failures,
        options.shutdownGrace());
  }

  static WorkerOptions latest(WorkerOptions options) {
    return options.withStart(Start.LATEST);
  }

  static WorkerOptions grace(WorkerOptions options, Duration grace) {
    return new WorkerOptions(
        options.sourceTopic(),
        options.deadLetterTopic(),
        options.sinkTopics(),
        options.group(),
        options.groupProtocol(),
        options.instanceId(),
        options.start(),
        options.batch(),
        options.failures(),
        grace);
  }

  /** How many partitions each member of the group has. */
  Set<Integer> assigned(Topics topics) {
    try (Admin admin = admin()) {
      return admin
          .describeConsumerGroups(List.of(topics.group))
          .all()
          .get()
          .get(topics.group)
          .members()
          .stream()
          .map(member -> member.assignment().topicPartitions().size())
          .collect(Collectors.toSet());
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  /** The committed offsets of the group, with their metadata. */
  Map<TopicPartition, OffsetAndMetadata> committed(Topics topics) {
    try (Admin admin = admin()) {
      return admin.listConsumerGroupOffsets(topics.group).partitionsToOffsetAndMetadata().get();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  /** The committed offset of a partition; 0 where there is none. */
  long committed(Topics topics, int partition) {
    OffsetAndMetadata offset = committed(topics).get(new TopicPartition(topics.in, partition));
    return offset == null ? 0 : offset.offset();
  }

  /** Sum of the committed offsets. */
  long committedAll(Topics topics) {
    return committed(topics).values().stream().mapToLong(OffsetAndMetadata::offset).sum();
  }

  /** Sets a topic's max.message.bytes. */
  void shrink(String topic, int bytes) throws Exception {
    try (Admin admin = admin()) {
      admin
          .incrementalAlterConfigs(
              Map.of(
                  new ConfigResource(ConfigResource.Type.TOPIC, topic),
                  List.of(
                      new AlterConfigOp(
                          new ConfigEntry("max.message.bytes", Integer.toString(bytes)),
                          AlterConfigOp.OpType.SET))))
          .all()
          .get();
    }
  }

  /** Writes records k0, k1, ... to all partitions in turn. */
  void produce(Topics topics, int count, IntFunction<byte[]> value) {
    int partitions = partitionsOf(topics.in);
    List<Future<?>> sent = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = producer()) {
      for (int i = 0; i < count; i++) {
        sent.add(
            producer.send(
                new ProducerRecord<>(topics.in, i % partitions, bytes("k" + i), value.apply(i))));
      }
    }
    for (Future<?> one : sent) {
      try {
        one.get();
      } catch (Exception e) {
        throw new IllegalStateException("the test could not write its records", e);
      }
    }
  }

  private int partitionsOf(String topic) {
    try (Admin admin = admin()) {
      return admin
          .describeTopics(List.of(topic))
          .allTopicNames()
          .get()
          .get(topic)
          .partitions()
          .size();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  KafkaProducer<byte[], byte[]> producer() {
    return new RawRecords(broker.bootstrapServers()).producer();
  }

  /** Everything committed in a topic. */
  List<ConsumerRecord<byte[], byte[]>> read(String topic) {
    return new RawRecords(broker.bootstrapServers()).committed(topic);
  }

  /** How often each key stands in a topic. */
  Map<String, Integer> counts(String topic) {
    Map<String, Integer> counts = new TreeMap<>();
    read(topic).forEach(record -> counts.merge(text(record.key()), 1, Integer::sum));
    return counts;
  }

  /** k0 .. k(n-1), each once. */
  static Map<String, Integer> once(int count) {
    Map<String, Integer> counts = new HashMap<>();
    IntStream.range(0, count).forEach(i -> counts.put("k" + i, 1));
    return counts;
  }

  static void send(
      KafkaProducer<byte[], byte[]> producer, Topics topics, int partition, String value)
      throws Exception {
    byte[] bytes = bytes(value);
    producer.send(new ProducerRecord<>(topics.in(), partition, bytes, bytes)).get();
  }

  static Map<String, String> headers(ConsumerRecord<byte[], byte[]> record) {
    Map<String, String> headers = new TreeMap<>();
    for (Header header : record.headers()) {
      headers.put(header.key(), text(header.value()));
    }
    return headers;
  }

  static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
