package dev.whence.transfer.stage;

import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.OnePartition;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.worker.BrokerWatch;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Fences;
import dev.whence.runtime.worker.Halt;
import dev.whence.runtime.worker.WorkerException;
import dev.whence.schemas.Topics;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes requests from {@code whence.transfers} and writes how far they are, one transfer at a time.
 *
 * <p>A merge takes minutes to hours and does not sit in a poll loop or a transaction. The offset of
 * a request is committed together with its STARTED; from there on the event itself is what is owed.
 * Whoever is assigned the one partition reads all of it and goes on with every transfer that was
 * started and has no terminal event. All Kafka clients belong to this stage's thread; the job says
 * what it has to say through a queue, and is told when that is committed.
 */
final class TransferStage implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(TransferStage.class);
  static final String NAME = "transfer";
  static final String PART = "transfers";
  private static final Duration LOOK_UP = Duration.ofSeconds(10);
  private static final Duration AGAIN = Duration.ofSeconds(2);

  private final Context context;
  private final Making making;
  private final Fences fences;
  private final CountDownLatch stop = new CountDownLatch(1);
  private final CompletableFuture<Void> ended = new CompletableFuture<>();
  private final Thread thread = new Thread(this::run, NAME);

  /**
   * What makes the Kafka clients of a session.
   *
   * @param members of the stage's group
   * @param models reads releases
   * @param producers with the stage's transactional id
   * @param watches say when the brokers no longer answer
   */
  record Making(
      Supplier<Consumer<byte[], byte[]>> members,
      Supplier<Consumer<byte[], byte[]>> models,
      Supplier<Producer<byte[], byte[]>> producers,
      Function<Admin, BrokerWatch> watches) {}

  /**
   * What a session needs to know of its stage.
   *
   * @param partition the one of the transfers' topic
   * @param unreadable counts records that are no transfer events
   * @param outbox what jobs have to say, also those of the session before
   * @param isClosed whether the stage is to end
   */
  record Context(
      TransferConfig config,
      Clients clients,
      Topics topics,
      TopicPartition partition,
      String instance,
      Health health,
      MeterRegistry meters,
      Counter unreadable,
      Halt halt,
      Outbox outbox,
      BooleanSupplier isClosed) {}

  TransferStage(
      TransferConfig config,
      Clients clients,
      Topics topics,
      String instance,
      Health health,
      MeterRegistry meters,
      Halt halt) {
    this(
        config,
        clients,
        new Making(
            () ->
                clients.groupConsumer(
                    config.runtime().group(),
                    config.runtime().groupProtocol(),
                    NAME + "-" + instance,
                    Clients.RECORDS_OF_ONE_POLL),
            () -> clients.reader(NAME + "-models", Clients.RECORDS_OF_ONE_POLL),
            () -> clients.transactionalProducer(config.runtime().group() + "-" + instance),
            admin -> new BrokerWatch(admin, health)),
        topics,
        instance,
        health,
        meters,
        halt);
  }

  TransferStage(
      TransferConfig config,
      Clients clients,
      Making making,
      Topics topics,
      String instance,
      Health health,
      MeterRegistry meters,
      Halt halt) {
    TopicPartition partition = new TopicPartition(topics.transfers().name(), 0);
    Counter unreadable =
        Counter.builder("whence.transfers.unreadable")
            .description("records of the transfer topic that are no transfer events")
            .register(meters);
    this.making = making;
    this.fences = new Fences(config.runtime().group(), instance);
    this.context =
        new Context(
            config,
            clients,
            topics,
            partition,
            instance,
            health,
            meters,
            unreadable,
            halt,
            new Outbox(),
            () -> stop.getCount() == 0);
    health.notReady(PART, partition.topic() + " is not read yet");
  }

  void start() {
    thread.start();
  }

  CompletableFuture<Void> ended() {
    return ended;
  }

  private void run() {
    while (stop.getCount() > 0) {
      try (Consumer<byte[], byte[]> consumer = making.members().get();
          Producer<byte[], byte[]> producer = making.producers().get();
          Consumer<byte[], byte[]> models = making.models().get();
          AvroValues values = new AvroValues(context.clients().connection());
          Admin admin = context.clients().admin()) {
        producer.initTransactions();
        var unused = OnePartition.of(models, context.partition().topic());
        new TransferSession(
                context,
                consumer,
                producer,
                values,
                new FollowedReleases(models, context.topics().models().name(), values),
                making.watches().apply(admin))
            .run();
      } catch (WakeupException e) {
        LOG.debug("woken");
      } catch (EnvironmentException e) {
        standStill(String.valueOf(e.getMessage()), e);
      } catch (KafkaException e) {
        try {
          if (Fences.isFence(e)) {
            fences.fenced(e);
          }
        } catch (WorkerException twice) {
          context.health().dead(String.valueOf(twice.getMessage()));
          ended.completeExceptionally(twice);
          return;
        }
        standStill(context.partition().topic() + " can not be read or written", e);
      } catch (RuntimeException e) {
        context.health().dead("the transfer stage broke: " + e.getClass().getSimpleName());
        ended.completeExceptionally(e);
        return;
      } catch (Error e) {
        // Out of memory above all: nobody else would notice that this thread has ended.
        try {
          context.halt().halt("the transfer stage broke: " + Failure.describe(e));
        } finally {
          context.health().dead("the transfer stage broke: " + e.getClass().getSimpleName());
          ended.completeExceptionally(e);
        }
        throw e;
      }
    }
    ended.complete(null);
  }

  private void standStill(String reason, RuntimeException e) {
    context.health().notReady(PART, reason);
    LOG.warn("transfers stand still: {}; trying again", e.getMessage());
    pause();
  }

  private void pause() {
    try {
      var unused = stop.await(AGAIN.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    stop.countDown();
    try {
      thread.join(context.config().runtime().shutdownGrace().plus(LOOK_UP).toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
