package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Members that come and go, at the size that the caller chooses. */
final class RebalanceScenarios {
  private RebalanceScenarios() {}

  /** A second member joins in the middle of the first one's batch, works, and leaves. */
  static void joinsAndLeavesInMidBatch(GroupProtocol protocol, int records) throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    cluster.produce(topics, records, i -> WorkerCluster.bytes("v" + i));
    Set<String> byB = ConcurrentHashMap.newKeySet();
    EchoStage slow =
        new EchoStage(
            topics.out(),
            record -> {
              LockSupport.parkNanos(20_000_000);
              return EchoStage.written(topics.out(), record);
            });
    EchoStage slowB =
        new EchoStage(
            topics.out(),
            record -> {
              byB.add(record.place());
              LockSupport.parkNanos(20_000_000);
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker a = RunningWorker.start(cluster, topics, protocol, "a", slow)) {
      await().atMost(Duration.ofSeconds(30)).until(() -> a.count("whence.batches") >= 1);
      try (RunningWorker b = RunningWorker.start(cluster, topics, protocol, "b", slowB)) {
        await().atMost(Duration.ofSeconds(30)).until(() -> b.count("whence.batches") >= 1);
      }
      assertThat(byB).as("the second member got work").isNotEmpty();
      assertDone(cluster, topics, records);
    }
  }

  /**
   * The first member holds a batch of all partitions while a second one joins, does the partitions
   * that it is given, and leaves: they come back to the first within the same batch.
   */
  static void partitionGoesAndComesBackWithinOneBatch(GroupProtocol protocol, int records)
      throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    cluster.produce(topics, records, i -> WorkerCluster.bytes("v" + i));
    CountDownLatch began = new CountDownLatch(1);
    CountDownLatch release = new CountDownLatch(1);
    EchoStage holdsItsFirstBatch =
        new EchoStage(
            topics.out(),
            record -> {
              began.countDown();
              try {
                assertThat(release.await(120, TimeUnit.SECONDS)).isTrue();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker a =
        RunningWorker.start(
            cluster,
            topics,
            protocol,
            "a",
            holdsItsFirstBatch,
            TransactionHook.NONE,
            options -> WorkerCluster.records(options, records))) {
      assertThat(began.await(30, TimeUnit.SECONDS)).isTrue();
      try (RunningWorker b =
          RunningWorker.start(cluster, topics, protocol, "b", EchoStage.echo(topics.out()))) {
        // B does everything of the partitions that it is given, then leaves.
        await()
            .atMost(Duration.ofMinutes(1))
            .until(() -> cluster.read(topics.out()).size() >= records / WorkerCluster.PARTITIONS);
        await()
            .atMost(Duration.ofMinutes(1))
            .pollDelay(Duration.ofMillis(500))
            .until(() -> cluster.committedAll(topics) > 0 && b.count("whence.batches") >= 1);
      }
      int doneByB = cluster.read(topics.out()).size();
      // They are A's again once nobody else is in the group.
      await()
          .atMost(Duration.ofMinutes(1))
          .until(() -> cluster.assigned(topics).equals(Set.of(WorkerCluster.PARTITIONS)));
      release.countDown();
      assertDone(cluster, topics, records);
      assertThat(doneByB).isPositive();
      assertThat(a.worker.ended()).isNotDone();
    }
  }

  private static void assertDone(WorkerCluster cluster, Topics topics, int records) {
    await().atMost(Duration.ofMinutes(2)).until(() -> cluster.read(topics.out()).size() >= records);
    assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(records));
    assertThat(cluster.counts(topics.dlq())).isEmpty();
  }
}
