package dev.whence.attribution.stage;

import dev.whence.attribution.confidence.Calibration.Pair;
import dev.whence.attribution.confidence.Calibrator;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.PartitionFollower;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Halt;
import dev.whence.schemas.avro.Agreement;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows {@code whence.attributions.agreements}: every instance of the FAST role learns from all
 * responses that were scored both ways, whoever scored them.
 *
 * <p>A pair whose schema the registry does not give, as for want of a right to it, is left out once
 * the registry gives that of another pair meanwhile, and, asked once more after that, still not
 * this one: a pair that is lost costs little, and else those behind it would never be read. As long
 * as it gives none, or no pair was read, nothing is left out; nor is it where the registry was only
 * away for a while.
 */
final class AgreementLog implements AutoCloseable, PartitionFollower.Reader {
  private static final Logger LOG = LoggerFactory.getLogger(AgreementLog.class);

  private static final int LONGEST_NAME = 256;

  /** So often a schema is asked for before it is said to be refused. */
  static final int TRIES = 3;

  /** For so long one that is refused is not asked for again. */
  private static final Duration REFUSED_FOR = Duration.ofMinutes(1);

  private static final int MOST_PASSED_OVER = 8;

  private static final Duration MOST_WAIT = Duration.ofSeconds(15);

  private final CountDownLatch caughtUp = new CountDownLatch(1);
  private final Calibrator calibrator;
  private final AvroValues values;
  private final PartitionFollower follower;

  /** Offset of the next record that is not known yet. */
  private long next;

  /** Records left out since the log said so. */
  private long leftOut;

  /** The schema of the last pair that was read. */
  private OptionalInt given = OptionalInt.empty();

  /** Schemas that the registry did not give though it gave others, and when it was asked last. */
  private final Map<Integer, Long> refused = new HashMap<>();

  /** How often the registry failed since it gave a schema, or one was said to be refused. */
  private int failures;

  /** Schemas without which pairs were passed over, until one behind them is read. */
  private final Set<Integer> passedOver = new HashSet<>();

  private String whyPassedOver = "";

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
    passedOver.clear();
    calibrator.replay();
  }

  @Override
  public void take(ConsumerRecord<byte[], byte[]> record) {
    if (record.offset() < next) {
      return;
    }
    OptionalInt schema = AvroValues.schemaId(record.value());
    if (schema.isPresent() && isRefused(schema.getAsInt())) {
      leftOut(record, "the registry does not give its schema " + schema.getAsInt());
    } else {
      try {
        Optional<Agreement> read = read(record, schema);
        if (read.isPresent()) {
          wasRead(schema);
          learn(read.get());
        }
      } catch (UnreadableException e) {
        leftOut(record, e.sentence());
      } catch (IllegalArgumentException e) {
        leftOut(record, String.valueOf(e.getMessage()));
      }
    }
    if (passedOver.isEmpty()) {
      next = record.offset() + 1;
    }
  }

  /** Empty where it is left out, or passed over, for its schema. */
  private Optional<Agreement> read(ConsumerRecord<byte[], byte[]> record, OptionalInt schema)
      throws UnreadableException {
    try {
      return Optional.of(values.read(record.value(), Agreement.class, Agreement.getClassSchema()));
    } catch (EnvironmentException e) {
      notGiven(schema.orElseThrow(), e);
      leftOut(record, String.valueOf(e.getMessage()));
      return Optional.empty();
    }
  }

  private void learn(Agreement agreement) {
    calibrator.add(
        name(agreement.getFastScorer()),
        name(agreement.getTargetScorer()),
        Pair.of(agreement.getFeatures(), agreement.getAgreed(), agreement.getWouldStand()));
  }

  private boolean isRefused(int schema) {
    Long asked = refused.get(schema);
    return passedOver.contains(schema)
        || (asked != null && System.nanoTime() - asked < REFUSED_FOR.toNanos());
  }

  /**
   * The registry gives this schema. One that it gives now, too, was passed over only because the
   * registry was away.
   *
   * @throws EnvironmentException for what was passed over to be read
   */
  private void wasRead(OptionalInt schema) {
    failures = 0;
    given = schema;
    schema.ifPresent(refused::remove);
    if (passedOver.stream().anyMatch(values::gives)) {
      passedOver.clear();
      throw new EnvironmentException(whyPassedOver);
    }
    passedOver.forEach(this::isRefusedNow);
    passedOver.clear();
  }

  private void isRefusedNow(int schema) {
    failures = 0;
    refused.put(schema, System.nanoTime());
  }

  /**
   * The registry did not give a schema. Where it gives another one, and after that not this one, it
   * is this one that it refuses; where none was given before, the pairs behind are to show that.
   *
   * @throws EnvironmentException to be tried again
   */
  private void notGiven(int schema, EnvironmentException e) {
    if (!refused.containsKey(schema) && ++failures < TRIES) {
      throw e;
    }
    if (given.isPresent()) {
      if (!values.gives(given.getAsInt()) || values.gives(schema)) {
        throw e;
      }
      isRefusedNow(schema);
    } else if (passedOver.size() < MOST_PASSED_OVER) {
      passedOver.add(schema);
      whyPassedOver = String.valueOf(e.getMessage());
    } else {
      throw e;
    }
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
    if (!passedOver.isEmpty()) {
      throw new EnvironmentException(whyPassedOver); // nothing behind it has shown anything
    }
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
