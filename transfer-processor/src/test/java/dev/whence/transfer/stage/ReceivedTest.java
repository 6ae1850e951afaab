package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.worker.EnvironmentException;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class ReceivedTest {
  private static final TopicPartition TRANSFERS = new TopicPartition("transfers", 0);

  private final MockConsumer<byte[], byte[]> consumer = new MockConsumer<>("earliest");
  private final Received received = new Received(consumer, TRANSFERS, Duration.ofMillis(1));

  ReceivedTest() {
    consumer.assign(List.of(TRANSFERS));
    consumer.updateBeginningOffsets(Map.of(TRANSFERS, 0L));
  }

  private void written(long offset) {
    consumer.addRecord(
        new ConsumerRecord<>(TRANSFERS.topic(), 0, offset, new byte[0], new byte[0]));
  }

  @Test
  void nothingIsFetchedWhileAJobRunsOrSomethingWaitsAndNothingIsLost() {
    written(0);
    received.poll(/* running= */ true);
    assertThat(received.next()).isEmpty();

    received.poll(/* running= */ false);
    written(1);
    received.poll(/* running= */ false); // the first one waits
    ConsumerRecord<byte[], byte[]> first = received.next().orElseThrow();
    assertThat(first.offset()).isZero();
    assertThat(received.next()).isEmpty();

    received.putBack(first);
    assertThat(received.next()).contains(first);
    received.poll(/* running= */ false);
    assertThat(received.next()).map(ConsumerRecord::offset).contains(1L);
  }

  @Test
  void whereThePartitionGoesBetweenTwoCallsNewClientsGoOn() {
    MockConsumer<byte[], byte[]> losing =
        new MockConsumer<>("earliest") {
          @Override
          public synchronized void pause(Collection<TopicPartition> partitions) {
            throw new IllegalStateException("No current assignment for partition transfers-0");
          }
        };
    losing.assign(List.of(TRANSFERS));
    losing.updateBeginningOffsets(Map.of(TRANSFERS, 0L));
    Received those = new Received(losing, TRANSFERS, Duration.ofMillis(1));

    assertThatThrownBy(() -> those.poll(/* running= */ true))
        .isInstanceOf(EnvironmentException.class)
        .hasMessage("the consumer can not go on: No current assignment for partition transfers-0");
  }

  /** As kafka-clients 4.2 throws it now and then where a broker restarts. */
  @Test
  void whereTheClientHasLostItsPositionNewClientsGoOn() {
    fails(new IllegalStateException("Cannot set a new position without a valid current position"));

    assertThatThrownBy(() -> received.poll(/* running= */ false))
        .isInstanceOf(EnvironmentException.class);
    written(0);
    received.poll(/* running= */ false);
    assertThat(received.next()).isPresent();
  }

  @Test
  void whereNothingIsCommittedYetAllIsReadUnlessThePartitionHasGone() {
    written(0);
    fails(new NoOffsetForPartitionException(TRANSFERS));
    received.poll(/* running= */ false);
    received.poll(/* running= */ false);
    assertThat(received.next()).isPresent();

    fails(new NoOffsetForPartitionException(new TopicPartition("transfers", 1)));
    assertThatThrownBy(() -> received.poll(/* running= */ false))
        .isInstanceOf(EnvironmentException.class);
  }

  private long beginsWhere(long begin, long committed, long end) {
    consumer.updateBeginningOffsets(Map.of(TRANSFERS, begin));
    consumer.updateEndOffsets(Map.of(TRANSFERS, end));
    consumer.commitSync(Map.of(TRANSFERS, new OffsetAndMetadata(committed)));
    long next = received.begin();
    assertThat(consumer.position(TRANSFERS)).isEqualTo(next);
    return next;
  }

  @Test
  void readingGoesOnWhereItWasOrWhereRetentionHasLeftSomething() {
    assertThat(beginsWhere(0, 7, 9)).isEqualTo(7);
    assertThat(beginsWhere(8, 7, 9)).isEqualTo(8);
    assertThat(beginsWhere(9, 9, 9)).isEqualTo(9);
  }

  /** As after an election that cut it off, or where offsets were restored from elsewhere. */
  @Test
  void aLogThatEndsBeforeWhatIsCommittedIsReadFromItsBeginning() {
    assertThat(beginsWhere(2, 7, 5)).isEqualTo(2);
    assertThat(received.beginAnew()).isEqualTo(2);
  }

  @Test
  void thatALogIsAnotherOneIsForTheCallerToKnow() {
    fails(new OffsetOutOfRangeException(Map.of(TRANSFERS, 7L)));
    assertThatThrownBy(() -> received.poll(/* running= */ false))
        .isInstanceOf(OffsetOutOfRangeException.class);
  }

  private void fails(RuntimeException problem) {
    consumer.schedulePollTask(
        () -> {
          throw problem;
        });
  }
}
