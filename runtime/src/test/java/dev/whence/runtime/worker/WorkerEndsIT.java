package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** How a worker ends, and what it does between two batches. */
class WorkerEndsIT {
  private WorkerCluster cluster;

  @BeforeEach
  void open() throws Exception {
    cluster = WorkerCluster.shared();
  }

  @Test
  void modelWorkPastItsDeadlineFailsLivenessAndHalts() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
    CountDownLatch end = new CountDownLatch(1);
    EchoStage hanging =
        new EchoStage(
            topics.out(),
            record -> {
              try {
                assertThat(end.await(60, TimeUnit.SECONDS)).isTrue();
              } catch (InterruptedException e) {
                throw new IllegalStateException(e);
              }
              return EchoStage.written(topics.out(), record);
            });
    FailurePolicy impatient =
        new FailurePolicy(
            3,
            5,
            Duration.ofMillis(500),
            10,
            Duration.ofMillis(300),
            Duration.ofMinutes(5),
            Duration.ofMillis(100),
            Duration.ofSeconds(1));
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, hanging, options -> WorkerCluster.failures(options, impatient))) {
      await().atMost(Duration.ofSeconds(20)).until(() -> !worker.halts.isEmpty());
      assertThat(worker.health.isAlive()).isFalse();
      assertThat(worker.halts.get(0)).contains(topics.in() + "-0-0").contains("300 ms");
      assertThat(cluster.committed(topics).values())
          .extracting(OffsetAndMetadata::metadata)
          .singleElement()
          .satisfies(written -> assertThat(written).startsWith("attempt=1;to=1;by="));
      end.countDown();
    }
  }

  @Test
  void aRecordThatDoesNotEndWithinTheGraceIsGivenUpWithoutACommit() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
    CountDownLatch began = new CountDownLatch(1);
    CountDownLatch end = new CountDownLatch(1);
    EchoStage tooLong = waiting(topics, began, end);
    RunningWorker worker =
        RunningWorker.start(
            cluster,
            topics,
            tooLong,
            options -> WorkerCluster.grace(options, Duration.ofMillis(300)));
    assertThat(began.await(20, TimeUnit.SECONDS)).isTrue();
    worker.close();
    assertThat(cluster.read(topics.out())).isEmpty();
    assertThat(cluster.committed(topics).values())
        .as("the shutdown was not the record's fault")
        .containsExactly(new OffsetAndMetadata(0, Optional.of(0), ""));
    end.countDown();
    try (RunningWorker next =
        RunningWorker.start(
            cluster, topics, GroupProtocol.CONSUMER, "a", EchoStage.echo(topics.out()))) {
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 1);
      assertThat(next.health.isAlive()).isTrue();
    }
  }

  @Test
  void theRunningRecordIsCommittedAtShutdownAndTheRestIsLeft() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 10, i -> WorkerCluster.bytes("v" + i));
    CountDownLatch began = new CountDownLatch(1);
    CountDownLatch end = new CountDownLatch(1);
    EchoStage stage = waiting(topics, began, end);
    RunningWorker worker = RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage);
    assertThat(began.await(20, TimeUnit.SECONDS)).isTrue();
    Thread closing = new Thread(worker::close);
    closing.start();
    await().until(() -> closing.getState() == Thread.State.TIMED_WAITING);
    end.countDown();
    closing.join();
    assertThat(cluster.counts(topics.out()).keySet()).contains("k0");
    long committed = cluster.committedAll(topics);
    assertThat(committed).isBetween(1L, 10L);
    assertThat(cluster.read(topics.out())).hasSize((int) committed);
    assertThat(worker.worker.ended()).isCompleted();
  }

  @Test
  void twoProcessesWithOneInstanceNameEndOneOfThemWithAClearSentence() throws Exception {
    Topics topics = cluster.topics(2);
    EchoStage slow =
        new EchoStage(
            topics.out(),
            record -> {
              LockSupport.parkNanos(2_000_000);
              return EchoStage.written(topics.out(), record);
            });
    int sent = 0;
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker a =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "same", slow);
        RunningWorker b =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "same", slow)) {
      // Only who commits is fenced: there is something to commit until one of them has ended.
      long deadline = System.nanoTime() + Duration.ofMinutes(2).toNanos();
      while (!a.worker.ended().isDone() && !b.worker.ended().isDone()) {
        assertThat(System.nanoTime()).isLessThan(deadline);
        producer
            .send(
                new ProducerRecord<>(
                    topics.in(),
                    sent % 2,
                    WorkerCluster.bytes("k" + sent),
                    WorkerCluster.bytes("v")))
            .get();
        sent++;
        LockSupport.parkNanos(10_000_000);
      }
      RunningWorker loser = a.worker.ended().isDone() ? a : b;
      assertThatThrownBy(() -> loser.worker.ended().join())
          .hasMessageContaining("another process uses instance.id same");
      assertThat(loser.health.isAlive()).isFalse();
      int all = sent;
      await().atMost(Duration.ofMinutes(2)).until(() -> cluster.read(topics.out()).size() >= all);
    }
    assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(sent));
  }

  @Test
  void aTaskBetweenBatchesRunsOnTheModelThread() throws Exception {
    Topics topics = cluster.topics(1);
    List<String> threads = new ArrayList<>();
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              threads.add(Thread.currentThread().getName());
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 1);
      CountDownLatch ran = new CountDownLatch(1);
      worker.worker.betweenBatches(
          () -> {
            threads.add(Thread.currentThread().getName());
            ran.countDown();
          });
      assertThat(ran.await(5, TimeUnit.SECONDS)).isTrue();
    }
    assertThat(threads).containsExactly("echo-model", "echo-model");
  }

  @Test
  void aTaskAfterAPauseRunsOnTheModelThreadThoughNoRecordComes() throws Exception {
    Topics topics = cluster.topics(1);
    EchoStage stage =
        new EchoStage(topics.out(), record -> EchoStage.written(topics.out(), record));
    List<String> threads = new ArrayList<>();
    Duration pause = Duration.ofMillis(300);
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      CountDownLatch ran = new CountDownLatch(1);
      long began = System.nanoTime();
      worker.worker.betweenBatches(
          pause,
          () -> {
            threads.add(Thread.currentThread().getName());
            ran.countDown();
          });
      assertThat(ran.await(20, TimeUnit.SECONDS)).isTrue();
      assertThat(Duration.ofNanos(System.nanoTime() - began)).isGreaterThanOrEqualTo(pause);
    }
    assertThat(threads).containsExactly("echo-model");
  }

  /** A model that says when it begins, and ends with the test's word. */
  private static EchoStage waiting(Topics topics, CountDownLatch began, CountDownLatch end) {
    return new EchoStage(
        topics.out(),
        record -> {
          began.countDown();
          try {
            assertThat(end.await(60, TimeUnit.SECONDS)).isTrue();
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
          return EchoStage.written(topics.out(), record);
        });
  }
}
