package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.internals.KafkaFutureImpl;
import org.junit.jupiter.api.Test;

class QueueLagTest {
  private static final TopicPartition A = new TopicPartition("in", 0);
  private static final TopicPartition B = new TopicPartition("in", 1);
  private static final Duration EVERY = Duration.ofSeconds(5);

  /** What a fetch said last. */
  private final Map<TopicPartition, Long> fetched = new HashMap<>();

  private final MockConsumer<byte[], byte[]> consumer =
      new MockConsumer<>("none") {
        @Override
        public synchronized OptionalLong currentLag(TopicPartition partition) {
          return fetched.containsKey(partition)
              ? OptionalLong.of(fetched.get(partition) - position(partition))
              : OptionalLong.empty();
        }
      };

  private final List<Map<TopicPartition, KafkaFutureImpl<Long>>> asked = new ArrayList<>();
  private final Map<TopicPartition, Long> readTo = new HashMap<>();
  private long now;
  private final QueueLag lag = new QueueLag(consumer, this::ask, EVERY, () -> now);

  @Test
  void whatComesWhilePartitionsArePausedIsCounted() {
    assigned(Map.of(A, 10L));
    fetched.put(A, 14L);
    assertThat(unread()).hasValue(4);
    consumer.pause(Set.of(A));
    answer(Map.of(A, 30L));
    assertThat(unread()).hasValue(20);
    later();
    answer(Map.of(A, 50L));
    assertThat(unread()).hasValue(40);
  }

  @Test
  void whatIsKnownOfNobodyYetIsNotZero() {
    assigned(Map.of(A, 10L, B, 0L));
    assertThat(unread()).isEmpty();
    fetched.put(A, 14L);
    assertThat(unread()).as("not of the other one").isEmpty();
    answer(Map.of(A, 14L, B, 3L));
    assertThat(unread()).hasValue(7);
  }

  @Test
  void anAnswerThatIsOlderThanAFetchCountsForNothing() {
    assigned(Map.of(A, 10L));
    assertThat(unread()).isEmpty();
    answer(Map.of(A, 12L));
    assertThat(unread()).hasValue(2);
    consumer.seek(A, 20);
    fetched.put(A, 25L);
    assertThat(unread()).hasValue(5);
    fetched.put(A, 20L);
    assertThat(unread()).hasValue(0);
  }

  /** It is not the consumer that reads there. */
  @Test
  void ofAPartitionThatIsReadWithCareItCountsFromWhereThatIs() {
    assigned(Map.of(A, 10L));
    fetched.put(A, 14L);
    readTo.put(A, 13L);
    assertThat(unread()).hasValue(1);
  }

  @Test
  void theBrokersAreAskedNowAndThenAndAreNotWaitedFor() {
    assigned(Map.of(A, 10L));
    assertThat(unread()).isEmpty();
    assertThat(unread()).isEmpty();
    assertThat(asked).hasSize(1);
    later();
    assertThat(unread()).isEmpty();
    assertThat(asked).as("not before the last answer").hasSize(1);
    answer(Map.of(A, 11L));
    assertThat(unread()).hasValue(1);
    assertThat(asked).hasSize(2);
    asked.get(1).get(A).completeExceptionally(new IllegalStateException("nobody answers"));
    assertThat(unread()).as("what was known last").hasValue(1);
  }

  @Test
  void whoHasNoPartitionsHasNothingToRead() {
    assertThat(unread()).hasValue(0);
    assertThat(asked).isEmpty();
  }

  private OptionalLong unread() {
    return lag.unread(partition -> Optional.ofNullable(readTo.get(partition)));
  }

  private void assigned(Map<TopicPartition, Long> positions) {
    consumer.assign(positions.keySet());
    positions.forEach(consumer::seek);
    readTo.putAll(positions);
  }

  private void later() {
    now += EVERY.toNanos();
    var unused = unread();
  }

  private void answer(Map<TopicPartition, Long> ends) {
    var unused = unread();
    ends.forEach((partition, end) -> asked.get(asked.size() - 1).get(partition).complete(end));
  }

  private Map<TopicPartition, KafkaFuture<Long>> ask(Set<TopicPartition> partitions) {
    Map<TopicPartition, KafkaFutureImpl<Long>> futures = new HashMap<>();
    partitions.forEach(partition -> futures.put(partition, new KafkaFutureImpl<>()));
    asked.add(futures);
    return new HashMap<>(futures);
  }
}
