package dev.whence.runtime.worker;

import dev.whence.runtime.health.WorkerMetrics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a session says to its group: which records it begins, and, in one transaction with their
 * offsets, what became of them. Everything here runs on the poll thread.
 */
final class Commits {
  private static final Logger LOG = LoggerFactory.getLogger(Commits.class);
  private static final int TRIES = 5;
  private static final Duration COMMIT_OFFSETS = Duration.ofSeconds(10);

  private final WorkerOptions options;
  private final Consumer<byte[], byte[]> consumer;
  private final TransactionWriter writer;
  private final Holding holding;
  private final Partitions partitions;
  private final WorkerMetrics metrics;

  /** Polls between two tries, so that a rebalance can take what is no longer ours. */
  private final java.util.function.Consumer<Duration> poll;

  Commits(
      WorkerOptions options,
      Consumer<byte[], byte[]> consumer,
      TransactionWriter writer,
      Holding holding,
      Partitions partitions,
      WorkerMetrics metrics,
      java.util.function.Consumer<Duration> poll) {
    this.options = options;
    this.consumer = consumer;
    this.writer = writer;
    this.holding = holding;
    this.partitions = partitions;
    this.metrics = metrics;
    this.poll = poll;
  }

  /**
   * Says, before the model sees the records, that they are begun once more.
   *
   * @return false if none of them may: they are another member's by now, or the group could not
   *     agree
   * @throws EnvironmentException if the brokers do not take it for now
   * @throws FatalClientException if only new clients can go on
   */
  boolean begun(List<BatchRun.Candidate> candidates) {
    for (int tried = 0; tried < TRIES; tried++) {
      Map<TopicPartition, OffsetAndMetadata> begun = holding.begun(candidates);
      if (begun.isEmpty()) {
        return candidates.stream().anyMatch(candidate -> candidate.finished().isPresent());
      }
      Map<TopicPartition, OffsetAndMetadata> marked = partitions.marked(begun);
      try {
        Partitions.awake(
            () -> {
              consumer.commitSync(marked, COMMIT_OFFSETS);
              return true;
            });
        return true;
      } catch (CommitFailedException | RebalanceInProgressException e) {
        poll.accept(Duration.ofMillis(tried * 100L));
      } catch (RetriableException e) {
        throw new EnvironmentException(
            "offsets could not be committed: " + TransactionWriter.describe(e), e);
      } catch (KafkaException e) {
        throw new FatalClientException(
            "offsets could not be committed: " + TransactionWriter.describe(e),
            /* fenced= */ false,
            /* inDoubt= */ false,
            e);
      }
    }
    return false;
  }

  /**
   * Commits what is still owned of what is decided, in one transaction with its offsets.
   *
   * @throws FatalClientException if it can not be committed
   */
  void results(List<Finished> decided) {
    Map<TopicPartition, List<Finished>> byPartition = new LinkedHashMap<>();
    for (Finished finished : decided) {
      byPartition
          .computeIfAbsent(Holding.partition(finished.record()), unused -> new ArrayList<>())
          .add(finished);
    }
    for (int tried = 0; tried < TRIES; tried++) {
      Map<TopicPartition, List<Finished>> owned = holding.stillOwned(byPartition);
      if (owned.isEmpty()) {
        return;
      }
      Map<TopicPartition, OffsetAndMetadata> offsets = new LinkedHashMap<>();
      List<Finished> all = new ArrayList<>();
      owned.forEach(
          (partition, finished) -> {
            offsets.put(partition, holding.offsetAfter(partition, finished));
            all.addAll(finished);
          });
      long began = System.nanoTime();
      switch (write(all, offsets)) {
        case COMMITTED -> {
          owned.forEach(holding::committed);
          partitions.ended(owned.keySet());
          report(all, Duration.ofNanos(System.nanoTime() - began));
          return;
        }
        case ABORTED -> {
          metrics.aborted();
          // Gives a rebalance the chance to take what is no longer ours.
          poll.accept(Duration.ofMillis(tried * 100L));
        }
        case NO_MEMBER -> poll.accept(Duration.ofMillis(100 + tried * 100L));
      }
    }
    metrics.givenUp();
    partitions.handBack();
    // New clients read again what a topic takes, too: it may have been changed.
    throw new FatalClientException("results could not be committed in " + TRIES + " tries");
  }

  /** One transaction. Where it ended in doubt, nothing is said any more about its offsets. */
  private TransactionWriter.Try write(
      List<Finished> all, Map<TopicPartition, OffsetAndMetadata> offsets) {
    try {
      return writer.write(all, partitions.signed(offsets));
    } catch (FatalClientException e) {
      if (e.inDoubt()) {
        partitions.leaveBegun();
      } else {
        partitions.handBack();
      }
      throw e;
    } catch (RuntimeException e) {
      partitions.leaveBegun();
      throw e;
    }
  }

  private void report(List<Finished> all, Duration commit) {
    long now = System.currentTimeMillis();
    metrics.batch(all.size(), commit);
    for (Finished finished : all) {
      metrics.finished(finished.record().timestamp(), now, finished.modelNanos());
      try {
        finished.whenCommitted().run();
      } catch (RuntimeException e) {
        // The results are committed: nothing may be undone because they could not be counted.
        LOG.warn("{} could not be counted: {}", finished.record(), Failure.describe(e));
      }
      finished
          .deadLetter()
          .ifPresent(
              dead -> {
                metrics.deadLetter(dead.code());
                LOG.warn(
                    "{} went to {}: {}", finished.record(), options.deadLetterTopic(), dead.code());
              });
    }
  }
}
