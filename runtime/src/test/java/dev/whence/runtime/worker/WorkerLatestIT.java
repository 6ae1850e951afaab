package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.worker.WorkerCluster.Topics;
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
  private WorkerCluster cluster;

  @BeforeEach
  void open() throws Exception {
    cluster = WorkerCluster.shared();
  }

  private void passOverTheTenOldOnes(Topics topics) {
    runUntil(topics, () -> cluster.committedAll(topics) == 10);
  }

  private void readTheFiveNewOnes(Topics topics) {
    runUntil(topics, () -> cluster.read(topics.out()).size() == 5);
    assertThat(cluster.read(topics.out()))
        .allSatisfy(r -> assertThat(WorkerCluster.text(r.value())).isEqualTo("new"));
  }

  private void runUntil(Topics topics, Callable<Boolean> done) {
    EchoStage stage = EchoStage.echo(topics.out());
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, stage, WorkerCluster::latest)) {
      await().atMost(Duration.ofSeconds(20)).until(done);
      assertThat(worker.health.isAlive()).isTrue();
    }
  }

  @Test
  void aGroupThatStartsAtTheLatestOffsetStaysThereOverARestart() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 10, i -> WorkerCluster.bytes("old"));
    passOverTheTenOldOnes(topics);
    cluster.produce(topics, 5, i -> WorkerCluster.bytes("new"));
    readTheFiveNewOnes(topics);
  }

  /** What was written before somebody was given the new partition is not old. */
  @Test
  void aPartitionThatIsAddedToATopicIsReadFromItsBeginningByAGroupThatStartedAtTheLatestOffset()
      throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 10, i -> WorkerCluster.bytes("old"));
    passOverTheTenOldOnes(topics);
    try (var admin = cluster.admin()) {
      admin.createPartitions(Map.of(topics.in(), NewPartitions.increaseTo(2))).all().get();
    }
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer()) {
      for (int i = 0; i < 5; i++) {
        producer
            .send(
                new ProducerRecord<>(
                    topics.in(), 1, WorkerCluster.bytes("k" + i), WorkerCluster.bytes("new")))
            .get();
      }
    }
    readTheFiveNewOnes(topics);
  }

  /** The first one has committed by then; what neither has read is old all the same. */
  @Test
  void theSecondMemberOfAGroupThatStartsAtTheLatestOffsetReadsNoBacklogEither() throws Exception {
    Topics topics = cluster.topics(2);
    cluster.produce(topics, 10, i -> WorkerCluster.bytes("old"));
    try (var admin = cluster.admin()) {
      admin
          .alterConsumerGroupOffsets(
              topics.group(),
              Map.of(new TopicPartition(topics.in(), 0), new OffsetAndMetadata(5, "partitions=2")))
          .all()
          .get();
    }
    passOverTheTenOldOnes(topics);
    assertThat(cluster.read(topics.out())).isEmpty();
  }
}
