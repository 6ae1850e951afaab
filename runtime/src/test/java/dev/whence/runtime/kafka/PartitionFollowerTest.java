package dev.whence.runtime.kafka;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class PartitionFollowerTest {
  private static final TopicPartition MODELS = new TopicPartition("models", 0);

  /** A topic with one record. */
  private static MockConsumer<byte[], byte[]> consumer() {
    MockConsumer<byte[], byte[]> consumer = new MockConsumer<>("none");
    consumer.updatePartitions(
        MODELS.topic(), List.of(new PartitionInfo(MODELS.topic(), 0, null, null, null)));
    consumer.updateBeginningOffsets(Map.of(MODELS, 0L));
    consumer.updateEndOffsets(Map.of(MODELS, 1L));
    consumer.schedulePollTask(
        () ->
            consumer.addRecord(
                new ConsumerRecord<>(MODELS.topic(), 0, 0, new byte[] {1}, new byte[] {2})));
    return consumer;
  }

  @Test
  void anErrorEndsTheThreadAndHaltsTheProcessWhichWouldNeverHearOfARecordAgain() throws Exception {
    CompletableFuture<String> halted = new CompletableFuture<>();
    PartitionFollower.Reader reader =
        new PartitionFollower.Reader() {
          @Override
          public void begin(long end) {}

          @Override
          public void take(ConsumerRecord<byte[], byte[]> record) {
            throw new OutOfMemoryError("CANARY");
          }

          @Override
          public void reached() {}

          @Override
          public void failed(String why) {}
        };
    try (PartitionFollower follower =
        new PartitionFollower(
            PartitionFollowerTest::consumer, MODELS.topic(), "test", reader, halted::complete)) {
      follower.start();

      assertThat(halted.get(20, TimeUnit.SECONDS))
          .startsWith("the reading of models ended: java.lang.OutOfMemoryError")
          .doesNotContain("CANARY");
    }
  }
}
