package dev.whence.runtime.dlq;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.PartitionRange;
import dev.whence.runtime.worker.EventHeader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/**
 * What {@code whence dlq show} and {@code whence dlq replay} do. A dead letter queue has one
 * partition.
 */
public final class DlqTool {
  private static final Duration TIMEOUT = Duration.ofSeconds(15);
  private static final int RECORDS_PER_TRANSACTION = 100;

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

  /** What a replay did. */
  public record Replay(long replayed, long skippedOmitted, long replayedBefore) {}

  private String group() {
    return "whence-dlq-replay." + queue.topic();
  }

  /**
   * The records of the queue that pass the filter, in order.
   *
   * @throws KafkaException if the cluster does not answer or there is no such topic
   */
  public List<DeadLetterEntry> show(DeadLetterFilter filter) {
    List<DeadLetterEntry> entries = new ArrayList<>();
    try (Consumer<byte[], byte[]> consumer = clients.groupReader(group(), "whence-dlq")) {
      read(
          consumer,
          replayed(consumer),
          (record, entry) -> {
            if (filter.accepts(entry)) {
              entries.add(entry);
            }
          });
    }
    return entries;
  }

  /**
   * Writes records back to the topics they came from: the original bytes and headers, and how often
   * that was done ({@link Replays}). Each record of the queue is replayed once, however often this
   * is called or interrupted, since what was replayed is committed in the same transaction. It
   * stays in the queue until retention removes it.
   *
   * @throws KafkaException if the cluster does not answer, there is no such topic, or another
   *     replay of the queue started meanwhile
   */
  public Replay replay(DeadLetterFilter filter) {
    long[] counts = new long[3];
    try (Consumer<byte[], byte[]> consumer = clients.groupReader(group(), "whence-dlq");
        Producer<byte[], byte[]> producer = clients.transactionalProducer(group())) {
      producer.initTransactions();
      // Only now are the offsets of an earlier replay final.
      ReplayedOffsets replayed = replayed(consumer);
      List<ConsumerRecord<byte[], byte[]>> batch = new ArrayList<>();
      read(
          consumer,
          replayed,
          (record, entry) -> {
            if (!filter.accepts(entry)) {
              return;
            }
            if (entry.replayed()) {
              counts[2]++;
            } else if (entry.omitted() || entry.topic().isEmpty()) {
              counts[1]++;
            } else {
              batch.add(record);
              if (batch.size() == RECORDS_PER_TRANSACTION) {
                counts[0] += write(producer, consumer.groupMetadata(), replayed, batch);
              }
            }
          });
      counts[0] += write(producer, consumer.groupMetadata(), replayed, batch);
    }
    return new Replay(counts[0], counts[1], counts[2]);
  }

  private long write(
      Producer<byte[], byte[]> producer,
      ConsumerGroupMetadata group,
      ReplayedOffsets replayed,
      List<ConsumerRecord<byte[], byte[]>> batch) {
    if (batch.isEmpty()) {
      return 0;
    }
    producer.beginTransaction();
    for (ConsumerRecord<byte[], byte[]> record : batch) {
      List<EventHeader> headers = headers(record);
      String topic = DeadLetterEntry.of(record.offset(), headers, 0, false).topic();
      ProducerRecord<byte[], byte[]> original =
          new ProducerRecord<>(topic, record.key(), record.value());
      for (EventHeader header : Replays.oneMore(DeadLetterHeaders.withoutOurs(headers))) {
        original.headers().add(new RecordHeader(header.name(), header.value()));
      }
      var unused = producer.send(original);
      replayed.add(record.offset());
    }
    String metadata = replayed.metadata();
    if (metadata.length() > ReplayedOffsets.LONGEST_METADATA) {
      producer.abortTransaction();
      throw new KafkaException(
          "what was replayed of "
              + queue.topic()
              + " lies in too many pieces to be remembered; replay without a filter on the code or"
              + " the partition");
    }
    producer.sendOffsetsToTransaction(
        Map.of(queue, new OffsetAndMetadata(replayed.next(), metadata)), group);
    producer.commitTransaction();
    int count = batch.size();
    batch.clear();
    return count;
  }

  private ReplayedOffsets replayed(Consumer<byte[], byte[]> consumer) {
    OffsetAndMetadata committed = consumer.committed(Set.of(queue), TIMEOUT).get(queue);
    return committed == null
        ? new ReplayedOffsets(0, "")
        : new ReplayedOffsets(committed.offset(), committed.metadata());
  }

  private void read(
      Consumer<byte[], byte[]> consumer,
      ReplayedOffsets replayed,
      BiConsumer<ConsumerRecord<byte[], byte[]>, DeadLetterEntry> take) {
    PartitionRange all = PartitionRange.now(consumer, queue);
    replayed.startAt(all.from());
    all.read(
        consumer,
        (records, next) -> {
          for (ConsumerRecord<byte[], byte[]> record : records) {
            byte[] value = record.value();
            take.accept(
                record,
                DeadLetterEntry.of(
                    record.offset(),
                    headers(record),
                    value == null ? 0 : value.length,
                    replayed.contains(record.offset())));
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
