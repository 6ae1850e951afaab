package dev.whence.runtime.kafka;

import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Halt;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads all of a topic's one partition from its begin and then what comes, read_committed and in no
 * group, on a thread of its own. After trouble with the brokers it begins anew. An {@link Error},
 * out of memory above all, halts the process: its thread ends by it, and a process that goes on
 * without would say that it is live and ready, and never hear of a record again.
 */
public final class PartitionFollower implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(PartitionFollower.class);
  private static final Duration POLL = Duration.ofSeconds(1);
  private static final Duration AGAIN = Duration.ofSeconds(2);
  private static final Duration CLIENT_TIMEOUT = Duration.ofSeconds(10);

  private final Supplier<Consumer<byte[], byte[]>> consumers;
  private final TopicPartition partition;
  private final String name;
  private final Reader reader;
  private final Halt halt;
  private final CountDownLatch stop = new CountDownLatch(1);
  private volatile Thread thread = new Thread();
  private volatile Optional<Consumer<byte[], byte[]>> current = Optional.empty();

  /** What is done with the records, all on the follower's thread. */
  public interface Reader {
    /**
     * Reading begins, or begins anew: what was read before comes again.
     *
     * @param end offset behind the last record that is there now
     */
    void begin(long end);

    /** One record. */
    void take(ConsumerRecord<byte[], byte[]> record);

    /** The end that was seen at the begin is reached; again after whatever came later. */
    void reached();

    /**
     * The topic can not be read for now.
     *
     * @param why one sentence
     */
    void failed(String why);
  }

  /**
   * A follower that is not started yet.
   *
   * @param topic with one partition
   * @param name of the thread and the client
   * @param halt ends the process when its thread can not go on
   */
  public PartitionFollower(Clients clients, String topic, String name, Reader reader, Halt halt) {
    this(() -> clients.reader(name, Clients.RECORDS_OF_ONE_POLL), topic, name, reader, halt);
  }

  PartitionFollower(
      Supplier<Consumer<byte[], byte[]>> consumers,
      String topic,
      String name,
      Reader reader,
      Halt halt) {
    this.consumers = consumers;
    this.partition = new TopicPartition(topic, 0);
    this.name = name;
    this.reader = reader;
    this.halt = halt;
  }

  /** Starts reading. */
  public void start() {
    thread = new Thread(this::run, name);
    thread.setDaemon(true);
    thread.start();
  }

  private void run() {
    while (stop.getCount() > 0) {
      try (Consumer<byte[], byte[]> consumer = consumers.get()) {
        current = Optional.of(consumer);
        follow(consumer);
      } catch (WakeupException e) {
        LOG.debug("stopped");
      } catch (EnvironmentException e) {
        String why = String.valueOf(e.getMessage());
        reader.failed(why);
        LOG.warn("{}", why);
        pause();
      } catch (KafkaException e) {
        reader.failed(partition.topic() + " can not be read");
        LOG.warn("{} can not be read: {}", partition.topic(), e.getMessage());
        pause();
      } catch (RuntimeException e) {
        // Nobody would notice that this thread has ended.
        reader.failed(partition.topic() + " can not be read");
        LOG.error("{} can not be followed: {}", partition.topic(), Failure.describe(e));
        pause();
      } catch (Error e) {
        halt.halt("the reading of " + partition.topic() + " ended: " + Failure.describe(e));
        throw e;
      } finally {
        current = Optional.empty();
      }
    }
  }

  private void follow(Consumer<byte[], byte[]> consumer) {
    List<TopicPartition> all = List.of(OnePartition.of(consumer, partition.topic()));
    consumer.assign(all);
    Long end = consumer.endOffsets(all, CLIENT_TIMEOUT).get(partition);
    Long begin = consumer.beginningOffsets(all, CLIENT_TIMEOUT).get(partition);
    if (end == null || begin == null) {
      throw new EnvironmentException("the brokers do not know " + partition);
    }
    consumer.seek(partition, begin);
    reader.begin(end);
    while (stop.getCount() > 0) {
      if (consumer.position(partition, CLIENT_TIMEOUT) >= end) {
        reader.reached();
      }
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
        reader.take(record);
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
