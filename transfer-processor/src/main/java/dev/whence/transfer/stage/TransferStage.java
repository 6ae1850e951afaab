package dev.whence.transfer.stage;

import dev.whence.runtime.dlq.DeadLetters;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.OnePartition;
import dev.whence.runtime.models.LiveReleases;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.BrokerWatch;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Fences;
import dev.whence.runtime.worker.Halt;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.WorkerException;
import dev.whence.schemas.Topic;
import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
import dev.whence.transfer.merge.StoppedException;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
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
  private static final String NAME = "transfer";
  private static final String PART = "transfers";
  private static final Duration POLL = Duration.ofMillis(100);
  private static final Duration LOOK_UP = Duration.ofSeconds(10);
  private static final Duration AGAIN = Duration.ofSeconds(2);

  /**
   * So many refused writes in a row, each followed by a poll, are taken for a rebalance in
   * progress; after that the session starts over with new clients.
   */
  static final int MOST_REFUSALS = 5;

  /** A third of the time that the topic keeps a transfer's last event. */
  private static final Duration TELL_AGAIN = Duration.ofDays(30);

  private final TransferConfig config;
  private final Clients clients;
  private final Making making;
  private final Topics topics;
  private final String instance;
  private final Health health;
  private final Counter unreadable;
  private final MeterRegistry meters;
  private final Halt halt;
  private final TopicPartition partition;
  private final Fences fences;
  private final ConcurrentLinkedQueue<Said> outbox = new ConcurrentLinkedQueue<>();
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

  /** An event on its way out. */
  private record Said(
      TransferJob job,
      TransferEvent event,
      Optional<ModelRelease> release,
      CompletableFuture<Void> committed) {}

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
    this.config = config;
    this.clients = clients;
    this.making = making;
    this.topics = topics;
    this.instance = instance;
    this.health = health;
    this.meters = meters;
    this.halt = halt;
    this.partition = new TopicPartition(topics.transfers().name(), 0);
    this.fences = new Fences(config.runtime().group(), instance);
    this.unreadable =
        Counter.builder("whence.transfers.unreadable")
            .description("records of the transfer topic that are no transfer events")
            .register(meters);
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
          AvroValues values = new AvroValues(clients.connection())) {
        producer.initTransactions();
        new Session(consumer, producer, values).run();
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
          health.dead(String.valueOf(twice.getMessage()));
          ended.completeExceptionally(twice);
          return;
        }
        standStill(partition.topic() + " can not be read or written", e);
      } catch (RuntimeException e) {
        health.dead("the transfer stage broke: " + e.getClass().getSimpleName());
        ended.completeExceptionally(e);
        return;
      } catch (Error e) {
        // Out of memory above all: nobody else would notice that this thread has ended.
        try {
          halt.halt("the transfer stage broke: " + Failure.describe(e));
        } finally {
          health.dead("the transfer stage broke: " + e.getClass().getSimpleName());
          ended.completeExceptionally(e);
        }
        throw e;
      }
    }
    ended.complete(null);
  }

  private void standStill(String reason, RuntimeException e) {
    health.notReady(PART, reason);
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
      thread.join(config.runtime().shutdownGrace().plus(LOOK_UP).toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** What is known as long as the clients live. */
  private final class Session implements ConsumerRebalanceListener {
    private final Consumer<byte[], byte[]> consumer;
    private final GroupTransactions transactions;
    private final AvroValues values;
    private final TransferRecords records;
    private final Received received;
    private final Deque<TransferEvent> unfinished = new ArrayDeque<>();
    private final AnnouncedModels announced = new AnnouncedModels();
    private final Subscriptions subscriptions =
        new Subscriptions(config.subscriptions(), announced);
    private final Map<String, Instant> told = new HashMap<>();
    private long lastRelease = -1; // offset of the last one that was written here
    private TransferStates states = new TransferStates();
    private int refused;
    private boolean owner;
    private boolean recovered;
    private Optional<TransferJob> job = Optional.empty();
    private Thread worker = new Thread();

    Session(
        Consumer<byte[], byte[]> consumer, Producer<byte[], byte[]> producer, AvroValues values) {
      this.consumer = consumer;
      this.received = new Received(consumer, partition, POLL);
      this.transactions = new GroupTransactions(producer, partition, consumer::groupMetadata);
      this.values = values;
      this.records = new TransferRecords(topics, values, NAME, instance);
    }

    void run() {
      try (Consumer<byte[], byte[]> models = making.models().get();
          Admin admin = clients.admin()) {
        BrokerWatch brokers = making.watches().apply(admin);
        TopicPartition releases = OnePartition.of(models, topics.models().name());
        var unused = OnePartition.of(models, partition.topic());
        models.assign(List.of(releases));
        models.seekToBeginning(List.of(releases));
        consumer.subscribe(List.of(partition.topic()), this);
        while (stop.getCount() > 0) {
          brokers.look();
          poll();
          speak();
          if (owner && !recovered) {
            recover();
          }
          if (owner && recovered) {
            health.ready(PART);
            follow(models, releases);
            tellAgain();
            work(models, releases);
          } else if (!owner && consumer.groupMetadata().generationId() >= 0) {
            health.ready(PART); // without the partition it stands by, which is what it is for
          }
        }
      } finally {
        abandon();
        await();
      }
    }

    /** Where the log no longer holds the place to be read next, all of it is read anew. */
    private void poll() {
      try {
        received.poll(worker.isAlive());
      } catch (OffsetOutOfRangeException e) {
        LOG.error(
            "{}: the log no longer holds the place that was to be read next: retention deleted it,"
                + " an election cut it off, or the topic was made anew; it is read from its"
                + " beginning",
            partition);
        letGo();
        recovered = false;
        transactions.startsAt(received.beginAnew());
      }
    }

    /** A job that was stopped ends at its next piece; a call of the judge may take longer. */
    private void await() {
      try {
        worker.join(Math.max(1, config.runtime().shutdownGrace().toMillis()));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
      if (!assigned.contains(partition)) {
        return;
      }
      owner = true;
      recovered = false;
      transactions.startsAt(received.begin());
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
      if (revoked.contains(partition)) {
        owner = false;
        letGo();
      }
    }

    private void letGo() {
      received.clear();
      unfinished.clear();
      abandon();
    }

    /** Stops the job without a word; its successor finds what it left. */
    private void abandon() {
      job.ifPresent(TransferJob::stop);
      job = Optional.empty();
      for (Said said = outbox.poll(); said != null; said = outbox.poll()) {
        said.committed().completeExceptionally(new StoppedException());
      }
    }

    /** Reads all there is, to know what is true and what is unfinished. */
    private void recover() {
      states = new TransferStates();
      TopicReader.read(clients, partition.topic(), NAME + "-recovery", this::apply);
      unfinished.clear();
      unfinished.addAll(states.unfinished());
      unfinished.forEach(event -> LOG.info("transfer {} is resumed", event.getTransferId()));
      recovered = true;
    }

    /** Takes a record that may be anything; what is no event counts as nothing. */
    private void apply(ConsumerRecord<byte[], byte[]> record) {
      try {
        Optional<TransferEvent> unused = records.take(record, states);
      } catch (UnreadableException e) {
        LOG.debug("{} at offset {} is no transfer event: {}", partition, record.offset(), e.code());
      }
    }

    /**
     * What is no event goes to the dead letter queue, in one transaction with its offset and with
     * what is true of its key: as the last record of that key it would be what compaction keeps.
     * Where nothing is known of the key, a FAILED names the record by its place: under the key it
     * would answer a request that follows, and that was not read yet.
     */
    private void deadLetter(ConsumerRecord<byte[], byte[]> record, UnreadableException why) {
      SourceRecord source = SourceRecord.of(record);
      TransferEvent last =
          source
              .keyText()
              .flatMap(states::find)
              .orElseGet(
                  () ->
                      TransferEvent.newBuilder()
                          .setTransferId(source.place())
                          .setState(TransferState.FAILED)
                          .setReason(why.code() + ": " + why.sentence())
                          .setInstance(instance)
                          .setOccurredAt(Instant.now())
                          .build());
      Topic queue = topics.deadLettersOf(topics.transfers());
      write(
          last,
          Optional.of(
              DeadLetters.of(
                  queue.name(),
                  queue.maxMessageBytes(),
                  source,
                  new Failure(why.code(), why.sentence()),
                  1,
                  NAME)),
          Optional.of(record.offset() + 1));
      unreadable.increment();
      LOG.warn("{} went to {}: {}", source, queue.name(), why.code());
    }

    /** Starts what is next, if nothing runs. */
    private void work(Consumer<byte[], byte[]> models, TopicPartition releases) {
      if (worker.isAlive()) {
        return; // of this owner, or one that was told to stop and is not there yet
      }
      speak();
      job = Optional.empty();
      TransferEvent resumed = unfinished.poll();
      if (resumed != null) {
        begin(resumed, /* again= */ true);
        return;
      }
      Optional<ConsumerRecord<byte[], byte[]>> next = received.next();
      if (next.isEmpty()) {
        return;
      }
      ConsumerRecord<byte[], byte[]> record = next.get();
      Optional<TransferEvent> event;
      try {
        event = records.take(record, states);
      } catch (UnreadableException e) {
        deadLetter(record, e);
        return;
      }
      if (event.isEmpty() || event.get().getState() != TransferState.REQUESTED) {
        return; // the offset goes with the next transaction that has one
      }
      Optional<TransferEvent> known = states.find(event.get().getTransferId());
      boolean isPublished =
          known.filter(last -> last.getState() == TransferState.PUBLISHED).isPresent();
      if (isPublished && !isRead(models, releases)) {
        received.putBack(record); // nobody knows yet whether its release is still there
        return;
      }
      boolean isWithdrawn = isPublished && isWithdrawn(known.get());
      if (isWithdrawn) {
        // What withdrew it may have told so on the transfers' topic, behind this request.
        TopicReader.read(clients, partition.topic(), NAME + "-rest", this::apply);
        known = states.find(event.get().getTransferId());
        isWithdrawn =
            known.filter(last -> last.getState() == TransferState.PUBLISHED).isPresent()
                && isWithdrawn(known.get());
      }
      if (isWithdrawn) {
        LOG.info(
            "transfer {} is carried out again: its release of {} was withdrawn",
            event.get().getTransferId(),
            event.get().getModelId());
      }
      if (isWithdrawn || states.isNew(record.offset(), event.get())) {
        TransferEvent started =
            TransferEvent.newBuilder(event.get())
                .setState(TransferState.STARTED)
                .setInstance(instance)
                .setOccurredAt(Instant.now())
                .build();
        write(started, Optional.empty(), Optional.of(record.offset() + 1));
        begin(started, /* again= */ false);
      } else {
        // The last event of a key is what is true, and that must not be the repeated request.
        if (known.isPresent() && known.get().getState() != TransferState.REQUESTED) {
          LOG.info("transfer {} was requested again", event.get().getTransferId());
          write(known.get(), Optional.empty(), Optional.of(record.offset() + 1));
        }
      }
    }

    /** Whether the model of a transfer that was published is not what is released now. */
    private boolean isWithdrawn(TransferEvent published) {
      return announced
          .find(published.getModelId())
          .filter(release -> release.getDigest().equals(published.getDigest()))
          .isEmpty();
    }

    private void begin(TransferEvent started, boolean again) {
      CompletableFuture<TransferJob> self = new CompletableFuture<>();
      TransferJob next =
          new TransferJob(
              config,
              instance,
              started,
              again,
              new TransferJob.Voice() {
                @Override
                public void say(TransferEvent event, Optional<ModelRelease> release) {
                  CompletableFuture<Void> committed = new CompletableFuture<>();
                  outbox.add(new Said(self.join(), event, release, committed));
                  if (self.join().isStopped()) {
                    committed.completeExceptionally(new StoppedException());
                  }
                  try {
                    committed.join();
                  } catch (CompletionException | CancellationException e) {
                    throw new StoppedException();
                  }
                }

                @Override
                public void progress(TransferEvent event) {
                  outbox.add(
                      new Said(self.join(), event, Optional.empty(), new CompletableFuture<>()));
                }
              },
              halt);
      self.complete(next);
      job = Optional.of(next);
      worker = new Thread(next, "transfer-job");
      worker.setDaemon(true);
      worker.start();
    }

    /** Writes what the job has to say. */
    private void speak() {
      for (Said said = outbox.peek(); said != null; said = outbox.peek()) {
        if (!owner
            || job.isEmpty()
            || job.get() != said.job()
            || said.committed().isCompletedExceptionally()) {
          said.committed().completeExceptionally(new StoppedException());
        } else {
          if (!written(said)) {
            return;
          }
          said.committed().complete(null);
          if (TransferStates.isTerminal(said.event().getState())) {
            meters.counter("whence.transfers", "state", said.event().getState().name()).increment();
          }
        }
        outbox.poll();
      }
    }

    /** Returns whether it is; the group may be giving its members other numbers just now. */
    private boolean written(Said said) {
      try {
        write(said.event(), said.release().map(records::of), Optional.empty());
        refused = 0;
        return true;
      } catch (CommitFailedException e) {
        refused++;
        if (refused == MOST_REFUSALS) {
          throw e;
        }
        LOG.warn("an event is not taken from this member of the group; trying again after a poll");
        return false;
      }
    }

    /** An event and what belongs to it, in one transaction. */
    private void write(
        TransferEvent event,
        Optional<ProducerRecord<byte[], byte[]>> more,
        Optional<Long> nextOffset) {
      List<ProducerRecord<byte[], byte[]>> both = new ArrayList<>();
      both.add(records.of(event));
      more.ifPresent(both::add);
      List<RecordMetadata> places =
          nextOffset.isPresent()
              ? transactions.write(both, nextOffset.get())
              : transactions.write(both);
      states.written(places.get(0).offset(), event);
      if (more.isPresent() && more.get().topic().equals(topics.models().name())) {
        lastRelease = places.get(1).offset();
      }
    }

    /** Reads what was announced; new bases of a subscribed line become requests. */
    private void follow(Consumer<byte[], byte[]> models, TopicPartition releases) {
      ConsumerRecords<byte[], byte[]> polled = models.poll(Duration.ZERO);
      while (!polled.isEmpty()) {
        polled.forEach(this::announce);
        polled = models.poll(Duration.ZERO);
      }
      if (!subscriptions.isWaiting() || !isRead(models, releases)) {
        return; // an older base would be asked for before the newest is known
      }
      for (TransferEvent request : subscriptions.due()) {
        if (states.find(request.getTransferId()).isEmpty()) {
          LOG.info("{} asks for {}", request.getRequestedBy(), request.getModelId());
          // Read back like any request: it counts from its own offset on.
          var unused = transactions.write(List.of(records.of(request)));
        }
      }
    }

    private void announce(ConsumerRecord<byte[], byte[]> record) {
      if (record.key() == null) {
        return;
      }
      String modelId = new String(record.key(), StandardCharsets.UTF_8);
      if (record.value() == null) {
        announced.withdrawn(modelId);
        return;
      }
      try {
        ModelRelease release = LiveReleases.read(record.value(), values);
        if (release.getModelId().equals(modelId)) {
          announced.released(record.offset(), release);
        } else { // no tombstone could withdraw it
          LOG.warn("{} at offset {}: its key is not the modelId", record.topic(), record.offset());
        }
      } catch (UnreadableException e) {
        LOG.warn("{} at offset {}: {}", record.topic(), record.offset(), e.sentence());
      }
    }

    /**
     * What became of a subscription's request is told again before the topic's retention takes it:
     * a processor that starts after that would ask once more.
     */
    private void tellAgain() {
      Instant old = Instant.now().minus(TELL_AGAIN);
      for (String id : subscriptions.asked()) {
        Optional<TransferEvent> ended =
            states
                .find(id)
                .filter(event -> TransferStates.isTerminal(event.getState()))
                .filter(event -> told.getOrDefault(id, event.getOccurredAt()).isBefore(old));
        if (ended.isPresent()) {
          LOG.info("transfer {} ended long ago and is told again", id);
          write(ended.get(), Optional.empty(), Optional.empty());
          told.put(id, Instant.now());
        }
      }
    }

    /**
     * Whether all releases are read. The end may be told before the last transaction's markers are
     * written, so what was written here is looked for by its offset.
     */
    private boolean isRead(Consumer<byte[], byte[]> models, TopicPartition releases) {
      Long end = models.endOffsets(List.of(releases), LOOK_UP).get(releases);
      long position = models.position(releases, LOOK_UP);
      return end != null && position >= end && position > lastRelease;
    }
  }
}
