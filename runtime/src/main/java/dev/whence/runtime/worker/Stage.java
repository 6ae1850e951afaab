package dev.whence.runtime.worker;

import java.util.List;
import java.util.Set;

/**
 * Events in, events out: what a processor does with one record. Every method is called on the model
 * thread and on no other, never inside a poll and never inside a transaction, so a stage may take
 * its time. A stage knows no Kafka client.
 *
 * <p>An {@link EnvironmentException} from any method pauses the worker. Any other exception of
 * {@link #prepare} is the record's fault, of {@link Work#run} the model's.
 */
public interface Stage extends AutoCloseable {
  /** Short name for metrics and headers, for example {@code attribution}. */
  String name();

  /**
   * Whether records of the {@link dev.whence.runtime.kafka.UrgentPartitions} of its topic come
   * before all others.
   */
  default boolean urgentFirst() {
    return false;
  }

  /** Called once before the first record, for example to load a model. */
  void open();

  /**
   * Says which partitions of the source this worker has from now on: after {@link #open}, before a
   * record of a partition that it was given comes, and whenever one came or went. For stages that
   * hold something for each partition. Bounded by {@code models.load-timeout}. What it throws is
   * only logged: the records come all the same.
   *
   * @param partitions numbers from 0
   */
  default void assigned(Set<Integer> partitions) {}

  /**
   * Says which records come next, before the first of them is prepared; they may be fewer in the
   * end. For stages that do some of the work for all of them at once, or load what they need.
   * Bounded by {@code models.load-timeout}. What it throws, an {@link EnvironmentException} aside,
   * is only logged: each record is prepared all the same.
   */
  default void coming(List<SourceRecord> records) {}

  /** Reads a record and predicts its cost; does no model work. */
  Work prepare(SourceRecord record);

  /**
   * What is written for a record that goes to the dead letter queue, in the same transaction. It
   * must not read the record's value, which may be what kills the process. May be called again,
   * where that could not be committed: what is counted belongs into {@link
   * Outcome.Written#whenCommitted}.
   */
  Outcome.Written failed(SourceRecord record, Failure failure);

  /**
   * The same for a record on which so many processes died, one after the other, that it is given
   * up. Unlike {@link #failed} it may read the value, but must do no model work: should that kill
   * the process or throw, {@link #failed} is called instead.
   */
  default Outcome.Written exhausted(SourceRecord record, Failure failure) {
    return failed(record, failure);
  }

  @Override
  void close();
}
