package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.junit.jupiter.api.Test;

class FencesTest {
  private final RuntimeException fenced = new ProducerFencedException("fenced");

  private final AtomicLong now = new AtomicLong();
  private final Fences fences = new Fences("group", "a", now::get);

  private void passes(Duration time) {
    now.addAndGet(time.toNanos());
  }

  @Test
  void fencedTwiceWithinFiveMinutesIsAnotherProcessOfTheSameName() {
    fences.fenced(fenced);
    passes(Duration.ofMinutes(5));
    fences.fenced(fenced); // replaced, and once more
    passes(Duration.ofMinutes(5).minusNanos(1));
    assertThatThrownBy(() -> fences.fenced(fenced))
        .isInstanceOf(WorkerException.class)
        .hasMessage(
            "another process uses instance.id a in group group (this one was fenced twice within"
                + " five minutes); give each its own")
        .hasCause(fenced);
  }

  @Test
  void aFenceIsWhatSaysSoOrComesOfIt() {
    assertThat(Fences.isFence(new ProducerFencedException("fenced"))).isTrue();
    assertThat(Fences.isFence(new KafkaException(new InvalidProducerEpochException("old"))))
        .isTrue();
    assertThat(Fences.isFence(new TimeoutException("no answer"))).isFalse();
  }
}
