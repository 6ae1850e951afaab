package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.worker.WorkerBench.Topics;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A group that starts at the latest offsets: what is old to it, and what is not. */
class WorkerLatestIT {
  private WorkerBench bench;

  @BeforeEach
  void open() throws Exception {
    bench = WorkerBench.shared();
  }

  private void passOverTheTenOldOnes(Topics topics) {
    runUntil(topics, () -> bench.committedAll(topics) == 10);
  }

  private void readTheFiveNewOnes(Topics topics) {
    runUntil(topics, () -> bench.read(topics.out()).size() == 5);
    assertThat(bench.read(topics.out()))
        .allSatisfy(r -> assertThat(WorkerBench.text(r.value())).isEqualTo("new"));
  }

  private void runUntil(Topics topics, Callable<Boolean> done) {
    EchoStage stage = EchoStage.echo(topics.out());
    try (RunningWorker worker = RunningWorker.start(bench, topics, stage, WorkerBench::latest)) {
      await().atMost(Duration.ofSeconds(20)).until(done);
      assertThat(worker.health.isAlive()).isTrue();
    }
  }

  @Test
  void aGroupThatStartsAtTheLatestOffsetStaysThereOverARestart() throws Exception {
    Topics topics = bench.topics(1);
    bench.produce(topics, 10, i -> WorkerBench.bytes("old"));
    passOverTheTenOldOnes(topics);
    bench.produce(topics, 5, i -> WorkerBench.bytes("new"));
    readTheFiveNewOnes(topics);
  }

  /** What was written before somebody was given the new partition is not old. */
  @Test
  void aPartitionThatIsAddedToATopicIsReadFromItsBeginningByAGroupThatStartedAtTheLatestOffset()
      throws Exception {
    Topics topics = bench.topics(1);
    bench.produce(topics, 10, i -> WorkerBench.bytes("old"));
    passOverTheTenOldOnes(topics);
    try (var admin = bench.admin()) {
      admin.createPartitions(Map.of(topics.in(), NewPartitions.increaseTo(2))).all().get();
    }
    try (KafkaProducer<byte[], byte[]> producer = bench.producer()) {
      for (int i = 0; i < 5; i++) {
        producer
            .send(
                new ProducerRecord<>(
                    topics.in(), 1, WorkerBench.bytes("k" + i), WorkerBench.bytes("new")))
            .get();
      }
    }
    readTheFiveNewOnes(topics);
  }

  /** The first one has committed by then; what neither has read is old all the same. */
  @Test
  void theSecondMemberOfAGroupThatStartsAtTheLatestOffsetReadsNoBacklogEither() throws Exception {
    Topics topics = bench.topics(2);
    bench.produce(topics, 10, i -> WorkerBench.bytes("old"));
    try (var admin = bench.admin()) {
      admin
          .alterConsumerGroupOffsets(
              topics.group(),
              Map.of(new TopicPartition(topics.in(), 0), new OffsetAndMetadata(5, "partitions=2")))
          .all()
          .get();
    }
    passOverTheTenOldOnes(topics);
    assertThat(bench.read(topics.out())).isEmpty();
  }
}
