package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.whence.runtime.health.Health;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.internals.KafkaFutureImpl;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

class StalledPartitionsTest {
  private static final TopicPartition A = new TopicPartition("in", 0);
  private static final TopicPartition B = new TopicPartition("in", 1);

  private static final long MINUTE = Duration.ofMinutes(1).toNanos();
  private static final long UNKNOWN = -1;

  /** One whose position may be unknown, as while it looks for a leader. */
  private final MockConsumer<byte[], byte[]> consumer =
      new MockConsumer<>("none") {
        @Override
        public synchronized long position(TopicPartition partition, Duration timeout) {
          if (unknown.contains(partition)) {
            throw new TimeoutException("no position");
          }
          return super.position(partition, timeout);
        }
      };

  private final Map<TopicPartition, StalledPartitions.Rescue> before = new HashMap<>();
  private final Health health = new Health();
  private long now = 7 * MINUTE;
  private final StalledPartitions stalled =
      new StalledPartitions(consumer, this::ends, Duration.ZERO, before, health, () -> this.now);
  private long end = 10;
  private Set<TopicPartition> silentFor = Set.of();
  private Set<TopicPartition> unknown = Set.of();

  StalledPartitionsTest() {
    consumer.assign(Set.of(A, B));
    consumer.seek(A, 10);
    consumer.seek(B, 7);
  }

  @Test
  void aPartitionThatStandsStillBeforeRecordsNeedsNewClients() {
    answers(StalledPartitions.TIMES - 1);
    assertThatThrownBy(() -> answers(1))
        .isInstanceOf(FatalClientException.class)
        .hasMessage("in-1 is not read: it stands at offset 7 though records up to offset 10 wait");
  }

  @Test
  void whereNewClientsStandStillTooThatIsSaidAndTheyAreKeptUntilAPauseIsOver() {
    before.put(B, StalledPartitions.Rescue.first(7, now));
    answers(10);
    assertThat(health.reasons()).containsKey("partitions");
    now += MINUTE;
    assertThatThrownBy(() -> answers(1)).isInstanceOf(FatalClientException.class);
    consumer.seek(B, 10);
    answers(1);
    assertThat(health.isReady()).isTrue();
    assertThat(before).isEmpty();
  }

  /** A busy consumer's polls are never empty, so nobody looks. */
  @Test
  void whatAPollBringsMovesAndNothingIsSaidOfItAnyMore() {
    before.put(A, StalledPartitions.Rescue.first(7, now));
    before.put(B, StalledPartitions.Rescue.first(7, now));
    consumer.seek(A, 7);
    answers(10);
    stalled.moved(Set.of(A));
    assertThat(health.reasons()).containsKey("partitions");
    stalled.moved(Set.of(B));
    assertThat(health.isReady()).isTrue();
    assertThat(before).isEmpty();
  }

  @Test
  void thePausesGrowToAQuarterOfAnHour() {
    before.put(B, StalledPartitions.Rescue.first(7, now));
    answers(StalledPartitions.TIMES);
    for (long minutes : new long[] {1, 2, 4, 8, 15, 15}) {
      now += minutes * MINUTE - 1;
      answers(1);
      now += 1;
      assertThatThrownBy(() -> answers(1)).isInstanceOf(FatalClientException.class);
    }
  }

  @Test
  void aPartitionThatMovedSinceIsRescuedAtOnce() {
    before.put(B, StalledPartitions.Rescue.first(UNKNOWN, now));
    consumer.seek(B, 5);
    answers(1);
    assertThat(health.isReady()).isTrue();

    unknown = Set.of(B);
    assertThatThrownBy(() -> answers(StalledPartitions.TIMES))
        .isInstanceOf(FatalClientException.class)
        .hasMessageContaining("it stands at an unknown offset");
  }

  @Test
  void newClientsThatHaveNoPartitionsYetDoNotMakeItForgotten() {
    before.put(B, StalledPartitions.Rescue.first(7, now));
    consumer.assign(Set.of());
    answers(1);
    assertThat(health.isReady()).isTrue();

    consumer.assign(Set.of(A, B));
    consumer.seek(A, 10);
    consumer.seek(B, 7);
    answers(10);
    assertThat(health.reasons()).containsKey("partitions");
  }

  @Test
  void whatTheClientSaysOfItselfIsLoggedOnceAPartitionStands() {
    ListAppender<ILoggingEvent> log = new ListAppender<>();
    log.start();
    Logger logger = (Logger) LoggerFactory.getLogger(StalledPartitions.class);
    logger.addAppender(log);
    try {
      answers(StalledPartitions.TIMES - 1);
    } finally {
      logger.detachAppender(log);
    }
    assertThat(log.list)
        .singleElement()
        .extracting(ILoggingEvent::getFormattedMessage)
        .asString()
        .startsWith("in-1 stands at 7 of 10; assigned: [")
        .endsWith("], paused: [], member 1 in generation 1");
  }

  @Test
  void whatWaitsByItselfDoesNotStandStill() {
    for (int i = 0; i < 10; i++) {
      stalled.look(Set.of(A));
    }
  }

  @Test
  void aPartitionOfWhichNothingIsKnownHidesNoOther() {
    silentFor = Set.of(A);
    assertThatThrownBy(() -> answers(StalledPartitions.TIMES))
        .isInstanceOf(FatalClientException.class);
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
    silentFor = Set.of(A, B);
    answers(10);
  }

  /** Each look takes the answer to the question of the one before. */
  private void answers(int times) {
    for (int i = 0; i <= times; i++) {
      stalled.look(consumer.assignment());
    }
  }

  private Map<TopicPartition, KafkaFuture<Long>> ends(Set<TopicPartition> read) {
    Map<TopicPartition, KafkaFuture<Long>> ends = new HashMap<>();
    for (TopicPartition partition : read) {
      KafkaFutureImpl<Long> answer = new KafkaFutureImpl<>();
      if (silentFor.contains(partition)) {
        answer.completeExceptionally(new KafkaException("no answer"));
      } else {
        answer.complete(end);
      }
      ends.put(partition, answer);
    }
    return ends;
  }
}
