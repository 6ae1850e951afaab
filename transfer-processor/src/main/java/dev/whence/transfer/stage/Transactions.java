package dev.whence.transfer.stage;

import dev.whence.runtime.worker.EnvironmentException;
import java.time.Duration;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** How a transaction ends. */
final class Transactions {
  private static final Logger LOG = LoggerFactory.getLogger(Transactions.class);
  private static final Duration COMMIT_AGAIN = Duration.ofSeconds(60);

  private Transactions() {}

  /** The same for as long as brokers may be away. */
  static void commit(Producer<byte[], byte[]> producer) {
    commit(producer, COMMIT_AGAIN);
  }

  /**
   * Commits. Once that was begun it may only be done again: nobody knows whether it happened.
   *
   * @throws EnvironmentException if it does not end; only a new producer can go on then
   */
  static void commit(Producer<byte[], byte[]> producer, Duration longest) {
    long giveUpAt = System.nanoTime() + longest.toNanos();
    while (true) {
      try {
        producer.commitTransaction();
        return;
      } catch (TimeoutException e) {
        if (System.nanoTime() > giveUpAt) {
          throw new EnvironmentException("a commit did not end", e);
        }
        LOG.warn("a commit timed out and is committed again");
      } catch (InterruptException e) {
        throw e;
      } catch (KafkaException e) {
        var unused = abort(producer);
        throw e;
      }
    }
  }

  /**
   * Ends a transaction without it.
   *
   * @return whether it has ended; if not, it ends with its producer, which can begin no other one
   */
  static boolean abort(Producer<byte[], byte[]> producer) {
    try {
      producer.abortTransaction();
      return true;
    } catch (KafkaException e) {
      LOG.debug("the transaction ends with its producer", e);
      return false;
    }
  }
}
