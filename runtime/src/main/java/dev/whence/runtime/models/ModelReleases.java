package dev.whence.runtime.models;

import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.PartitionFollower;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;
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

  private final Clients clients;
  private final TopicPartition partition;
  private final ModelRole role;
  private final Health health;
  private final Counter unreadable;
  private final AvroValues values;
  private final Halt halt;
  private final CountDownLatch caughtUp = new CountDownLatch(1);
  private volatile Optional<PartitionFollower> follower = Optional.empty();
  private volatile List<ModelRelease> releases = List.of();

  /** Hears of changes after the start, on this reader's thread. */
  @FunctionalInterface
  public interface Listener {
    /**
     * Another release is live, or the live one was published once more: what it names may be there
     * by now.
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
   * @param halt ends the process when its thread can not go on
   */
  public ModelReleases(
      Clients clients,
      String topic,
      ModelRole role,
      Health health,
      MeterRegistry meters,
      Halt halt) {
    this.clients = clients;
    this.partition = new TopicPartition(topic, 0);
    this.role = role;
    this.values = new AvroValues(clients.connection());
    this.health = health;
    this.halt = halt;
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
    PartitionFollower started =
        new PartitionFollower(clients, partition.topic(), PART, new Following(listener), halt);
    follower = Optional.of(started);
    started.start();
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

  private final class Following implements PartitionFollower.Reader {
    private final Listener listener;
    private LiveReleases known = new LiveReleases();
    private OptionalLong liveAt = OptionalLong.empty();

    Following(Listener listener) {
      this.listener = listener;
    }

    @Override
    public void begin(long end) {
      known = new LiveReleases();
    }

    @Override
    public void take(ConsumerRecord<byte[], byte[]> record) {
      ModelReleases.this.take(record, known);
    }

    @Override
    public void reached() {
      Optional<ModelRelease> before = releases.stream().findFirst();
      OptionalLong beforeAt = liveAt;
      releases = known.all(role);
      liveAt = known.liveAt(role);
      Optional<ModelRelease> now = releases.stream().findFirst();
      if (caughtUp.getCount() > 0) {
        caughtUp.countDown();
      } else if (!now.equals(before) || !liveAt.equals(beforeAt)) {
        listener.live(now);
      }
      health.ready(PART);
    }

    @Override
    public void failed(String why) {
      health.notReady(PART, why);
    }
  }

  private void take(ConsumerRecord<byte[], byte[]> record, LiveReleases known) {
    try {
      known.take(record, values);
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
    follower.ifPresent(PartitionFollower::close);
    values.close();
  }
}
