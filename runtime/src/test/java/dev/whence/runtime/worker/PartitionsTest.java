package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.config.Start;
import dev.whence.runtime.health.WorkerMetrics;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A log that was cut off by an election, and what is held of it. */
class PartitionsTest {
  private static final TopicPartition P0 = new TopicPartition("in", 0);
  private static final Map<TopicPartition, OffsetAndMetadata> AT_THREE =
      Map.of(P0, new OffsetAndMetadata(3, Optional.of(7), ""));

  private final MockConsumer<byte[], byte[]> consumer = new MockConsumer<>("none");
  private final Holding holding = new Holding();
  private final Set<TopicPartition> struck = new HashSet<>();
  private final Admin admin = Admin.create(Map.of("bootstrap.servers", "127.0.0.1:1"));
  private final CarefulReading careful =
      new CarefulReading(
          WorkerCluster.clients("127.0.0.1:1", GroupProtocol.CLASSIC).rawBatches(admin, "test"));
  private final Partitions partitions =
      new Partitions(
          consumer,
          holding,
          Start.EARLIEST,
          new WorkerMetrics(new SimpleMeterRegistry(), "test"),
          new OwnMarks(),
          careful,
          /* urgentFirst= */ false,
          struck::addAll,
          assigned -> {});

  @BeforeEach
  void assign() {
    consumer.updateBeginningOffsets(Map.of(P0, 0L));
    consumer.assign(Set.of(P0));
    partitions.onPartitionsAssigned(Set.of(P0));
  }

  @AfterEach
  void close() {
    careful.close();
    admin.close();
    consumer.close();
  }

  @Test
  void whatIsHeldFromThereOnIsDroppedAndReadAgain() {
    hold(4, 8);
    List<BatchRun.Candidate> running = holding.next(64, 1 << 20, /* alone= */ true);

    partitions.truncated(Map.of(P0, 8L), AT_THREE);

    assertThat(consumer.position(P0)).isEqualTo(3);
    assertThat(holding.size()).isZero();
    assertThat(holding.after(P0)).hasValue(3L);
    assertThat(struck).as("what runs is stopped").containsExactly(P0);
    assertThat(holding.stillOwned(running)).as("and not committed").isEmpty();
  }

  @Test
  void whatIsHeldBeforeThatIsReadAgainToo() {
    hold(1, 8);
    partitions.truncated(Map.of(P0, 8L), AT_THREE);
    assertThat(consumer.position(P0)).isEqualTo(1);
    assertThat(holding.size()).isZero();
    assertThat(holding.after(P0)).hasValue(1L);
  }

  /** A client that does not know of the election is only told that its offset is not there. */
  @Test
  void soItIsWhereALogOnlyEndsBeforeWhatWasReadOfIt() {
    consumer.updateEndOffsets(Map.of(P0, 5L));
    hold(6, 8);
    List<BatchRun.Candidate> running = holding.next(64, 1 << 20, /* alone= */ true);

    partitions.outOfRange(Map.of(P0, 8L));

    assertThat(consumer.position(P0)).isEqualTo(5);
    assertThat(holding.size()).isZero();
    assertThat(holding.after(P0)).hasValue(5L);
    assertThat(struck).as("what runs is stopped").containsExactly(P0);
    assertThat(holding.stillOwned(running)).as("and not committed").isEmpty();
  }

  /** What is held before its end is read again too; it may have grown again by the time of that. */
  @ParameterizedTest
  @CsvSource({"5, 1", "20, 4"})
  void soItIsWhateverIsHeldAndHoweverLongTheLogIsByThen(long end, int first) {
    consumer.updateEndOffsets(Map.of(P0, end));
    hold(first, 8);
    partitions.outOfRange(Map.of(P0, 8L));
    assertThat(consumer.position(P0)).isEqualTo(first);
    assertThat(holding.size()).isZero();
  }

  @Test
  void whatRetentionDeletedIsPassedOverAndWhatIsHeldStays() {
    consumer.updateBeginningOffsets(Map.of(P0, 12L));
    consumer.updateEndOffsets(Map.of(P0, 20L));
    hold(4, 8);
    partitions.outOfRange(Map.of(P0, 8L));
    assertThat(consumer.position(P0)).isEqualTo(12);
    assertThat(holding.size()).isEqualTo(4);
    assertThat(struck).isEmpty();
  }

  /** Else it would be said to stand still until something is written to it. */
  @Test
  void whatWaitedForARecordThatRetentionDeletedWaitsNoMore() {
    partitions.setAside(
        P0,
        new OffsetAndMetadata(8),
        new BatchRun.Wait("no schema", /* reading= */ true),
        Duration.ofMinutes(1));
    assertThat(partitions.asideForReading()).containsExactly(Map.entry(P0, "no schema"));
    assertThat(partitions.anyAsideForTheModel()).isFalse();
    assertThat(partitions.waiting()).containsExactly(P0);
    consumer.updateBeginningOffsets(Map.of(P0, 12L));
    consumer.updateEndOffsets(Map.of(P0, 12L));
    partitions.outOfRange(Map.of(P0, 8L));
    assertThat(partitions.asideForReading()).isEmpty();
    assertThat(partitions.waiting()).isEmpty();
  }

  @Test
  void aPartitionThatLackedMemoryIsReadWithCareFromThere() {
    holding.assign(P0, Attempt.NONE.outOfMemory(9));
    partitions.truncated(Map.of(P0, 8L), AT_THREE);
    assertThat(careful.partitions()).containsExactly(P0);
    assertThat(consumer.paused()).containsExactly(P0);
  }

  private void hold(long from, long to) {
    List<ConsumerRecord<byte[], byte[]>> records =
        LongStream.range(from, to)
            .mapToObj(
                offset ->
                    new ConsumerRecord<>(
                        P0.topic(), P0.partition(), offset, new byte[0], new byte[0]))
            .toList();
    holding.add(
        new ConsumerRecords<>(
            Map.of(P0, records), new HashMap<>(Map.of(P0, new OffsetAndMetadata(to)))));
  }
}
