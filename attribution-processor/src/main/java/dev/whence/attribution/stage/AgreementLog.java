package dev.whence.attribution.stage;

import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.PartitionFollower;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.avro.Agreement;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows {@code whence.attributions.agreements}: every instance of the FAST role learns from all
 * responses that were scored both ways, whoever scored them.
 */
final class AgreementLog implements AutoCloseable, PartitionFollower.Reader {
  private static final Logger LOG = LoggerFactory.getLogger(AgreementLog.class);

  private static final int LONGEST_NAME = 256;
  private static final Duration MOST_WAIT = Duration.ofSeconds(15);

  private final CountDownLatch caughtUp = new CountDownLatch(1);
  private final Calibrator calibrator;
  private final AvroValues values;
  private final PartitionFollower follower;

  /** Offset of the next record that is not known yet. */
  private long next;

  /** Records left out since the log said so. */
  private long leftOut;

  AgreementLog(Clients clients, String topic, Calibrator calibrator, Halt halt) {
    this.calibrator = calibrator;
    this.values = new AvroValues(clients.connection());
    this.follower = new PartitionFollower(clients, topic, "agreements", this, halt);
  }

  void start() {
    follower.start();
  }

  @Override
  public void begin(long end) {
    next = Math.min(next, end); // a topic that was created anew counts from 0 again
    calibrator.replay();
  }

  @Override
  public void take(ConsumerRecord<byte[], byte[]> record) {
    if (record.offset() < next) {
      return;
    }
    try {
      Agreement agreement =
          values.read(record.value(), Agreement.class, Agreement.getClassSchema());
      calibrator.add(
          name(agreement.getFastScorer()),
          name(agreement.getTargetScorer()),
          Pair.of(agreement.getFeatures(), agreement.getAgreed(), agreement.getWouldStand()));
    } catch (UnreadableException e) {
      leftOut(record, e.sentence());
    } catch (IllegalArgumentException e) {
      leftOut(record, String.valueOf(e.getMessage()));
    }
    next = record.offset() + 1;
  }

  private static String name(String scorer) {
    if (scorer.length() > LONGEST_NAME) {
      throw new IllegalArgumentException(
          "the scorer's name has " + scorer.length() + " characters, more than " + LONGEST_NAME);
    }
    return scorer;
  }

  /** The first says why; a million of them (of an earlier version, say) would fill the log. */
  private void leftOut(ConsumerRecord<byte[], byte[]> record, String why) {
    if (leftOut++ == 0) {
      LOG.warn("{} at offset {} is left out: {}", record.topic(), record.offset(), why);
    }
  }

  /** Waits until what was there at the start is read, but not for ever: without it all is new. */
  void await() {
    try {
      if (!caughtUp.await(MOST_WAIT.toMillis(), TimeUnit.MILLISECONDS)) {
        LOG.warn("the agreements are not read yet: until then everything is escalated");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void reached() {
    calibrator.caughtUp();
    if (leftOut > 1) {
      LOG.warn("{} more agreements are left out", leftOut - 1);
    }
    leftOut = 0;
    caughtUp.countDown();
  }

  @Override
  public void failed(String why) {
    // what was learnt so far stays in use
  }

  @Override
  public void close() {
    follower.close();
    values.close();
  }
}
