package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.MockConsumer;
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
  void nothing_is_fetched_while_a_job_runs_or_something_waits_and_nothing_is_lost() {
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
}
