package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.worker.EnvironmentException;
import java.time.Duration;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;

class TransferStageTest {
  /** A producer whose first commits time out, after which nothing but a commit is allowed. */
  private static final class Slow extends MockProducer<byte[], byte[]> {
    private int timeouts;
    private boolean begun;

    Slow(int timeouts) {
      super(
          /* autoComplete= */ true,
          /* partitioner= */ null,
          new ByteArraySerializer(),
          new ByteArraySerializer());
      this.timeouts = timeouts;
      initTransactions();
      beginTransaction();
      var unused = send(new ProducerRecord<>("t", new byte[] {1}, new byte[] {2}));
    }

    @Override
    public void commitTransaction() {
      begun = true;
      if (timeouts-- > 0) {
        throw new TimeoutException("no answer");
      }
      super.commitTransaction();
    }

    @Override
    public void abortTransaction() {
      if (begun) {
        throw new IllegalStateException("a commit was begun");
      }
      super.abortTransaction();
    }
  }

  @Test
  void a_commit_that_timed_out_is_committed_again() {
    Slow producer = new Slow(2);
    Transactions.commit(producer, Duration.ofMinutes(1));
    assertThat(producer.transactionCommitted()).isTrue();
    assertThat(producer.history()).hasSize(1);
  }

  @Test
  void a_commit_that_does_not_end_is_of_the_environment_and_nothing_is_aborted() {
    Slow producer = new Slow(Integer.MAX_VALUE);
    assertThatThrownBy(() -> Transactions.commit(producer, Duration.ofMillis(5)))
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("a commit did not end");
    assertThat(producer.transactionAborted()).isFalse();
  }
}
