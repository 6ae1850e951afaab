package dev.whence.transfer.stage;

import dev.whence.runtime.dlq.DeadLetters;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.BrokerWatch;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.Topic;
import dev.whence.schemas.avro.TransferEvent;
import dev.whence.schemas.avro.TransferState;
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
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The life of one consumer and one producer of {@link TransferStage}: which transfers there are, is
 * known as long as they live. Owned by the stage's thread, but for what a job says ({@link
 * Outbox}).
 */
final class TransferSession implements ConsumerRebalanceListener {
  private static final Logger LOG = LoggerFactory.getLogger(TransferSession.class);
  private static final Duration POLL = Duration.ofMillis(100);

  /**
   * So many refused writes in a row, each followed by a poll, are taken for a rebalance in
   * progress; after that the session starts over with new clients.
   */
  static final int MOST_REFUSALS = 5;

  /** A third of the time that the topic keeps a transfer's last event. */
  private static final Duration TELL_AGAIN = Duration.ofDays(30);

  private final TransferStage.Context context;
  private final TopicPartition partition;
  private final Consumer<byte[], byte[]> consumer;
  private final GroupTransactions transactions;
  private final TransferRecords records;
  private final Received received;
  private final Deque<TransferEvent> unfinished = new ArrayDeque<>();
  private final FollowedReleases releases;
  private final Subscriptions subscriptions;
  private final BrokerWatch brokers;
  private final Map<String, Instant> told = new HashMap<>();
  private TransferStates states = new TransferStates();
  private int refused;
  private boolean owner;
  private boolean recovered;
  private Optional<TransferJob> job = Optional.empty();
  private Thread worker = new Thread();

  TransferSession(
      TransferStage.Context context,
      Consumer<byte[], byte[]> consumer,
      Producer<byte[], byte[]> producer,
      AvroValues values,
      FollowedReleases releases,
      BrokerWatch brokers) {
    this.context = context;
    this.partition = context.partition();
    this.consumer = consumer;
    this.received = new Received(consumer, partition, POLL);
    this.transactions = new GroupTransactions(producer, partition, consumer::groupMetadata);
    this.records =
        new TransferRecords(context.topics(), values, TransferStage.NAME, context.instance());
    this.releases = releases;
    this.subscriptions = new Subscriptions(context.config().subscriptions(), releases.announced());
    this.brokers = brokers;
  }

  /** Runs until the stage is closed. */
  void run() {
    consumer.subscribe(List.of(partition.topic()), this);
    try {
      while (!context.isClosed().getAsBoolean()) {
        brokers.look();
        poll();
        speak();
        if (owner && !recovered) {
          recover();
        }
        if (owner && recovered) {
          sayReady();
          follow();
          tellAgain();
          work();
        } else if (!owner && consumer.groupMetadata().generationId() >= 0) {
          sayReady(); // without the partition it stands by, which is what it is for
        }
      }
    } finally {
      abandon();
      await();
    }
  }

  private void sayReady() {
    context.health().ready(TransferStage.PART);
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
      worker.join(Math.max(1, context.config().runtime().shutdownGrace().toMillis()));
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
    context.outbox().refuseAll();
  }

  /** Reads all there is, to know what is true and what is unfinished. */
  private void recover() {
    states = new TransferStates();
    TopicReader.read(
        context.clients(), partition.topic(), TransferStage.NAME + "-recovery", this::apply);
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
                        .setInstance(context.instance())
                        .setOccurredAt(Instant.now())
                        .build());
    Topic queue = context.topics().deadLettersOf(context.topics().transfers());
    write(
        last,
        Optional.of(
            DeadLetters.of(
                queue.name(),
                queue.maxMessageBytes(),
                source,
                new Failure(why.code(), why.sentence()),
                1,
                TransferStage.NAME)),
        Optional.of(record.offset() + 1));
    context.unreadable().increment();
    LOG.warn("{} went to {}: {}", source, queue.name(), why.code());
  }

  /** Starts what is next, if nothing runs. */
  private void work() {
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
    if (isPublished && !releases.isRead()) {
      received.putBack(record); // nobody knows yet whether its release is still there
      return;
    }
    boolean isWithdrawn = isPublished && releases.isWithdrawn(known.get());
    if (isWithdrawn) {
      // What withdrew it may have told so on the transfers' topic, behind this request.
      TopicReader.read(
          context.clients(), partition.topic(), TransferStage.NAME + "-rest", this::apply);
      known = states.find(event.get().getTransferId());
      isWithdrawn =
          known.filter(last -> last.getState() == TransferState.PUBLISHED).isPresent()
              && releases.isWithdrawn(known.get());
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
              .setInstance(context.instance())
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

  private void begin(TransferEvent started, boolean again) {
    CompletableFuture<TransferJob> self = new CompletableFuture<>();
    TransferJob next =
        new TransferJob(
            context.config(),
            context.instance(),
            started,
            again,
            context.outbox().voice(self),
            context.halt());
    self.complete(next);
    job = Optional.of(next);
    worker = new Thread(next, "transfer-job");
    worker.setDaemon(true);
    worker.start();
  }

  /** Writes what the job has to say. */
  private void speak() {
    Optional<Outbox.Said> next = context.outbox().next();
    while (next.isPresent()) {
      Outbox.Said said = next.get();
      if (!owner || job.isEmpty() || job.get() != said.job() || said.isRefused()) {
        said.refuse();
      } else {
        if (!written(said)) {
          return;
        }
        said.committed().complete(null);
        String state = said.event().getState().name();
        if (TransferStates.isTerminal(said.event().getState())) {
          context.meters().counter("whence.transfers", "state", state).increment();
        }
      }
      context.outbox().remove(said);
      next = context.outbox().next();
    }
  }

  /** Returns whether it is; the group may be giving its members other numbers just now. */
  private boolean written(Outbox.Said said) {
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
    if (more.isPresent() && more.get().topic().equals(context.topics().models().name())) {
      releases.wrote(places.get(1).offset());
    }
  }

  /** Reads what was announced; new bases of a subscribed line become requests. */
  private void follow() {
    releases.poll();
    if (!subscriptions.isWaiting() || !releases.isRead()) {
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

  /**
   * What became of a subscription's request is told again before the topic's retention takes it: a
   * processor that starts after that would ask once more.
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
}
