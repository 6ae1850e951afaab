package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.worker.EnvironmentException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;

class GroupTransactionsTest {
  private static final TopicPartition TRANSFERS = new TopicPartition("transfers", 0);

  private final MockProducer<byte[], byte[]> producer =
      new MockProducer<>(
          /* autoComplete= */ true,
          /* partitioner= */ null,
          new ByteArraySerializer(),
          new ByteArraySerializer());

  private final GroupTransactions transactions = in(3);

  GroupTransactionsTest() {
    producer.initTransactions();
    transactions.startsAt(7);
  }

  @SuppressWarnings("removal") // nothing else public makes one
  private GroupTransactions in(int generation) {
    return new GroupTransactions(
        producer,
        TRANSFERS,
        () -> new ConsumerGroupMetadata("group", generation, "member", Optional.empty()));
  }

  private static List<ProducerRecord<byte[], byte[]>> event() {
    return List.of(new ProducerRecord<>(TRANSFERS.topic(), new byte[] {1}, new byte[] {2}));
  }

  private static Map<String, Map<TopicPartition, OffsetAndMetadata>> at(long offset) {
    return Map.of("group", Map.of(TRANSFERS, new OffsetAndMetadata(offset)));
  }

  @Test
  void every_transaction_says_how_far_the_topic_is_taken_whether_that_has_moved_or_not() {
    transactions.write(event());
    transactions.write(event(), 9);
    transactions.write(event());
    assertThat(producer.commitCount()).isEqualTo(3);
    assertThat(producer.consumerGroupOffsetsHistory()).containsExactly(at(7), at(9), at(9));
  }

  /** As of a process that was paused for longer than its session: another one goes on. */
  @Test
  void what_a_member_says_whom_its_group_has_given_up_is_not_written() {
    producer.sendOffsetsToTransactionException = new CommitFailedException("no member");
    assertThatThrownBy(() -> transactions.write(event())).isInstanceOf(CommitFailedException.class);
    assertThat(producer.transactionAborted()).isTrue();
    assertThat(producer.history()).isEmpty();

    producer.sendOffsetsToTransactionException = null;
    transactions.write(event());
    assertThat(producer.consumerGroupOffsetsHistory()).containsExactly(at(7));
  }

  @Test
  void nothing_is_written_by_who_is_no_member() {
    assertThatThrownBy(() -> in(-1).write(event()))
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("no member of its group");
    assertThat(producer.history()).isEmpty();
  }
}
