package dev.whence.attribution.stage;

import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.PartitionFollower;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.avro.Agreement;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows {@code whence.attributions.agreements}: every instance of the FAST role learns from all
 * responses that were scored both ways, whoever scored them.
 */
final class AgreementLog implements AutoCloseable, PartitionFollower.Reader {
  private static final Logger LOG = LoggerFactory.getLogger(AgreementLog.class);

  private final Calibrator calibrator;
  private final AvroValues values;
  private final PartitionFollower follower;

  /** Offset of the next record that is not known yet. */
  private long next;

  private AgreementLog(Clients clients, String topic, Calibrator calibrator) {
    this.calibrator = calibrator;
    this.values = new AvroValues(clients.connection());
    this.follower = new PartitionFollower(clients, topic, "agreements", this);
  }

  static AgreementLog follow(Clients clients, String topic, Calibrator calibrator) {
    AgreementLog log = new AgreementLog(clients, topic, calibrator);
    log.follower.start();
    return log;
  }

  @Override
  public void begin() {
    // what comes again is known by its offset
  }

  @Override
  public void take(ConsumerRecord<byte[], byte[]> record) {
    if (record.offset() < next) {
      return;
    }
    next = record.offset() + 1;
    try {
      Agreement agreement =
          values.read(record.value(), Agreement.class, Agreement.getClassSchema());
      calibrator.add(
          new Calibrator.Scorer(agreement.getFastScorer(), agreement.getFastMethod()),
          new Calibrator.Scorer(agreement.getTargetScorer(), agreement.getTargetMethod()),
          Pair.of(agreement.getFeatures(), agreement.getAgreed()));
    } catch (UnreadableException e) {
      LOG.warn("{} at offset {} is left out: {}", record.topic(), record.offset(), e.sentence());
    } catch (IllegalArgumentException e) {
      LOG.warn("{} at offset {} is left out: {}", record.topic(), record.offset(), e.getMessage());
    }
  }

  @Override
  public void reached() {
    // what is known is known at once
  }

  @Override
  public void failed() {
    // what was learnt so far stays in use
  }

  @Override
  public void close() {
    follower.close();
    values.close();
  }
}
