package dev.whence.transfer.stage;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Fences;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InterruptException;

/**
 * Writes what belongs together in one transaction, and with each how far the partition is taken,
 * whether that has moved or not. A process that was paused for longer than its session is no member
 * of its group any more and may not know it: its offset is refused, and all that came with it.
 */
final class GroupTransactions {
  private final Producer<byte[], byte[]> producer;
  private final TopicPartition partition;
  private final Supplier<ConsumerGroupMetadata> group;
  private final LongSupplier now;
  private long next;

  GroupTransactions(
      Producer<byte[], byte[]> producer,
      TopicPartition partition,
      Supplier<ConsumerGroupMetadata> group) {
    this(producer, partition, group, System::nanoTime);
  }

  /**
   * @param partition of which offsets are committed
   * @param group says as which member
   * @param now in nanoseconds, for how long a transaction is open
   */
  GroupTransactions(
      Producer<byte[], byte[]> producer,
      TopicPartition partition,
      Supplier<ConsumerGroupMetadata> group,
      LongSupplier now) {
    this.producer = producer;
    this.partition = partition;
    this.group = group;
    this.now = now;
  }

  /** The partition is read from here on. */
  void startsAt(long offset) {
    next = offset;
  }

  /** Writes without having taken more of the partition; see {@link #write(List, long)}. */
  List<RecordMetadata> write(List<ProducerRecord<byte[], byte[]>> records) {
    return write(records, next);
  }

  /**
   * Writes.
   *
   * @param nextOffset of the partition, that is taken next
   * @return where the records are
   * @throws CommitFailedException if the group knows another member by now; nothing was written,
   *     and the same producer may write it again: so it is done with what a job says, while
   *     anything else that is refused ends the session, whose successor finds it due again
   * @throws KafkaException if only a new producer can go on
   * @throws EnvironmentException if this process is no member just now, or a transaction does not
   *     end; only a new producer can go on
   */
  List<RecordMetadata> write(List<ProducerRecord<byte[], byte[]>> records, long nextOffset) {
    long began = now.getAsLong();
    try {
      return writeNow(records, nextOffset);
    } catch (KafkaException e) {
      if (Fences.isFence(e) && now.getAsLong() - began >= Clients.TRANSACTION_TIMEOUT.toNanos()) {
        // Its coordinator has ended it, as another producer of this name would.
        throw new EnvironmentException("a transaction was open for too long", e);
      }
      throw e;
    }
  }

  private List<RecordMetadata> writeNow(
      List<ProducerRecord<byte[], byte[]>> records, long nextOffset) {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    producer.beginTransaction();
    try {
      for (ProducerRecord<byte[], byte[]> record : records) {
        sent.add(producer.send(record));
      }
      // Right before it is used: a rebalance may have happened meanwhile.
      ConsumerGroupMetadata member = group.get();
      if (member.generationId() < 0) {
        throw new EnvironmentException("this instance is no member of its group at the moment");
      }
      producer.sendOffsetsToTransaction(
          Map.of(partition, new OffsetAndMetadata(nextOffset)), member);
    } catch (CommitFailedException e) {
      if (!Transactions.abort(producer)) {
        throw new EnvironmentException("a transaction could not be ended", e);
      }
      throw e;
    } catch (KafkaException | EnvironmentException e) {
      var unused = Transactions.abort(producer); // only a new producer goes on
      throw e;
    }
    Transactions.commit(producer);
    next = nextOffset;
    return sent.stream().map(GroupTransactions::place).toList();
  }

  /** Of a record whose transaction is committed: that waited for it. */
  private static RecordMetadata place(Future<RecordMetadata> sent) {
    try {
      return sent.get();
    } catch (InterruptedException e) {
      throw new InterruptException(e);
    } catch (ExecutionException e) {
      throw new KafkaException("a committed record has no place", e);
    }
  }
}
