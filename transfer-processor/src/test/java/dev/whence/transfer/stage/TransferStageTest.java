package dev.whence.transfer.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.whence.runtime.config.Settings;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.BrokerWatch;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Halt;
import dev.whence.runtime.worker.WorkerException;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.TransferState;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TransferStageTest {
  private static final Topics TOPICS = new Topics("");

  /** A producer whose first commits time out, after which nothing but a commit is allowed. */
  private static final class Slow extends MockProducer<byte[], byte[]> {
    private int timeouts;
    private boolean begun;

    Slow(int timeouts) {
      super(
          /* autoComplete= */ true,
          /* partitioner= */ null,
          new ByteArraySerializer(),
          new ByteArraySerializer());
      this.timeouts = timeouts;
      initTransactions();
      beginTransaction();
      var unused = send(new ProducerRecord<>("t", new byte[] {1}, new byte[] {2}));
    }

    @Override
    public void commitTransaction() {
      begun = true;
      if (timeouts-- > 0) {
        throw new TimeoutException("no answer");
      }
      super.commitTransaction();
    }

    @Override
    public void abortTransaction() {
      if (begun) {
        throw new IllegalStateException("a commit was begun");
      }
      super.abortTransaction();
    }
  }

  @Test
  void aCommitThatTimedOutIsCommittedAgain() {
    Slow producer = new Slow(2);
    Transactions.commit(producer, Duration.ofMinutes(1));
    assertThat(producer.transactionCommitted()).isTrue();
    assertThat(producer.history()).hasSize(1);
  }

  @Test
  void aCommitThatDoesNotEndIsOfTheEnvironmentAndNothingIsAborted() {
    Slow producer = new Slow(Integer.MAX_VALUE);
    assertThatThrownBy(() -> Transactions.commit(producer, Duration.ofMillis(5)))
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("a commit did not end");
    assertThat(producer.transactionAborted()).isFalse();
  }

  @Test
  void anErrorEndsTheStageAndHaltsTheProcess(@TempDir Path directory) throws Exception {
    MockConsumer<byte[], byte[]> consumer =
        new MockConsumer<>("none") {
          @Override
          public synchronized ConsumerRecords<byte[], byte[]> poll(Duration timeout) {
            throw new OutOfMemoryError("CANARY");
          }
        };
    Health health = new Health();
    CompletableFuture<String> halted = new CompletableFuture<>();
    try (TransferStage stage =
        stage(
            directory,
            new TransferStage.Making(
                () -> consumer,
                TransferStageTest::models,
                TransferStageTest::producer,
                admin -> new BrokerWatch(admin, health)),
            health,
            halted::complete)) {
      stage.start();

      assertThat(stage.ended())
          .failsWithin(20, TimeUnit.SECONDS)
          .withThrowableThat()
          .withCauseInstanceOf(OutOfMemoryError.class);
      assertThat(halted)
          .succeedsWithin(20, TimeUnit.SECONDS)
          .asString()
          .startsWith("the transfer stage broke: java.lang.OutOfMemoryError")
          .doesNotContain("CANARY");
      assertThat(health.isAlive()).isFalse();
    }
  }

  /** Two of one name take the transactional id from each other for ever. */
  @Test
  void aStageThatIsFencedTwiceEndsAndSaysThatAnotherProcessHasItsName(@TempDir Path directory)
      throws Exception {
    Health health = new Health();
    try (TransferStage stage =
        stage(
            directory,
            new TransferStage.Making(
                () -> new MockConsumer<>("none"),
                TransferStageTest::models,
                () -> {
                  MockProducer<byte[], byte[]> producer = producer();
                  producer.initTransactionException = new ProducerFencedException("fenced");
                  return producer;
                },
                admin -> new BrokerWatch(admin, health)),
            health,
            why -> {})) {
      stage.start();

      assertThat(stage.ended())
          .failsWithin(20, TimeUnit.SECONDS)
          .withThrowableThat()
          .withCauseInstanceOf(WorkerException.class)
          .withMessageContaining("another process uses instance.id a in group");
      assertThat(health.isAlive()).isFalse();
    }
  }

  /** A consumer that polls goes on in silence. */
  @Test
  void aStageWhoseBrokersNoLongerAnswerIsNotReady(@TempDir Path directory) throws Exception {
    Health health = new Health();
    Duration soon = Duration.ofMillis(100);
    try (TransferStage stage =
        stage(
            directory,
            new TransferStage.Making(
                () -> new MockConsumer<>("none"),
                TransferStageTest::models,
                TransferStageTest::producer,
                admin -> new BrokerWatch(admin, health, soon, soon)),
            health,
            why -> {})) {
      stage.start();

      await()
          .atMost(Duration.ofSeconds(20))
          .untilAsserted(
              () ->
                  assertThat(health.reasons())
                      .hasEntrySatisfying(
                          "brokers",
                          why -> assertThat(why).startsWith("the brokers do not answer")));
    }
  }

  private static TransferStage stage(
      Path directory, TransferStage.Making making, Health health, Halt halt) throws IOException {
    TransferConfig config = config(directory);
    return new TransferStage(
        config,
        new Clients(config.runtime().connection()),
        making,
        TOPICS,
        "a",
        health,
        new SimpleMeterRegistry(),
        halt);
  }

  /** Both topics are there. */
  private static MockConsumer<byte[], byte[]> models() {
    MockConsumer<byte[], byte[]> models = new MockConsumer<>("none");
    for (Topic topic : List.of(TOPICS.models(), TOPICS.transfers())) {
      models.updatePartitions(
          topic.name(), List.of(new PartitionInfo(topic.name(), 0, null, null, null)));
    }
    return models;
  }

  private static MockProducer<byte[], byte[]> producer() {
    return new MockProducer<>(
        /* autoComplete= */ true,
        /* partitioner= */ null,
        new ByteArraySerializer(),
        new ByteArraySerializer());
  }

  /** Nothing listens on port 1 of the loopback address. */
  private static TransferConfig config(Path directory) throws IOException {
    String set = Files.writeString(directory.resolve("set.jsonl"), "{}\n").toString();
    return TransferConfig.read(
        Settings.of(
            Map.of(
                "kafka.bootstrap.servers",
                "127.0.0.1:1",
                "registry.url",
                "http://127.0.0.1:1",
                "data.dir",
                directory.toString(),
                "models.roots",
                directory.toString(),
                "output.root",
                directory.toString(),
                "gates.task-set",
                set,
                "gates.general-set",
                set,
                "gates.judge",
                "none")));
  }

  @Test
  void aRequestWhoseEventsMightNotFitIntoTheTopicIsNoRequest() throws Exception {
    int most = TransferRecords.LARGEST_REQUEST;
    TransferRecords.refuseTooLarge(TransferState.REQUESTED, most);
    TransferRecords.refuseTooLarge(TransferState.FAILED, most + 1);
    assertThatThrownBy(() -> TransferRecords.refuseTooLarge(TransferState.REQUESTED, most + 1))
        .isInstanceOf(UnreadableException.class)
        .hasMessageContaining((most + 1) + " bytes")
        .extracting(e -> ((UnreadableException) e).code())
        .isEqualTo("TOO_LARGE");
  }

  /** Each is kept, and a batch of a few KB may unpack to hundreds of them. */
  @Test
  void anEventThatIsLargerThanAnyOfOursIsNone(@TempDir Path directory) throws Exception {
    byte[] key = {1};
    byte[] value = new byte[TransferRecords.LARGEST_EVENT + 1];
    try (AvroValues values = new AvroValues(config(directory).runtime().connection())) {
      TransferRecords records = new TransferRecords(TOPICS, values, "transfer", "a");
      assertThatThrownBy(
              () ->
                  records.take(
                      new ConsumerRecord<>(TOPICS.transfers().name(), 0, 0, key, value),
                      new TransferStates()))
          .isInstanceOf(UnreadableException.class)
          .extracting(e -> ((UnreadableException) e).code())
          .isEqualTo("TOO_LARGE");
    }
  }
}
