package dev.whence.runtime.models;

import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows {@code whence.models}: every instance reads all of its one partition, in no group. Until
 * the end that was seen at the start is reached, nobody knows which release is live, and the
 * process is not ready.
 */
public final class ModelReleases implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ModelReleases.class);
  private static final String PART = "model-releases";
  private static final Duration POLL = Duration.ofSeconds(1);
  private static final Duration AGAIN = Duration.ofSeconds(2);
  private static final Duration CLIENT_TIMEOUT = Duration.ofSeconds(10);

  private final Clients clients;
  private final TopicPartition partition;
  private final ModelRole role;
  private final Health health;
  private final Counter unreadable;
  private volatile Thread thread = new Thread();
  private final CountDownLatch caughtUp = new CountDownLatch(1);
  private final CountDownLatch stop = new CountDownLatch(1);
  private volatile Optional<Consumer<byte[], byte[]>> current = Optional.empty();
  private volatile List<ModelRelease> releases = List.of();

  /** Hears of changes after the start, on this reader's thread. */
  @FunctionalInterface
  public interface Listener {
    /**
     * Another release is live.
     *
     * @param release which, or empty if the last one was withdrawn
     */
    void live(Optional<ModelRelease> release);
  }

  /**
   * A reader that is not started yet.
   *
   * @param clients of the cluster and the registry
   * @param topic the topic of model releases
   * @param role whose live release is followed
   * @param health is told when the reader has caught up
   * @param meters counts unreadable releases
   */
  public ModelReleases(
      Clients clients, String topic, ModelRole role, Health health, MeterRegistry meters) {
    this.clients = clients;
    this.partition = new TopicPartition(topic, 0);
    this.role = role;
    this.health = health;
    this.unreadable =
        Counter.builder("whence.model.releases.unreadable")
            .description("records of the model topic that are no model releases")
            .register(meters);
    health.notReady(PART, topic + " is not read yet");
  }

  /**
   * Starts reading.
   *
   * @param listener hears of changes once the reader has caught up
   */
  public void start(Listener listener) {
    thread = new Thread(() -> run(listener), "model-releases");
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * The releases that are not withdrawn, the live one first, once the topic is read.
   *
   * @throws EnvironmentException if it is not read in that time
   */
  public List<ModelRelease> awaitReleases(Duration most) {
    try {
      if (caughtUp.await(most.toNanos(), TimeUnit.NANOSECONDS)) {
        return releases;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    throw new EnvironmentException(
        partition.topic()
            + " could not be read; are the brokers at "
            + clients.connection().bootstrapServers()
            + " reachable, and were the topics created (whence topics --create)?");
  }

  private void run(Listener listener) {
    while (stop.getCount() > 0) {
      try (Consumer<byte[], byte[]> consumer = clients.reader("model-releases");
          AvroValues values = new AvroValues(clients.connection())) {
        current = Optional.of(consumer);
        follow(consumer, values, listener);
      } catch (WakeupException e) {
        LOG.debug("stopped");
      } catch (KafkaException | EnvironmentException e) {
        health.notReady(PART, partition.topic() + " can not be read");
        LOG.warn("{} can not be read: {}", partition.topic(), e.getMessage());
        pause();
      } catch (RuntimeException e) {
        // Nobody would notice that this thread has ended: releases would be ignored from then on.
        health.notReady(PART, partition.topic() + " can not be followed");
        LOG.error("{} can not be followed: {}", partition.topic(), Failure.describe(e));
        pause();
      } finally {
        current = Optional.empty();
      }
    }
  }

  private void pause() {
    try {
      var unused = stop.await(AGAIN.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void follow(Consumer<byte[], byte[]> consumer, AvroValues values, Listener listener) {
    LiveReleases known = new LiveReleases();
    List<TopicPartition> all = List.of(partition);
    consumer.assign(all);
    Long end = consumer.endOffsets(all, CLIENT_TIMEOUT).get(partition);
    Long begin = consumer.beginningOffsets(all, CLIENT_TIMEOUT).get(partition);
    if (end == null || begin == null) {
      throw new EnvironmentException("the brokers do not know " + partition);
    }
    consumer.seek(partition, begin);
    while (stop.getCount() > 0) {
      boolean reached = consumer.position(partition, CLIENT_TIMEOUT) >= end;
      if (reached) {
        announce(known, listener);
      }
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
        take(record, values, known);
      }
    }
  }

  private void announce(LiveReleases known, Listener listener) {
    Optional<ModelRelease> before = releases.stream().findFirst();
    releases = known.all(role);
    Optional<ModelRelease> now = releases.stream().findFirst();
    if (caughtUp.getCount() > 0) {
      caughtUp.countDown();
    } else if (!now.equals(before)) {
      listener.live(now);
    }
    health.ready(PART);
  }

  private void take(ConsumerRecord<byte[], byte[]> record, AvroValues values, LiveReleases known) {
    if (record.key() == null) {
      skip(record, "it has no key");
      return;
    }
    String modelId = new String(record.key(), StandardCharsets.UTF_8);
    if (record.value() == null) {
      known.withdrawn(modelId);
      return;
    }
    try {
      ModelRelease release =
          values.read(record.value(), ModelRelease.class, ModelRelease.getClassSchema());
      known.released(modelId, record.offset(), release);
    } catch (UnreadableException e) {
      skip(record, e.sentence());
    }
  }

  private void skip(ConsumerRecord<byte[], byte[]> record, String why) {
    unreadable.increment();
    LOG.warn("{} at offset {} is not a model release: {}", partition, record.offset(), why);
  }

  @Override
  public void close() {
    stop.countDown();
    current.ifPresent(Consumer::wakeup);
    try {
      thread.join(CLIENT_TIMEOUT.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
