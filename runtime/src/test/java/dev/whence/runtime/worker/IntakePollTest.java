package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.WakeupException;
import org.junit.jupiter.api.Test;

class IntakePollTest {
  private static final TopicPartition A = new TopicPartition("in", 0);

  private final MockConsumer<byte[], byte[]> consumer = new MockConsumer<>("none");

  IntakePollTest() {
    consumer.assign(Set.of(A));
    consumer.seek(A, 0);
  }

  /** As kafka-clients 4.2 throws it now and then where a broker restarts. */
  @Test
  void aClientThatHasLostItsPositionIsReplacedAndEndsNoProcess() {
    fails(new IllegalStateException("Cannot set a new position without a valid current position"));

    assertThatExceptionOfType(FatalClientException.class)
        .isThrownBy(this::poll)
        .withMessage(
            "the consumer can not go on: IllegalStateException: Cannot set a new position without a"
                + " valid current position")
        .satisfies(e -> assertThat(e.fenced()).isFalse())
        .satisfies(e -> assertThat(e.inDoubt()).isFalse());
  }

  @Test
  void soIsOneThatKafkaRefuses() {
    fails(new AuthenticationException("no such user"));
    assertThatThrownBy(this::poll).isInstanceOf(FatalClientException.class);
  }

  @Test
  void whatTheSessionAnswersItselfReachesIt() {
    fails(new WakeupException());
    assertThatThrownBy(this::poll).isInstanceOf(WakeupException.class);
    fails(new OffsetOutOfRangeException(Map.of(A, 7L)));
    assertThatThrownBy(this::poll).isInstanceOf(OffsetOutOfRangeException.class);
  }

  private void poll() {
    var unused = Intake.polled(consumer, Duration.ZERO);
  }

  private void fails(RuntimeException problem) {
    consumer.schedulePollTask(
        () -> {
          throw problem;
        });
  }
}
