package dev.whence.runtime.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.whence.embedded.EmbeddedBroker;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Clients that can not do what they are asked to. */
class WorkerClientsIT {
  /** Else whoever forgets to allow a topic loses the records that wait, as if they killed. */
  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void whatIsNotAllowedYetCountsAsNoDeathOfTheProcess(GroupProtocol protocol) throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    cluster.produce(topics, 20, i -> WorkerCluster.bytes("v" + i));
    AtomicInteger refused = new AtomicInteger();
    TransactionHook notAllowed =
        new TransactionHook() {
          @Override
          public void inside() {
            if (refused.incrementAndGet() <= WorkerCluster.QUICK.attempts() + 1) {
              throw new TopicAuthorizationException(Set.of(topics.out()));
            }
          }
        };
    try (RunningWorker worker =
        RunningWorker.start(
            cluster, topics, protocol, "a", EchoStage.echo(topics.out()), notAllowed, o -> o)) {
      await()
          .atMost(Duration.ofSeconds(60))
          .untilAsserted(
              () -> assertThat(cluster.counts(topics.out())).isEqualTo(WorkerCluster.once(20)));
      assertThat(worker.count("whence.clients.restarted"))
          .isEqualTo(WorkerCluster.QUICK.attempts() + 1);
    }
    assertThat(cluster.read(topics.out()))
        .noneMatch(record -> WorkerCluster.text(record.value()).startsWith("FAILED"));
    assertThat(cluster.counts(topics.dlq())).isEmpty();
  }

  /** Nothing is fetched then, which is how a consumer learns what there is. */
  @ParameterizedTest
  @EnumSource(GroupProtocol.class)
  void theLagGrowsWithWhatComesWhileABatchRuns(GroupProtocol protocol) throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch goesOn = new CountDownLatch(1);
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              begun.countDown();
              try {
                goesOn.await();
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
              return EchoStage.written(topics.out(), record);
            });
    cluster.produce(topics, 1, i -> WorkerCluster.bytes("v" + i));
    try (RunningWorker worker = RunningWorker.start(cluster, topics, protocol, "a", stage)) {
      try {
        assertThat(begun.await(60, TimeUnit.SECONDS)).isTrue();
        // A fetch that was under way may still have told of the first ones.
        for (int all = 41; all <= 121; all += 40) {
          int expected = all;
          cluster.produce(topics, 40, i -> WorkerCluster.bytes("v" + i));
          await()
              .atMost(Duration.ofSeconds(30))
              .untilAsserted(() -> assertThat(lag(worker)).isEqualTo(expected));
        }
      } finally {
        goesOn.countDown();
      }
      await().atMost(Duration.ofSeconds(30)).untilAsserted(() -> assertThat(lag(worker)).isZero());
    }
  }

  private static double lag(RunningWorker worker) {
    return worker.meters.get("whence.queue.lag").gauge().value();
  }

  /** One comes alone, as it does where traffic is slow, and the others later. */
  @Test
  void aRecordOnWhichTheEnvironmentFailsHoldsUpItsOwnPartitionOnly() throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics();
    AtomicBoolean fails = new AtomicBoolean(true);
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record -> {
              if (fails.get() && WorkerCluster.text(record.key()).equals("bad")) {
                throw EnvironmentException.ofScorer(
                    "the server answers 500", new IllegalStateException());
              }
              return EchoStage.written(topics.out(), record);
            });
    try (RunningWorker worker =
            RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage);
        KafkaProducer<byte[], byte[]> producer = cluster.producer()) {
      byte[] bad = WorkerCluster.bytes("bad");
      producer.send(new ProducerRecord<>(topics.in(), 0, bad, bad)).get();
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> worker.count("whence.environment.failures") >= 2);
      for (int i = 0; i < 20; i++) {
        byte[] good = WorkerCluster.bytes("k" + i);
        producer.send(new ProducerRecord<>(topics.in(), 1 + i % 2, good, good)).get();
      }
      await().atMost(Duration.ofSeconds(20)).until(() -> cluster.counts(topics.out()).size() == 20);
      assertThat(worker.health.isReady()).isTrue();
      assertThat(cluster.read(topics.dlq())).isEmpty();
      fails.set(false);
      await()
          .atMost(Duration.ofSeconds(20))
          .until(() -> cluster.counts(topics.out()).equals(withBad(20)));
    }
  }

  private static Map<String, Integer> withBad(int others) {
    Map<String, Integer> all = new TreeMap<>(WorkerCluster.once(others));
    all.put("bad", 1);
    return all;
  }

  @Test
  void aTopicThatTakesLessThanItDidWhenTheWorkerBeganIsLookedAtAgain() throws Exception {
    WorkerCluster cluster = WorkerCluster.shared();
    Topics topics = cluster.topics(1);
    byte[] large = new byte[300_000];
    new Random(1).nextBytes(large);
    EchoStage stage =
        new EchoStage(
            topics.out(),
            record ->
                new Outcome.Written(
                    List.of(
                        new Result(
                            topics.out(),
                            record.key(),
                            WorkerCluster.text(record.key()).equals("k1") ? large : record.value(),
                            List.of()))));
    try (RunningWorker worker =
        RunningWorker.start(cluster, topics, GroupProtocol.CONSUMER, "a", stage)) {
      cluster.produce(topics, 1, i -> WorkerCluster.bytes("v"));
      await().atMost(Duration.ofSeconds(30)).until(() -> cluster.read(topics.out()).size() == 1);
      cluster.shrink(topics.out(), 100_000);
      cluster.produce(topics, 2, i -> WorkerCluster.bytes("v"));
      await().atMost(Duration.ofSeconds(60)).until(() -> cluster.read(topics.out()).size() == 3);
      assertThat(worker.count("whence.batches.given.up")).isEqualTo(1);
    }
    assertThat(cluster.read(topics.out()))
        .extracting(record -> WorkerCluster.text(record.value()))
        .containsExactlyInAnyOrder("v", "v", "FAILED RESULT_TOO_LARGE");
    assertThat(cluster.read(topics.dlq())).hasSize(1);
  }

  @Test
  void brokersThatNoLongerAnswerMakeAnIdleWorkerNotReadyUntilTheyDo(@TempDir Path directory)
      throws Exception {
    try (EmbeddedBroker broker = EmbeddedBroker.open(directory);
        Admin admin = Admin.create(Map.of("bootstrap.servers", broker.bootstrapServers()))) {
      Health health = new Health();
      BrokerWatch watch =
          new BrokerWatch(admin, health, Duration.ofMillis(200), Duration.ofMillis(1500));
      watch.look();
      assertThat(health.isReady()).isTrue();
      broker.stop();
      await().atMost(Duration.ofSeconds(20)).until(() -> looks(watch, health, false));
      assertThat(health.reasons()).containsKey("brokers");
      broker.start();
      await().atMost(Duration.ofSeconds(20)).until(() -> looks(watch, health, true));
    }
  }

  private static boolean looks(BrokerWatch watch, Health health, boolean ready) {
    watch.look();
    return health.isReady() == ready;
  }
}
