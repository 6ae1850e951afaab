package dev.whence.runtime.worker;

import dev.whence.runtime.kafka.Clients;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ApplicationRecoverableException;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Writes results, dead letters and offsets in one transaction. Owned by the poll thread. */
final class TransactionWriter {
  private static final Logger LOG = LoggerFactory.getLogger(TransactionWriter.class);

  /** A commit that timed out is committed again for so long; then new clients find out. */
  private static final Duration COMMIT_AGAIN = Duration.ofSeconds(60);

  private final Producer<byte[], byte[]> producer;
  private final String deadLetterTopic;
  private final Supplier<ConsumerGroupMetadata> group;
  private final TransactionHook hook;
  private final LongSupplier now;

  /** When the transaction was begun. */
  private long began;

  /** How one try ended. */
  enum Try {
    COMMITTED,
    /** Aborted; the same results may be sent again. */
    ABORTED,
    /** The consumer is no member of its group just now; nothing was sent. */
    NO_MEMBER
  }

  TransactionWriter(
      Producer<byte[], byte[]> producer,
      String deadLetterTopic,
      Supplier<ConsumerGroupMetadata> group,
      TransactionHook hook) {
    this(producer, deadLetterTopic, group, hook, System::nanoTime);
  }

  /**
   * @param now in nanoseconds, for how long a transaction is open
   */
  TransactionWriter(
      Producer<byte[], byte[]> producer,
      String deadLetterTopic,
      Supplier<ConsumerGroupMetadata> group,
      TransactionHook hook,
      LongSupplier now) {
    this.producer = producer;
    this.deadLetterTopic = deadLetterTopic;
    this.group = group;
    this.hook = hook;
    this.now = now;
  }

  /**
   * One transaction.
   *
   * @throws FatalClientException if only new clients can go on
   */
  Try write(List<Finished> finished, Map<TopicPartition, OffsetAndMetadata> offsets) {
    began = now.getAsLong();
    try {
      producer.beginTransaction();
      List<Future<RecordMetadata>> sent = send(finished);
      hook.inside();
      // Right before it is used: a rebalance may have happened since the batch began.
      ConsumerGroupMetadata member = group.get();
      if (member.generationId() < 0) {
        producer.abortTransaction();
        return Try.NO_MEMBER;
      }
      producer.sendOffsetsToTransaction(offsets, member);
      hook.beforeCommit();
      // What can fail without doubt fails here, and leaves to the commit only what can be in doubt.
      producer.flush();
      check(sent);
    } catch (KafkaException e) {
      if (isFatal(e)) {
        throw fatal("the transaction can not go on", e, /* inDoubt= */ false);
      }
      LOG.warn("a transaction is aborted: {}", describe(e));
      abort(/* inDoubt= */ false);
      return Try.ABORTED;
    }
    return commit();
  }

  private List<Future<RecordMetadata>> send(List<Finished> finished) {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (Finished one : finished) {
      for (Result result : one.results()) {
        sent.add(
            producer.send(
                record(
                    result.topic(),
                    result.partition(),
                    result.key(),
                    result.value(),
                    result.headers())));
      }
      if (one.deadLetter().isPresent()) {
        Finished.DeadLetter dead = one.deadLetter().get();
        sent.add(
            producer.send(
                record(
                    deadLetterTopic,
                    OptionalInt.empty(),
                    dead.key(),
                    dead.value(),
                    dead.headers())));
      }
    }
    return sent;
  }

  /** After a flush, which does not say what has failed: the first send that has. */
  private static void check(List<Future<RecordMetadata>> sent) {
    for (Future<RecordMetadata> one : sent) {
      try {
        one.get();
      } catch (ExecutionException e) {
        throw e.getCause() instanceof KafkaException cause ? cause : new KafkaException(e);
      } catch (InterruptedException e) {
        throw new InterruptException(e);
      }
    }
  }

  private static ProducerRecord<byte[], byte[]> record(
      String topic,
      OptionalInt partition,
      byte @Nullable [] key,
      byte @Nullable [] value,
      List<EventHeader> headers) {
    ProducerRecord<byte[], byte[]> record =
        partition.isPresent()
            ? new ProducerRecord<>(topic, partition.getAsInt(), key, value)
            : new ProducerRecord<>(topic, key, value);
    for (EventHeader header : headers) {
      record.headers().add(new RecordHeader(header.name(), header.value()));
    }
    return record;
  }

  /** Once a commit was begun, it may only be committed again: nobody knows whether it happened. */
  private Try commit() {
    long giveUpAt = now.getAsLong() + COMMIT_AGAIN.toNanos();
    while (true) {
      try {
        producer.commitTransaction();
        hook.afterCommit();
        return Try.COMMITTED;
      } catch (TimeoutException | InterruptException e) {
        if (now.getAsLong() > giveUpAt) {
          throw fatal("a commit did not end", e, /* inDoubt= */ true);
        }
        LOG.warn("a commit timed out and is committed again");
      } catch (KafkaException e) {
        if (isFatal(e)) {
          throw fatal("the transaction can not be committed", e, /* inDoubt= */ true);
        }
        LOG.warn("a transaction is aborted at its commit: {}", describe(e));
        abort(/* inDoubt= */ true);
        return Try.ABORTED;
      }
    }
  }

  private void abort(boolean inDoubt) {
    try {
      producer.abortTransaction();
    } catch (KafkaException e) {
      throw fatal("the transaction can not be aborted", e, inDoubt);
    }
  }

  /**
   * The coordinator ends a transaction that is open for too long by a new epoch, as another
   * producer of this name would: only before that does a fence say that there is one.
   */
  private FatalClientException fatal(String what, KafkaException cause, boolean inDoubt) {
    boolean refused = Fences.isFence(cause);
    boolean timedOut = now.getAsLong() - began >= Clients.TRANSACTION_TIMEOUT.toNanos();
    return new FatalClientException(
        what
            + ": "
            + describe(cause)
            + (refused && timedOut
                ? " (it was open for more than " + Clients.TRANSACTION_TIMEOUT.toSeconds() + " s)"
                : ""),
        refused && !timedOut,
        inDoubt,
        cause);
  }

  private static boolean isFatal(KafkaException e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof ApplicationRecoverableException
          || cause instanceof AuthorizationException
          || cause instanceof AuthenticationException
          || cause instanceof UnsupportedVersionException
          || cause instanceof OutOfOrderSequenceException) {
        return true;
      }
    }
    return false;
  }

  /** Kafka's own messages name topics, partitions and sizes, never content. */
  static String describe(Throwable e) {
    return e.getClass().getSimpleName() + ": " + e.getMessage();
  }
}
