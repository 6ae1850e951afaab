package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.runtime.kafka.Clients;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;

class TransactionWriterTest {
  private static final Map<TopicPartition, OffsetAndMetadata> OFFSETS =
      Map.of(new TopicPartition("in", 0), new OffsetAndMetadata(1));

  private final MockProducer<byte[], byte[]> producer = producer();

  @Test
  void aSendThatIsNotAllowedEndsTheTransactionBeforeItsCommitAndLeavesNoDoubt() {
    TransactionWriter writer =
        writer(() -> producer.errorNext(new TopicAuthorizationException(Set.of("out"))));
    FatalClientException e =
        catchThrowableOfType(
            FatalClientException.class, () -> writer.write(List.of(finished()), OFFSETS));
    assertThat(e.inDoubt()).isFalse();
    assertThat(e.fenced()).isFalse();
    assertThat(producer.transactionCommitted()).isFalse();
  }

  @Test
  void aSendThatFailsOtherwiseAbortsTheTransactionBeforeItsCommit() {
    TransactionWriter writer =
        writer(() -> producer.errorNext(new RecordTooLargeException("too large")));
    assertThat(writer.write(List.of(finished()), OFFSETS)).isEqualTo(TransactionWriter.Try.ABORTED);
    assertThat(producer.transactionCommitted()).isFalse();
    assertThat(producer.transactionAborted()).isTrue();
  }

  @Test
  void aProducerThatIsFencedBeforeTheCommitLeavesNoDoubt() {
    TransactionWriter writer =
        writer(
            () -> {
              throw new ProducerFencedException("another one");
            });
    FatalClientException e =
        catchThrowableOfType(
            FatalClientException.class, () -> writer.write(List.of(finished()), OFFSETS));
    assertThat(e.inDoubt()).isFalse();
    assertThat(e.fenced()).isTrue();
  }

  /** A coordinator that was away ends what was open too long by a new epoch: nobody else did. */
  @Test
  void aCommitThatIsFencedAfterTheTransactionTimedOutTellsOfNoOtherProcess() {
    assertThat(fencedAtCommit(Clients.TRANSACTION_TIMEOUT.minusMillis(1)).fenced()).isTrue();
    FatalClientException late = fencedAtCommit(Clients.TRANSACTION_TIMEOUT);
    assertThat(late.fenced()).isFalse();
    assertThat(late.inDoubt()).isTrue();
    assertThat(late).hasMessageEndingWith("(it was open for more than 15 s)");
  }

  private static FatalClientException fencedAtCommit(Duration after) {
    AtomicLong now = new AtomicLong();
    MockProducer<byte[], byte[]> fenced =
        new MockProducer<>(false, null, new ByteArraySerializer(), new ByteArraySerializer()) {
          private boolean first = true;

          @Override
          public void commitTransaction() {
            if (first) {
              first = false;
              throw new TimeoutException("no answer");
            }
            now.addAndGet(after.toNanos());
            throw new ProducerFencedException("an older epoch");
          }
        };
    fenced.initTransactions();
    TransactionWriter writer =
        new TransactionWriter(fenced, "dlq", () -> member(1), TransactionHook.NONE, now::get);
    return catchThrowableOfType(
        FatalClientException.class, () -> writer.write(List.of(finished()), OFFSETS));
  }

  @Test
  void aCommitThatTimedOutIsCommittedAgainAndNeverAborted() {
    AtomicInteger commits = new AtomicInteger();
    MockProducer<byte[], byte[]> slow =
        new MockProducer<>(false, null, new ByteArraySerializer(), new ByteArraySerializer()) {
          @Override
          public void commitTransaction() {
            if (commits.incrementAndGet() < 3) {
              throw new TimeoutException("no answer");
            }
            super.commitTransaction();
          }
        };
    slow.initTransactions();
    TransactionWriter writer =
        new TransactionWriter(slow, "dlq", () -> member(1), TransactionHook.NONE);
    assertThat(writer.write(List.of(finished()), OFFSETS))
        .isEqualTo(TransactionWriter.Try.COMMITTED);
    assertThat(commits).hasValue(3);
    assertThat(slow.transactionAborted()).isFalse();
    assertThat(slow.history()).hasSize(1);
  }

  @Test
  void aCommitThatFailsForGoodIsInDoubt() {
    producer.commitTransactionException = new TopicAuthorizationException("no longer");
    FatalClientException e =
        catchThrowableOfType(
            FatalClientException.class, () -> writer(() -> {}).write(List.of(finished()), OFFSETS));
    assertThat(e.inDoubt()).isTrue();
  }

  @Test
  void whoIsNoMemberOfTheGroupCommitsNothing() {
    TransactionWriter writer =
        new TransactionWriter(producer, "dlq", () -> member(-1), TransactionHook.NONE);
    assertThat(writer.write(List.of(finished()), OFFSETS))
        .isEqualTo(TransactionWriter.Try.NO_MEMBER);
    assertThat(producer.transactionAborted()).isTrue();
    assertThat(producer.sentOffsets()).isFalse();
  }

  private TransactionWriter writer(Runnable beforeCommit) {
    return new TransactionWriter(
        producer,
        "dlq",
        () -> member(1),
        new TransactionHook() {
          @Override
          public void beforeCommit() {
            beforeCommit.run();
          }
        });
  }

  private static MockProducer<byte[], byte[]> producer() {
    MockProducer<byte[], byte[]> producer =
        new MockProducer<>(false, null, new ByteArraySerializer(), new ByteArraySerializer());
    producer.initTransactions();
    return producer;
  }

  @SuppressWarnings("removal") // nothing else public makes one
  private static ConsumerGroupMetadata member(int generation) {
    return new ConsumerGroupMetadata("group", generation, "member", Optional.empty());
  }

  private static Finished finished() {
    byte[] bytes = WorkerCluster.bytes("k");
    SourceRecord record = new SourceRecord("in", 0, 0, 0, bytes, bytes, List.of());
    return new Finished(
        record,
        List.of(new Result("out", bytes, bytes, List.of())),
        Optional.empty(),
        false,
        1,
        () -> {});
  }
}
