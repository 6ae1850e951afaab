package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.internals.KafkaFutureImpl;
import org.junit.jupiter.api.Test;

class StalledPartitionsTest {
  private static final TopicPartition A = new TopicPartition("in", 0);
  private static final TopicPartition B = new TopicPartition("in", 1);

  private final MockConsumer<byte[], byte[]> consumer = new MockConsumer<>("none");
  private final StalledPartitions stalled =
      new StalledPartitions(consumer, this::ends, Duration.ZERO);
  private long end = 10;
  private boolean silent;

  StalledPartitionsTest() {
    consumer.assign(Set.of(A, B));
    consumer.seek(A, 10);
    consumer.seek(B, 7);
  }

  @Test
  void aPartitionThatStandsStillBeforeRecordsNeedsNewClients() {
    answers(StalledPartitions.TIMES - 1);
    assertThatThrownBy(stalled::look)
        .isInstanceOf(FatalClientException.class)
        .hasMessage(
            "in-1 is no longer read: it stands at offset 7 though records up to offset 10 wait");
  }

  @Test
  void aPartitionThatMovesIsReadHoweverFarBehindItIs() {
    for (int position = 0; position < 8; position++) {
      consumer.seek(B, position);
      answers(1);
    }
  }

  @Test
  void whatIsReadToItsEndMayStandThereForever() {
    consumer.seek(B, 10);
    answers(10);
    end = 11;
    consumer.seek(A, 11);
    consumer.seek(B, 11);
    answers(10);
  }

  @Test
  void aPartitionThatWentAndCameBackBeginsAnew() {
    answers(StalledPartitions.TIMES - 1);
    consumer.assign(Set.of(A));
    answers(1);
    consumer.assign(Set.of(A, B));
    consumer.seek(A, 10);
    consumer.seek(B, 7);
    answers(StalledPartitions.TIMES - 1);
  }

  @Test
  void brokersThatDoNotAnswerProveNothing() {
    silent = true;
    answers(10);
  }

  /** Each look takes the answer to the question of the one before. */
  private void answers(int times) {
    for (int i = 0; i <= times; i++) {
      stalled.look();
    }
  }

  private KafkaFuture<Map<TopicPartition, Long>> ends(Set<TopicPartition> assigned) {
    if (silent) {
      KafkaFutureImpl<Map<TopicPartition, Long>> failed = new KafkaFutureImpl<>();
      failed.completeExceptionally(new KafkaException("no answer"));
      return failed;
    }
    return KafkaFuture.completedFuture(
        assigned.stream().collect(Collectors.toMap(one -> one, one -> end)));
  }
}
