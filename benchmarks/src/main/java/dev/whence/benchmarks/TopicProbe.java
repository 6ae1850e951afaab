package dev.whence.benchmarks;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Watches a topic from its end on, as any reader of committed records would, and notes when each
 * record could be read.
 */
final class TopicProbe implements AutoCloseable {
  private final Consumer<String, byte[]> consumer;
  private final BlockingQueue<Sighting> sightings = new LinkedBlockingQueue<>();
  private final CompletableFuture<Void> ended = new CompletableFuture<>();
  private final Thread thread;

  /**
   * A record, the moment it was readable.
   *
   * @param key of the record
   * @param value bytes of the record
   * @param nanoTime of this JVM when a poll returned it
   */
  @SuppressWarnings("ArrayRecordComponent") // bytes as Kafka has them; never compared
  record Sighting(String key, byte[] value, long nanoTime) {}

  private TopicProbe(Consumer<String, byte[]> consumer, String topic, CountDownLatch ready) {
    this.consumer = consumer;
    this.thread = new Thread(() -> watch(topic, ready), "probe-" + topic);
    thread.setDaemon(true);
  }

  /** Returns when everything written from now on will be seen. */
  static TopicProbe start(String bootstrapServers, String topic) throws InterruptedException {
    Consumer<String, byte[]> consumer =
        new KafkaConsumer<>(
            Map.of(
                "bootstrap.servers", bootstrapServers,
                "isolation.level", "read_committed",
                "enable.auto.commit", "false",
                "auto.offset.reset", "none"),
            new StringDeserializer(),
            new ByteArrayDeserializer());
    CountDownLatch ready = new CountDownLatch(1);
    TopicProbe probe = new TopicProbe(consumer, topic, ready);
    probe.thread.start();
    ready.await();
    return probe;
  }

  private void watch(String topic, CountDownLatch ready) {
    try (consumer) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream()
              .map(info -> new TopicPartition(topic, info.partition()))
              .toList();
      consumer.assign(partitions);
      consumer.seekToEnd(partitions);
      partitions.forEach(consumer::position); // seeking is lazy
      ready.countDown();
      while (true) {
        ConsumerRecords<String, byte[]> records = consumer.poll(Duration.ofSeconds(1));
        long now = System.nanoTime();
        for (ConsumerRecord<String, byte[]> record : records) {
          sightings.add(new Sighting(record.key(), record.value(), now));
        }
      }
    } catch (WakeupException e) {
      ended.complete(null);
    } catch (RuntimeException e) {
      ended.completeExceptionally(e);
    } finally {
      ready.countDown();
    }
  }

  /**
   * The next record.
   *
   * @throws IllegalStateException if none comes in time, or the probe failed
   */
  Sighting next(Duration patience) throws InterruptedException {
    long deadline = System.nanoTime() + patience.toNanos();
    while (true) {
      Sighting sighting = sightings.poll(200, TimeUnit.MILLISECONDS);
      if (sighting != null) {
        return sighting;
      }
      if (ended.isCompletedExceptionally()) {
        throw new IllegalStateException(
            thread.getName() + " could not read its topic",
            ended.handle((nothing, failure) -> failure).join());
      }
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException(
            thread.getName() + " saw nothing within " + patience.toSeconds() + " s");
      }
    }
  }

  @Override
  public void close() {
    consumer.wakeup();
    try {
      thread.join(5_000);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
