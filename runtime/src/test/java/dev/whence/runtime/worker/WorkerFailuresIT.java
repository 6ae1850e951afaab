package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.dlq.DeadLetterHeaders;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Records that are bad, and an environment that is: what is given up, and what waits. */
class WorkerFailuresIT {
  private WorkerCluster cluster;

  @BeforeEach
  void open() throws Exception {
    cluster = WorkerCluster.shared();
  }

  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void aPoisonPillGoesToTheDeadLetterQueueAndTheRestIsDone(GroupProtocol protocol)
      throws Exception {
    Topics topics = cluster.topics();
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer()) {
      ProducerRecord<byte[], byte[]> pill =
          new ProducerRecord<>(
              topics.in(), 0, WorkerCluster.bytes("pill"), WorkerCluster.bytes("secret text"));
      pill.headers().add("traceparent", WorkerCluster.bytes("00-1-2-03"));
      producer.send(pill).get();
    }
    cluster.produce(topics, 30, i -> WorkerCluster.bytes("v" + i));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              if (WorkerCluster.text(record.key()).equals("pill")) {
                throw new IllegalStateException("quotes " + WorkerCluster.text(record.value()));
              }
              return EchoStage.written(topics.out(), record);
            });
    Map<String, Integer> expected = new TreeMap<>(WorkerCluster.once(30));
    expected.put("pill", 1);
    try (RunningWorker worker = RunningWorker.start(cluster, topics, protocol, "a", stage)) {
      await()
          .atMost(Duration.ofSeconds(30))
          .untilAsserted(() -> assertThat(cluster.counts(topics.out())).isEqualTo(expected));
      assertThat(worker.health.isReady()).isTrue();
    }
    List<ConsumerRecord<byte[], byte[]>> dead = cluster.read(topics.dlq());
    assertThat(dead).hasSize(1);
    assertThat(WorkerCluster.text(dead.get(0).value())).isEqualTo("secret text");
    Map<String, String> headers = WorkerCluster.headers(dead.get(0));
    assertThat(headers)
        .containsEntry("traceparent", "00-1-2-03")
        .containsEntry(DeadLetterHeaders.CODE, "MODEL_FAILED")
        .containsEntry(DeadLetterHeaders.EXCEPTION, "java.lang.IllegalStateException")
        .containsEntry(DeadLetterHeaders.TOPIC, topics.in())
        .containsEntry(DeadLetterHeaders.PARTITION, "0")
        .containsEntry(DeadLetterHeaders.OFFSET, "0")
        .containsEntry(DeadLetterHeaders.ATTEMPT, "1")
        .containsEntry(DeadLetterHeaders.STAGE, "echo")
        .containsKey(DeadLetterHeaders.TIMESTAMP);
    assertThat(headers.get(DeadLetterHeaders.MESSAGE)).doesNotContain("secret");
  }

  @Test
  void aPoisonPillAloneIsGivenUpAfterAWhile() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              throw new IllegalStateException("broken");
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.dlq()).size() == 1);
      assertThat(worker.count("whence.environment.failures")).isZero();
    }
  }

  /** What needs no model says nothing about it, however much of it comes. */
  @Test
  void aPoisonPillIsGivenUpAfterAWhileThoughRecordsThatNeedNoModelNeverCeaseToCome()
      throws Exception {
    Topics topics = cluster.topics(2);
    Stage stage = modelOnlyForBadAndGood(topics, record -> {});
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker worker =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      WorkerCluster.send(producer, topics, 0, "bad");
      long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
      int sent = 0;
      while (cluster.committed(topics, 0) == 0) {
        assertThat(System.nanoTime()).as("the failing record waits").isLessThan(deadline);
        WorkerCluster.send(producer, topics, 1, "no model");
        sent++;
        LockSupport.parkNanos(Duration.ofMillis(100).toNanos());
      }
      assertThat(cluster.read(topics.dlq())).hasSize(1);
      int all = sent + 1;
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == all);
      assertThat(worker.count("whence.environment.failures")).isZero();
    }
  }

  /** Each takes longer than a failing record waits, and a batch is one record. */
  @Test
  void aModelThatFailsSlowlyOnEveryRecordIsTheEnvironmentToo() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 6, i -> WorkerCluster.bytes("v" + i));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              LockSupport.parkNanos(
                  WorkerCluster.QUICK.undecidedFor().multipliedBy(3).dividedBy(2).toNanos());
              throw new IllegalStateException("broken");
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, stage, options -> WorkerCluster.records(options, 1))) {
      await()
          .atMost(Duration.ofSeconds(30))
          .until(() -> worker.count("whence.environment.failures") >= 1);
      assertThat(cluster.read(topics.dlq())).isEmpty();
    }
  }

  @Test
  void behindARecordThatWaitsOnlySoMuchIsReadAndOtherPartitionsGoOn() throws Exception {
    int batch = 8;
    Topics topics = cluster.topics(2);
    AtomicInteger behind = new AtomicInteger();
    Stage stage =
        modelOnlyForBadAndGood(
            topics,
            record -> {
              if (record.partition() == 0) {
                behind.incrementAndGet();
              }
            });
    FailurePolicy patient =
        new FailurePolicy(
            3,
            5,
            Duration.ofMinutes(5),
            10,
            Duration.ofSeconds(60),
            Duration.ofMinutes(5),
            Duration.ofMillis(100),
            Duration.ofSeconds(1));
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker worker =
            RunningWorker.start(
                cluster,
                topics,
                stage,
                options ->
                    WorkerCluster.failures(WorkerCluster.records(options, batch), patient))) {
      WorkerCluster.send(producer, topics, 0, "bad");
      for (int i = 0; i < 100; i++) {
        WorkerCluster.send(producer, topics, 0, "no model");
      }
      await().atMost(Duration.ofSeconds(20)).until(() -> behind.get() >= 2 * batch);
      for (int i = 0; i < 100; i++) {
        WorkerCluster.send(producer, topics, 1, "no model");
      }
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 1) == 100);
      assertThat(behind)
          .as("twice a batch, and one poll")
          .hasValueLessThanOrEqualTo(2 * batch + Clients.RECORDS_OF_ONE_POLL);
      assertThat(cluster.committed(topics, 0)).isZero();
      WorkerCluster.send(producer, topics, 1, "good");
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committedAll(topics) == 202);
      assertThat(cluster.read(topics.dlq())).hasSize(1);
      assertThat(worker.count("whence.environment.failures")).isZero();
    }
  }

  @Test
  void aModelThatFailsOnEveryRecordIsTheEnvironment() throws Exception {
    Topics topics = cluster.topics();
    cluster.produce(topics, 40, i -> WorkerCluster.bytes("v" + i));
    AtomicReference<RunningWorker> started = new AtomicReference<>();
    CountDownLatch mended = new CountDownLatch(1);
    // Mended between two batches: within one, what failed before would be bad records.
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              RunningWorker worker = started.get();
              if (worker == null || worker.count("whence.environment.failures") < 2) {
                throw new IllegalStateException("broken");
              }
              awaitMended(mended);
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      started.set(worker);
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 2);
      assertThat(worker.health.isReady()).isFalse();
      assertThat(worker.health.isAlive()).isTrue();
      assertThat(cluster.read(topics.dlq())).isEmpty();
      assertThat(cluster.read(topics.out())).isEmpty();
      mended.countDown();
      await()
          .atMost(Duration.ofSeconds(20))
          .untilAsserted(
              () -> assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(40)));
      await().atMost(Duration.ofSeconds(5)).until(worker.health::isReady);
    }
    assertThat(cluster.read(topics.dlq())).isEmpty();
  }

  @Test
  void fiveBadRecordsInARowAreBadRecordsOnceTheModelWorksOnAnother() throws Exception {
    Topics topics = cluster.topics(1);
    cluster.produce(topics, 6, i -> WorkerCluster.bytes("bad"));
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              if (WorkerCluster.text(record.value()).equals("bad")) {
                throw new IllegalStateException();
              }
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 1);
      assertThat(cluster.read(topics.dlq())).isEmpty();
      try (KafkaProducer<byte[], byte[]> producer = cluster.producer()) {
        producer
            .send(
                new ProducerRecord<>(
                    topics.in(), WorkerCluster.bytes("good"), WorkerCluster.bytes("good")))
            .get();
      }
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.dlq()).size() == 6);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.read(topics.out()).size() == 7);
      await().atMost(Duration.ofSeconds(5)).until(worker.health::isReady);
    }
  }

  @Test
  void theEnvironmentPausesAndSendsNothingToTheDeadLetterQueue() throws Exception {
    Topics topics = cluster.topics();
    cluster.produce(topics, 20, i -> WorkerCluster.bytes("v" + i));
    AtomicBoolean down = new AtomicBoolean(true);
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              if (down.get()) {
                throw new EnvironmentException("the device is gone");
              }
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 2);
      assertThat(worker.health.reasons().values()).contains("the device is gone");
      await()
          .atMost(Duration.ofSeconds(10))
          .untilAsserted(
              () ->
                  assertThat(cluster.committed(topics).values())
                      .as("nobody died: no attempt is left behind")
                      .allSatisfy(offset -> assertThat(offset.metadata()).isEmpty()));
      down.set(false);
      await()
          .atMost(Duration.ofSeconds(20))
          .untilAsserted(
              () -> assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(20)));
    }
    assertThat(cluster.read(topics.dlq())).isEmpty();
  }

  @Test
  void aRecordThatTheRegistryRefusesStopsItsPartitionAndNoOtherAndIsDoneOnceItIsGiven()
      throws Exception {
    Topics topics = cluster.topics(2);
    AtomicReference<Predicate<SourceRecord>> refused = new AtomicReference<>(record -> true);
    AtomicInteger asked = new AtomicInteger();
    Stage stage =
        new ForwardingStage(EchoStage.echo(topics.out())) {
          @Override
          public Work prepare(SourceRecord record) {
            asked.incrementAndGet();
            if (refused.get().test(record)) {
              throw new EnvironmentException("the schema registry answered 403");
            }
            return super.prepare(record);
          }
        };
    try (KafkaProducer<byte[], byte[]> producer = cluster.producer();
        RunningWorker worker =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      for (int i = 0; i < 5; i++) {
        WorkerCluster.send(producer, topics, 0, "first " + i);
        WorkerCluster.send(producer, topics, 1, "second " + i);
      }
      // Of everything: both partitions wait, and are tried again once a second.
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 8);
      String first = topics.in() + "-0 can not be read on: the schema registry answered 403";
      String second = topics.in() + "-1 can not be read on: the schema registry answered 403";
      await()
          .atMost(Duration.ofSeconds(5))
          .untilAsserted(
              () ->
                  assertThat(worker.health.reasons())
                      .containsEntry("reading", first + "; " + second));
      assertThat(cluster.read(topics.out())).isEmpty();
      assertThat(asked).as("not in a busy loop").hasValueLessThan(40);

      refused.set(record -> record.partition() == 0 && record.offset() == 1);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 1) == 5);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 0) == 1);
      WorkerCluster.send(producer, topics, 1, "one more");
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committed(topics, 1) == 6);
      assertThat(cluster.committed(topics, 0)).isEqualTo(1);
      await()
          .atMost(Duration.ofSeconds(20))
          .untilAsserted(
              () ->
                  assertThat(worker.health.reasons())
                      .as("though the other one goes on")
                      .isEqualTo(Map.of("reading", first)));

      refused.set(record -> false);
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.committedAll(topics) == 11);
      await().atMost(Duration.ofSeconds(5)).until(worker.health::isReady);
    }
    assertThat(cluster.read(topics.out())).hasSize(11);
    assertThat(cluster.read(topics.dlq())).isEmpty();
  }

  private static void awaitMended(CountDownLatch mended) {
    try {
      assertThat(mended.await(30, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  /** The model works on what is "good" and fails on what is "bad"; all else needs none. */
  private static Stage modelOnlyForBadAndGood(Topics topics, Consumer<SourceRecord> seen) {
    EchoStage model =
        new EchoStage(
            topics.out(),
            record -> {
              if (WorkerCluster.text(record.value()).equals("bad")) {
                throw new IllegalStateException();
              }
              return EchoStage.written(topics.out(), record);
            });
    return new ForwardingStage(model) {
      @Override
      public Work prepare(SourceRecord record) {
        seen.accept(record);
        return Set.of("bad", "good").contains(WorkerCluster.text(record.value()))
            ? super.prepare(record)
            : Work.done(EchoStage.written(topics.out(), record));
      }
    };
  }
}
