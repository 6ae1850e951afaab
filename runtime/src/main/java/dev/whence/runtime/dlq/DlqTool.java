package dev.whence.runtime.dlq;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.PartitionRange;
import dev.whence.runtime.worker.EventHeader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.jspecify.annotations.Nullable;

/**
 * What {@code whence dlq show} and {@code whence dlq replay} do. A dead letter queue has one
 * partition.
 *
 * <p>What was replayed stands in the queue itself: each transaction writes, behind the dead letters
 * that it replays, a record whose header names their offsets. It can not be removed before them, as
 * the offsets of a group are (after seven days without a member, while a queue keeps thirty).
 */
public final class DlqTool {
  private static final Duration TIMEOUT = Duration.ofSeconds(15);

  /** A writer that died holds up readers until its transaction is timed out, and looked for. */
  private static final Duration OPEN_TRANSACTIONS = Clients.TRANSACTION_TIMEOUT.multipliedBy(3);

  private static final Duration AGAIN = Duration.ofMillis(100);
  private static final int RECORDS_PER_TRANSACTION = 100;

  /** Of keys and values, uncompressed; a larger record has a transaction to itself. */
  private static final long BYTES_PER_TRANSACTION = 16 << 20;

  /** What compresses well is far larger in memory than the topic's limit says. */
  private static final int RECORDS_PER_POLL = 1;

  private final Clients clients;
  private final TopicPartition queue;

  /**
   * @param clients of the cluster
   * @param queue name of the dead letter topic
   */
  public DlqTool(Clients clients, String queue) {
    this.clients = clients;
    this.queue = new TopicPartition(queue, 0);
  }

  /**
   * What a replay did.
   *
   * @param replayed written back now
   * @param skippedOmitted that can not be: the queue does not hold their values or their topics
   * @param replayedBefore by an earlier replay
   * @param tooLarge that do not fit the topics they came from, and stay in the queue as they were
   * @param homeless how many came from each topic that is not there (any more); they stay, too
   */
  public record Replay(
      long replayed,
      long skippedOmitted,
      long replayedBefore,
      List<DeadLetterEntry> tooLarge,
      Map<String, Long> homeless) {
    /** Whether all that was asked for is replayed now. */
    public boolean complete() {
      return skippedOmitted == 0 && tooLarge.isEmpty() && homeless.isEmpty();
    }
  }

  /**
   * The records of the queue that pass the filter, in order.
   *
   * @throws KafkaException if the cluster does not answer or there is no such topic
   */
  public List<DeadLetterEntry> show(DeadLetterFilter filter) {
    List<DeadLetterEntry> entries = new ArrayList<>();
    ReplayedOffsets replayed = new ReplayedOffsets();
    try (Consumer<byte[], byte[]> consumer = reader()) {
      read(
          consumer,
          PartitionRange.now(consumer, queue),
          replayed,
          (record, entry) -> {
            if (filter.accepts(entry)) {
              entries.add(entry);
            }
          });
    }
    // Only behind a record stands whether it was replayed.
    entries.replaceAll(entry -> entry.withReplayed(replayed.contains(entry.offset())));
    return entries;
  }

  /**
   * Writes records back to the topics and partitions they came from (a partition may say how urgent
   * its records are; where the topic has it no more, the key decides): the original bytes and
   * headers, and how often that was done ({@link Replays}). Each record of the queue is replayed
   * once, however often and whenever this is called or interrupted, since what was replayed is
   * written to the queue in the same transaction. It stays in the queue until retention removes it.
   * What is too large for its topic, or came from a topic that is not there any more, keeps nothing
   * else from being replayed.
   *
   * @throws KafkaException if the cluster does not answer, there is no such topic, another replay
   *     of the queue started meanwhile, or somebody's transaction on the queue does not end
   */
  public Replay replay(DeadLetterFilter filter) {
    try (Consumer<byte[], byte[]> consumer = reader();
        Producer<byte[], byte[]> producer =
            clients.transactionalProducer("whence-dlq-replay." + queue.topic())) {
      producer.initTransactions();
      // Only now is final what an earlier replay wrote.
      PartitionRange all = allCommitted(consumer);
      ReplayedOffsets before = new ReplayedOffsets();
      read(consumer, all, before, (record, entry) -> {});
      long[] counts = new long[2];
      Batches batches = new Batches(producer, new Homes(consumer));
      read(
          consumer,
          all,
          new ReplayedOffsets(),
          (record, entry) -> {
            if (!filter.accepts(entry)) {
              return;
            }
            if (before.contains(entry.offset())) {
              counts[1]++;
            } else if (entry.omitted() || entry.topic().isEmpty()) {
              counts[0]++;
            } else {
              batches.add(record, entry);
            }
          });
      batches.write();
      return new Replay(
          batches.written,
          counts[0],
          counts[1],
          List.copyOf(batches.tooLarge),
          Map.copyOf(batches.homeless));
    }
  }

  private Consumer<byte[], byte[]> reader() {
    Consumer<byte[], byte[]> consumer = clients.reader("whence-dlq", RECORDS_PER_POLL);
    try {
      if (consumer.partitionsFor(queue.topic(), TIMEOUT).isEmpty()) {
        throw new KafkaException(
            "there is no topic "
                + queue.topic()
                + " on these brokers; see that the topic, its prefix and the brokers are right");
      }
      return consumer;
    } catch (KafkaException e) {
      consumer.close();
      throw e;
    }
  }

  /**
   * All that is in the queue now. A transaction that is open hides what was committed behind its
   * begin, marks of what was replayed among them, so its end is waited for.
   */
  private PartitionRange allCommitted(Consumer<byte[], byte[]> consumer) {
    long end = endWithOpenTransactions();
    long giveUpAt = System.nanoTime() + OPEN_TRANSACTIONS.toNanos();
    PartitionRange all = PartitionRange.now(consumer, queue);
    while (all.end() < end) {
      if (System.nanoTime() > giveUpAt) {
        throw new KafkaException(
            "a transaction that writes to "
                + queue.topic()
                + " has not ended for "
                + OPEN_TRANSACTIONS.toSeconds()
                + " s, and what was replayed may stand behind it; look for it with"
                + " kafka-transactions.sh find-hanging, and replay again");
      }
      LockSupport.parkNanos(AGAIN.toNanos());
      all = PartitionRange.now(consumer, queue);
    }
    return all;
  }

  private long endWithOpenTransactions() {
    try (Admin admin = clients.admin()) {
      return admin
          .listOffsets(Map.of(queue, OffsetSpec.latest()))
          .partitionResult(queue)
          .get(TIMEOUT.toSeconds(), TimeUnit.SECONDS)
          .offset();
    } catch (ExecutionException e) {
      throw new KafkaException("the end of " + queue + " is not known: " + e.getCause(), e);
    } catch (TimeoutException e) {
      throw new KafkaException(
          "the brokers did not say within " + TIMEOUT.toSeconds() + " s where " + queue + " ends",
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new KafkaException("interrupted before " + queue + " was read", e);
    }
  }

  /** A dead letter, and what is written back of it. */
  private record Original(DeadLetterEntry entry, ProducerRecord<byte[], byte[]> record) {}

  /** The topics that records came from, each looked up once. */
  private static final class Homes {
    private final Consumer<byte[], byte[]> consumer;
    private final Map<String, Integer> partitions = new HashMap<>();

    Homes(Consumer<byte[], byte[]> consumer) {
      this.consumer = consumer;
    }

    /** How many partitions a topic has; 0 where there is none of that name. */
    int partitions(String topic) {
      return partitions.computeIfAbsent(topic, this::lookUp);
    }

    private int lookUp(String topic) {
      try {
        return consumer.partitionsFor(topic, TIMEOUT).size();
      } catch (InvalidTopicException e) {
        return 0; // a header may hold anything
      }
    }
  }

  /** Collects records until they are enough for a transaction. */
  private final class Batches {
    private final Producer<byte[], byte[]> producer;
    private final Homes homes;
    private final List<DeadLetterEntry> tooLarge = new ArrayList<>();
    private final Map<String, Long> homeless = new HashMap<>();
    private List<Original> originals = new ArrayList<>();
    private long bytes;
    private long written;

    Batches(Producer<byte[], byte[]> producer, Homes homes) {
      this.producer = producer;
      this.homes = homes;
    }

    void add(ConsumerRecord<byte[], byte[]> record, DeadLetterEntry entry) {
      int partitions = homes.partitions(entry.topic());
      if (partitions == 0) {
        homeless.merge(entry.topic(), 1L, Long::sum);
        return;
      }
      long size = length(record.key()) + length(record.value());
      if (originals.size() == RECORDS_PER_TRANSACTION || bytes + size > BYTES_PER_TRANSACTION) {
        write();
      }
      @Nullable Integer partition =
          entry.partition() >= 0 && entry.partition() < partitions ? entry.partition() : null;
      ProducerRecord<byte[], byte[]> original =
          new ProducerRecord<>(entry.topic(), partition, record.key(), record.value());
      for (EventHeader header : Replays.oneMore(DeadLetterHeaders.withoutOurs(headers(record)))) {
        original.headers().add(new RecordHeader(header.name(), header.value()));
      }
      originals.add(new Original(entry, original));
      bytes += size;
    }

    void write() {
      while (!originals.isEmpty()) {
        List<Original> fitting = commit();
        if (fitting.size() == originals.size()) {
          written += originals.size();
          fitting = List.of();
        }
        originals = new ArrayList<>(fitting);
      }
      bytes = 0;
    }

    /**
     * Writes all originals, or none if some are too large: only the brokers know, since it is what
     * they are compressed to that counts.
     *
     * @return those that are not
     */
    private List<Original> commit() {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      producer.beginTransaction();
      try {
        ReplayedOffsets offsets = new ReplayedOffsets();
        for (Original original : originals) {
          sent.add(producer.send(original.record()));
          offsets.add(original.entry().offset());
        }
        ProducerRecord<byte[], byte[]> mark =
            new ProducerRecord<byte[], byte[]>(queue.topic(), queue.partition(), null, null);
        EventHeader done = EventHeader.of(DeadLetterHeaders.REPLAYED, offsets.toString());
        mark.headers().add(new RecordHeader(done.name(), done.value()));
        var unused = producer.send(mark);
      } catch (KafkaException e) {
        producer.flush();
        if (sent.stream().noneMatch(DlqTool::isTooLarge)) {
          throw e;
        } // else it says that one before it has failed
      }
      producer.flush();
      List<Original> fitting = new ArrayList<>();
      for (int i = 0; i < originals.size(); i++) {
        if (i < sent.size() && isTooLarge(sent.get(i))) {
          tooLarge.add(originals.get(i).entry());
        } else {
          fitting.add(originals.get(i));
        }
      }
      if (fitting.size() == originals.size()) {
        producer.commitTransaction();
      } else {
        producer.abortTransaction();
      }
      return fitting;
    }
  }

  /** Of a record that was flushed. */
  private static boolean isTooLarge(Future<RecordMetadata> sent) {
    try {
      var unused = sent.get();
      return false;
    } catch (ExecutionException e) {
      return e.getCause() instanceof RecordTooLargeException;
    } catch (InterruptedException e) {
      throw new InterruptException(e);
    }
  }

  private static long length(byte @Nullable [] bytes) {
    return bytes == null ? 0 : bytes.length;
  }

  /** Hands dead letters over, and adds what is said to be replayed. */
  private static void read(
      Consumer<byte[], byte[]> consumer,
      PartitionRange range,
      ReplayedOffsets replayed,
      BiConsumer<ConsumerRecord<byte[], byte[]>, DeadLetterEntry> take) {
    range.read(
        consumer,
        (records, next) -> {
          for (ConsumerRecord<byte[], byte[]> record : records) {
            List<EventHeader> headers = headers(record);
            Optional<String> done = DeadLetterHeaders.replayed(headers);
            if (done.isPresent()) {
              replayed.addAll(done.get());
            } else {
              take.accept(
                  record, DeadLetterEntry.of(record.offset(), headers, length(record.value())));
            }
          }
        });
  }

  private static List<EventHeader> headers(ConsumerRecord<byte[], byte[]> record) {
    List<EventHeader> headers = new ArrayList<>();
    for (Header header : record.headers()) {
      headers.add(
          new EventHeader(header.key(), header.value() == null ? new byte[0] : header.value()));
    }
    return headers;
  }
}
