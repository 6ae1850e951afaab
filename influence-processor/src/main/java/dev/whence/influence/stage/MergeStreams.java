package dev.whence.influence.stage;

import dev.whence.runtime.config.RuntimeConfig;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.worker.BackgroundBrokerWatch;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluencePartial;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs {@link MergeTopology}, exactly once. A thread that ends is replaced after a pause: what can
 * end it is brokers or the registry. Its group membership is static and its name on disk, so that a
 * process that was killed is followed at once by its successor.
 */
final class MergeStreams implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(MergeStreams.class);
  private static final String PART = "merge";
  private static final int COMMIT_INTERVAL_MS = 20;
  private static final int LARGEST_STATE_BYTES = 16 << 20;

  /** Records are up to some MiB: more than these are not held in memory for each partition. */
  private static final int POLL_RECORDS = 50;

  /**
   * A thread that is replaced is another member, and its partitions stand still until the broker
   * has given up the one before it: the default would be 45 s.
   */
  private static final Duration SESSION = Duration.ofSeconds(8);

  private static final Duration HEARTBEAT = Duration.ofSeconds(2);
  private static final Duration PAUSE = Duration.ofSeconds(1);
  private static final Duration CLOSE = Duration.ofSeconds(10);

  private final KafkaStreams streams;

  /** Streams retries in silence where brokers are away. */
  private final BackgroundBrokerWatch brokers;

  private final Serde<InfluencePartial> partials;
  private final Serde<Influence> influences;
  private final CompletableFuture<Void> ended = new CompletableFuture<>();
  private final CountDownLatch stop = new CountDownLatch(1);

  MergeStreams(
      RuntimeConfig runtime,
      Clients clients,
      int largestRecordBytes,
      long openBytes,
      String group,
      String instance,
      Topics topics,
      InfluenceMetrics metrics,
      MeterRegistry meters,
      Health health,
      Halt halt) {
    this.partials = StreamsValues.partials(runtime.connection(), largestRecordBytes);
    this.influences = StreamsValues.influences(runtime.connection());
    this.streams =
        new KafkaStreams(
            MergeTopology.of(
                topics,
                partials,
                influences,
                new MergeProcessor.Settings(instance, openBytes),
                metrics),
            properties(runtime, group, instance, topics, metrics));
    Counter restarts =
        Counter.builder("whence.merge.threads.replaced")
            .description("threads of the merger that ended and were replaced")
            .register(meters);
    health.notReady(PART, "starting");
    streams.setUncaughtExceptionHandler(
        thrown -> {
          restarts.increment();
          health.notReady(PART, "a thread ended: " + thrown.getClass().getSimpleName());
          LOG.warn("the merger's thread ended and is replaced: {}", String.valueOf(thrown));
          return pause()
              ? StreamThreadExceptionResponse.SHUTDOWN_CLIENT
              : StreamThreadExceptionResponse.REPLACE_THREAD;
        });
    streams.setStateListener(
        (now, before) -> {
          switch (now) {
            case RUNNING -> health.ready(PART);
            case ERROR -> {
              health.dead("the merger ended in an error");
              ended.completeExceptionally(
                  new IllegalStateException("the merger ended in an error; see the log"));
            }
            case NOT_RUNNING -> {
              health.notReady(PART, "stopped");
              ended.complete(null);
            }
            default -> health.notReady(PART, "state " + now);
          }
        });
    this.brokers = new BackgroundBrokerWatch(clients.admin(), health.within(PART), halt);
    // RUNNING is not health: a member without tasks says it, too.
    Gauge.builder("whence.merge.tasks", this, MergeStreams::tasks)
        .description("partitions of partials that this process merges")
        .register(meters);
    Gauge.builder("whence.merge.lag", this, MergeStreams::lag)
        .description("partials not yet read, over the partitions of this process")
        .register(meters);
  }

  /** Returns whether the merger is to stop. */
  private boolean pause() {
    try {
      return stop.await(PAUSE.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return true;
    }
  }

  private static Properties properties(
      RuntimeConfig runtime,
      String group,
      String instance,
      Topics topics,
      InfluenceMetrics metrics) {
    Map<String, Object> all = new HashMap<>();
    all.put(
        StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG),
        (int) SESSION.toMillis());
    all.put(
        StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG),
        (int) HEARTBEAT.toMillis());
    all.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), POLL_RECORDS);
    all.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, POLL_RECORDS);
    all.putAll(runtime.connection().kafka().values());
    runtime
        .connection()
        .consumer()
        .values()
        .forEach((key, value) -> all.put(StreamsConfig.consumerPrefix(key), value));
    runtime
        .connection()
        .producer()
        .values()
        .forEach((key, value) -> all.put(StreamsConfig.producerPrefix(key), value));
    all.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
    all.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, runtime.connection().bootstrapServers());
    all.put(StreamsConfig.STATE_DIR_CONFIG, runtime.dataDir().resolve("streams").toString());
    all.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    all.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL_MS);
    all.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    all.put(
        StreamsConfig.DESERIALIZATION_EXCEPTION_HANDLER_CLASS_CONFIG,
        UnreadablePartials.class.getName());
    Topic queue = topics.deadLettersOf(topics.influencePartials());
    all.put(UnreadablePartials.QUEUE, queue.name());
    all.put(UnreadablePartials.QUEUE_BYTES, queue.maxMessageBytes());
    all.put(UnreadablePartials.METRICS, metrics);
    // Whatever 'start' says: a partial that is passed over is a response without a result.
    all.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    all.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), instance);
    all.put(
        StreamsConfig.producerPrefix(ProducerConfig.MAX_REQUEST_SIZE_CONFIG),
        Clients.LARGEST_REQUEST_BYTES);
    all.put(
        StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG),
        2L * Clients.LARGEST_REQUEST_BYTES);
    all.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "zstd");
    all.put(
        StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG),
        (int) Clients.TRANSACTION_TIMEOUT.toMillis());
    all.put(StreamsConfig.topicPrefix("max.message.bytes"), LARGEST_STATE_BYTES);
    Properties properties = new Properties();
    properties.putAll(all);
    return properties;
  }

  void start() {
    streams.start();
  }

  /** Completes when the merger has ended, exceptionally if it gave up. */
  CompletableFuture<Void> ended() {
    return ended.copy();
  }

  private double tasks() {
    return streams.metadataForLocalThreads().stream()
        .mapToInt(thread -> thread.activeTasks().size())
        .sum();
  }

  private double lag() {
    return streams.metrics().values().stream()
        .filter(metric -> metric.metricName().name().equals("records-lag"))
        .filter(metric -> metric.metricName().tags().containsKey("partition"))
        .map(metric -> metric.metricValue())
        .filter(Double.class::isInstance)
        .mapToDouble(Double.class::cast)
        .filter(Double::isFinite)
        .sum();
  }

  @Override
  public void close() {
    stop.countDown();
    brokers.close();
    if (!streams.close(CLOSE)) {
      LOG.warn("the merger is still busy and is left to the end of the process");
    }
    partials.close();
    influences.close();
  }
}
