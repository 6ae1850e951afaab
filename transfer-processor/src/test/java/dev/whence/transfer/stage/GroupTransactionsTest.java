package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.worker.EnvironmentException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GroupTransactionsTest {
  private static final TopicPartition TRANSFERS = new TopicPartition("transfers", 0);

  private final Aborting producer = new Aborting();

  private final GroupTransactions transactions = in(3);

  /** A producer that may not get its transactions aborted. */
  private static final class Aborting extends MockProducer<byte[], byte[]> {
    private boolean inVain;

    Aborting() {
      super(
          /* autoComplete= */ true,
          /* partitioner= */ null,
          new ByteArraySerializer(),
          new ByteArraySerializer());
    }

    @Override
    public void abortTransaction() {
      if (inVain) {
        throw new TimeoutException("no answer");
      }
      super.abortTransaction();
    }
  }

  GroupTransactionsTest() {
    producer.initTransactions();
    transactions.startsAt(7);
  }

  private GroupTransactions in(int generation) {
    return new GroupTransactions(producer, TRANSFERS, () -> member(generation));
  }

  /** With a clock on which each transaction is open for so long before its offsets are sent. */
  private GroupTransactions openFor(Duration open) {
    AtomicLong now = new AtomicLong();
    return new GroupTransactions(
        producer,
        TRANSFERS,
        () -> {
          now.addAndGet(open.toNanos());
          return member(3);
        },
        now::get);
  }

  @SuppressWarnings("removal") // nothing else public makes one
  private static ConsumerGroupMetadata member(int generation) {
    return new ConsumerGroupMetadata("group", generation, "member", Optional.empty());
  }

  private static List<ProducerRecord<byte[], byte[]>> event() {
    return List.of(new ProducerRecord<>(TRANSFERS.topic(), new byte[] {1}, new byte[] {2}));
  }

  private static Map<String, Map<TopicPartition, OffsetAndMetadata>> at(long offset) {
    return Map.of("group", Map.of(TRANSFERS, new OffsetAndMetadata(offset)));
  }

  @Test
  void everyTransactionSaysHowFarTheTopicIsTakenWhetherThatHasMovedOrNot() {
    transactions.write(event());
    transactions.write(event(), 9);
    transactions.write(event());
    assertThat(producer.commitCount()).isEqualTo(3);
    assertThat(producer.consumerGroupOffsetsHistory()).containsExactly(at(7), at(9), at(9));
  }

  /** As of a process that was paused for longer than its session: another one goes on. */
  @Test
  void whatAMemberSaysWhomItsGroupHasGivenUpIsNotWritten() {
    producer.sendOffsetsToTransactionException = new CommitFailedException("no member");
    assertThatThrownBy(() -> transactions.write(event())).isInstanceOf(CommitFailedException.class);
    assertThat(producer.transactionAborted()).isTrue();
    assertThat(producer.history()).isEmpty();

    producer.sendOffsetsToTransactionException = null;
    transactions.write(event());
    assertThat(producer.consumerGroupOffsetsHistory()).containsExactly(at(7));
  }

  @Test
  void whatIsRefusedAgainAndAgainIsWrittenOnceWhenItIsTaken() {
    producer.sendOffsetsToTransactionException = new CommitFailedException("no member");
    for (int i = 1; i < TransferSession.MOST_REFUSALS; i++) {
      assertThatThrownBy(() -> transactions.write(event(), 9))
          .isInstanceOf(CommitFailedException.class);
    }
    producer.sendOffsetsToTransactionException = null;
    transactions.write(event(), 9);
    assertThat(producer.history()).hasSize(1);
    assertThat(producer.consumerGroupOffsetsHistory()).containsExactly(at(9));
  }

  /** Its producer can begin no other one, so that nobody may try again with it. */
  @Test
  void aRefusedTransactionThatCanNotBeAbortedIsOfTheEnvironment() {
    producer.sendOffsetsToTransactionException = new CommitFailedException("no member");
    producer.inVain = true;
    assertThatThrownBy(() -> transactions.write(event()))
        .isInstanceOf(EnvironmentException.class)
        .hasMessage("a transaction could not be ended")
        .hasCauseInstanceOf(CommitFailedException.class);
    assertThat(producer.transactionInFlight()).isTrue();
    assertThatThrownBy(producer::beginTransaction).isInstanceOf(IllegalStateException.class);
  }

  /** A fence says that another producer has its name, whether the abort is refused by it or not. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aFenceWithinTheTransactionsTimeIsAnotherProducers(boolean inVain) {
    producer.sendOffsetsToTransactionException = new ProducerFencedException("fenced");
    producer.inVain = inVain;
    Duration open = Clients.TRANSACTION_TIMEOUT.minusNanos(1);
    assertThatThrownBy(() -> openFor(open).write(event()))
        .isInstanceOf(ProducerFencedException.class);
  }

  @Test
  void aFenceAfterTheTransactionsTimeIsItsCoordinators() {
    producer.sendOffsetsToTransactionException = new ProducerFencedException("fenced");
    assertThatThrownBy(() -> openFor(Clients.TRANSACTION_TIMEOUT).write(event()))
        .isInstanceOf(EnvironmentException.class)
        .hasMessage("a transaction was open for too long");
  }

  @Test
  void nothingIsWrittenByWhoIsNoMember() {
    assertThatThrownBy(() -> in(-1).write(event()))
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("no member of its group");
    assertThat(producer.transactionAborted()).isTrue();
    assertThat(producer.history()).isEmpty();
  }
}
