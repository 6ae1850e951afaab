package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.config.GroupProtocol;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class HoldingTest {
  private static final TopicPartition P0 = new TopicPartition("in", 0);
  private static final TopicPartition P1 = new TopicPartition("in", 1);

  private static final Map<String, Object> NOBODY = Map.of("bootstrap.servers", "127.0.0.1:1");

  private final Holding holding = new Holding();

  @Test
  void aBatchClosesAtItsRecordsOrItsBytes() {
    holding.assign(P0, Attempt.NONE);
    poll(P0, 0, 10);
    assertThat(offsets(holding.next(4, 1 << 20, /* alone= */ true)))
        .containsExactly(0L, 1L, 2L, 3L);
    // A record here has 100 bytes: the batch closes with the one that reaches 250.
    assertThat(offsets(holding.next(64, 250, /* alone= */ true))).containsExactly(0L, 1L, 2L);
  }

  /** A header without a byte takes memory, too, and a record may have as many as it likes. */
  @Test
  void headersCountAsMuchAsValues() {
    holding.assign(P0, Attempt.NONE);
    List<EventHeader> headers = Collections.nCopies(10, EventHeader.of("name", "value"));
    List<UnpackedBatch.Unpacked> read = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      read.add(
          new UnpackedBatch.Unpacked(
              new SourceRecord("in", 0, i, 0, new byte[1], new byte[100], headers),
              100,
              OptionalLong.empty()));
    }
    try (Admin admin = Admin.create(NOBODY);
        CarefulReading careful = careful(admin)) {
      holding.add(
          P0, new CarefulReading.Read(read, new OffsetAndMetadata(3), /* ended= */ false), careful);
    }
    long each = 1 + 100 + 10L * ("name".length() + "value".length() + EventHeader.BYTES_BESIDE);
    assertThat(holding.bytes()).isEqualTo(3 * each);
    assertThat(offsets(holding.next(64, each + 1, /* alone= */ true))).containsExactly(0L, 1L);
  }

  @Test
  void whatComesFirstIsNextBeforeWhatWasPolledEarlier() {
    holding.assign(P0, Attempt.NONE);
    holding.assign(P1, Attempt.NONE);
    holding.comesFirst(P1);
    poll(P0, 0, 3);
    assertThat(holding.urgentFresh()).isZero();
    poll(P1, 0, 2);
    assertThat(holding.urgentFresh()).isEqualTo(2);
    assertThat(holding.next(3, 1 << 20, /* alone= */ true))
        .extracting(BatchRun.Candidate::partition)
        .as("only those, though there is room")
        .containsExactly(P1, P1);
    assertThat(holding.next(3, 1 << 20, /* alone= */ false))
        .extracting(BatchRun.Candidate::partition)
        .as("others would tell whether the model works")
        .containsExactly(P1, P0, P0);
    assertThat(holding.onlyUrgent()).isFalse();
    holding.strike(Set.of(P1));
    assertThat(holding.urgentFresh()).isZero();
    assertThat(holding.next(3, 1 << 20, /* alone= */ true))
        .allMatch(one -> one.partition().equals(P0));
  }

  @Test
  void recordsOnWhichAProcessDiedRunOneByOneAndLast() {
    holding.assign(P0, Attempt.of(1, 12));
    holding.assign(P1, Attempt.NONE);
    poll(P0, 10, 4);
    poll(P1, 0, 2);
    assertThat(holding.next(64, 1 << 20, /* alone= */ true))
        .allMatch(one -> one.partition().equals(P1));
    commit(P1, holding.next(64, 1 << 20, /* alone= */ true));
    List<BatchRun.Candidate> alone = holding.next(64, 1 << 20, /* alone= */ true);
    assertThat(offsets(alone)).containsExactly(10L);
    assertThat(holding.begun(alone).get(P0))
        .isEqualTo(new OffsetAndMetadata(10, Optional.empty(), "attempt=2;to=11;rest=1;restTo=12"));
    commit(P0, alone);
    assertThat(offsets(holding.next(64, 1 << 20, /* alone= */ true))).containsExactly(11L);
    commit(P0, holding.next(64, 1 << 20, /* alone= */ true));
    assertThat(offsets(holding.next(64, 1 << 20, /* alone= */ true))).containsExactly(12L, 13L);
  }

  @Test
  void aPartitionThatWentAndCameBackOwnsNothingOfItsOldBatch() {
    holding.assign(P0, Attempt.NONE);
    poll(P0, 0, 3);
    List<Finished> done = finished(holding.next(64, 1 << 20, /* alone= */ true));
    holding.strike(Set.of(P0));
    holding.assign(P0, Attempt.NONE);
    assertThat(holding.stillOwned(Map.of(P0, done))).isEmpty();
    assertThat(holding.keepWaiting(done)).isFalse();
    assertThat(holding.hasWaiting()).isFalse();
  }

  /** How long records wait is counted from there. */
  @Test
  void aFailureIsNewOnceAndWhatIsKeptBehindItIsNone() {
    holding.assign(P0, Attempt.NONE);
    poll(P0, 0, 2);
    List<Finished> done = finished(holding.next(64, 1 << 20, /* alone= */ true));
    Finished failed =
        new Finished(done.get(0).record(), List.of(), Optional.empty(), true, 1, () -> {});
    assertThat(holding.keepWaiting(List.of(failed))).isTrue();
    assertThat(holding.keepWaiting(List.of(failed, done.get(1)))).isFalse();
    assertThat(holding.held()).containsExactly(P0);
    holding.forgetWaiting();
    assertThat(holding.keepWaiting(List.of(failed))).as("it was run again").isTrue();
  }

  @Test
  void theCommittedOffsetIsThePositionAfterTheLastRecordHeld() {
    holding.assign(P0, Attempt.NONE);
    ConsumerRecords<byte[], byte[]> polled = records(P0, 0, 3, 7);
    holding.add(polled);
    List<Finished> done = finished(holding.next(64, 1 << 20, /* alone= */ true));
    assertThat(holding.offsetAfter(P0, done).offset())
        .as("control records after the last one are passed, too")
        .isEqualTo(7);
    assertThat(holding.offsetAfter(P0, done.subList(0, 2)).offset()).isEqualTo(2);
  }

  /** Else a record before the one that is too large is read by the consumer after a failure. */
  @Test
  void careEndsWithTheCommitOfWhatWasReadWithCareAndNotWithItsReading() {
    holding.assign(P0, Attempt.NONE.outOfMemory(3));
    try (Admin admin = Admin.create(NOBODY);
        CarefulReading careful = careful(admin)) {
      holding.add(P0, carefully(0, 5, /* ended= */ true), careful);
    }
    assertThat(holding.attempt(P0).lackedMemory()).isTrue();
    List<Finished> all = finished(holding.next(64, 1 << 20, /* alone= */ true));
    List<Finished> first = all.subList(0, 2);
    assertThat(holding.offsetAfter(P0, first).metadata()).isEqualTo("memory=3");
    holding.committed(P0, first);
    assertThat(holding.attempt(P0).lackedMemory()).isTrue();
    List<Finished> rest = all.subList(2, 5);
    assertThat(holding.offsetAfter(P0, rest).metadata()).isEmpty();
    holding.committed(P0, rest);
    assertThat(holding.attempt(P0).lackedMemory()).isFalse();
  }

  @Test
  void whatIsLetGoOfIsReadWithCareAgain() {
    holding.assign(P0, Attempt.NONE.outOfMemory(3));
    try (Admin admin = Admin.create(NOBODY);
        CarefulReading careful = careful(admin)) {
      holding.add(P0, carefully(0, 5, /* ended= */ true), careful);
    }
    assertThat(holding.letGo(P0)).map(OffsetAndMetadata::offset).hasValue(0L);
    poll(P0, 0, 5);
    commit(P0, holding.next(64, 1 << 20, /* alone= */ true));
    assertThat(holding.attempt(P0).lackedMemory()).isTrue();
  }

  /** Nothing is fetched with it here. */
  private static CarefulReading careful(Admin admin) {
    return new CarefulReading(
        WorkerCluster.clients("127.0.0.1:1", GroupProtocol.CONSUMER).rawBatches(admin, "test"),
        1 << 20);
  }

  private static CarefulReading.Read carefully(long from, int count, boolean ended) {
    List<UnpackedBatch.Unpacked> records = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      records.add(
          new UnpackedBatch.Unpacked(
              new SourceRecord("in", 0, from + i, 0, new byte[0], new byte[100], List.of()),
              100,
              OptionalLong.empty()));
    }
    return new CarefulReading.Read(records, new OffsetAndMetadata(from + count), ended);
  }

  private void poll(TopicPartition partition, long from, int count) {
    holding.add(records(partition, from, count, from + count));
  }

  private static ConsumerRecords<byte[], byte[]> records(
      TopicPartition partition, long from, int count, long next) {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      records.add(
          new ConsumerRecord<>(
              partition.topic(), partition.partition(), from + i, new byte[0], new byte[100]));
    }
    return new ConsumerRecords<>(
        Map.of(partition, records),
        new HashMap<>(Map.of(partition, new OffsetAndMetadata(next, Optional.empty(), ""))));
  }

  private static List<Long> offsets(List<BatchRun.Candidate> candidates) {
    return candidates.stream().map(one -> one.record().offset()).toList();
  }

  private static List<Finished> finished(List<BatchRun.Candidate> candidates) {
    return candidates.stream()
        .map(one -> new Finished(one.record(), List.of(), Optional.empty(), false, 0, () -> {}))
        .toList();
  }

  private void commit(TopicPartition partition, List<BatchRun.Candidate> candidates) {
    holding.committed(partition, finished(candidates));
  }
}
