package dev.whence.producer;

import dev.whence.producer.DeliveryException.Reason;
import dev.whence.schemas.EventHeaders;
import dev.whence.schemas.avro.LlmResponse;
import java.io.IOException;
import java.io.OutputStream;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.SerializationException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that serialises and sends. Whatever may block does so here: Kafka's producer waits
 * for metadata, the serializer for the registry. What is the record's fault fails its future; what
 * is the environment's (no broker, no registry, schema not registered yet, no permission yet) is
 * tried again until it works or the SDK is closed.
 *
 * <p>That a permission is missing is known only when a broker answers, after Kafka's producer took
 * the record: then it goes back into the queue. Until one is delivered again, records are sent one
 * by one, with pauses, each after the answer to the one before.
 */
final class Sender implements Runnable {
  private static final Logger LOG = LoggerFactory.getLogger(Sender.class);
  private static final String STAGE = "sdk";
  private static final long FIRST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 2_000;
  private static final long QUIET_NANOS = TimeUnit.MINUTES.toNanos(1);

  /** How soon a loss is told while there is nothing to send. */
  private static final Duration LOOK_UP = Duration.ofSeconds(1);

  private final ProducerSettings settings;
  private final SendQueue queue;
  private final Tally tally;
  private final Losses losses;
  private final Supplier<Producer<String, Object>> producers;
  private final Thread thread;
  private final CountDownLatch givingUp = new CountDownLatch(1);

  /** What permission was missing, if nothing was delivered since. Set by Kafka's thread. */
  private volatile @Nullable AuthorizationException refusal;

  // Of the sending thread alone.
  private @Nullable Producer<String, Object> producer;
  private long refusalPause = FIRST_PAUSE_MS;
  private boolean troubled;
  private long lastWarning;
  private long lastError = System.nanoTime() - QUIET_NANOS;

  Sender(ProducerSettings settings, SendQueue queue, Tally tally, Losses losses) {
    this(settings, queue, tally, losses, () -> new KafkaProducer<>(settings.producer()));
  }

  Sender(
      ProducerSettings settings,
      SendQueue queue,
      Tally tally,
      Losses losses,
      Supplier<Producer<String, Object>> producers) {
    this.settings = settings;
    this.queue = queue;
    this.tally = tally;
    this.losses = losses;
    this.producers = producers;
    this.thread = new Thread(this, "whence-sdk");
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /** Sends what is queued, then ends the thread; true if everything was delivered in time. */
  boolean close(Duration atMost) {
    queue.close();
    boolean finished = false;
    boolean interrupted = false;
    try {
      finished = queue.awaitFinished(atMost);
    } catch (InterruptedException e) {
      interrupted = true;
    }
    givingUp.countDown();
    if (!finished) {
      thread.interrupt();
    }
    try {
      // The thread may sit in a read from the registry, which nothing interrupts.
      thread.join(LONGEST_PAUSE_MS);
    } catch (InterruptedException e) {
      interrupted = true;
    }
    for (Pending rest : queue.drain()) {
      failClosed(rest);
    }
    losses.tell(); // where the thread takes longer than it was waited for
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return finished;
  }

  @Override
  public void run() {
    try {
      while (!queue.isExhausted()) {
        Pending next = queue.take(LOOK_UP);
        if (next != null) {
          deliver(next);
        }
        losses.tellNowAndThen();
      }
      while (!givingUp.await(LOOK_UP.toMillis(), TimeUnit.MILLISECONDS)) {
        losses.tellNowAndThen();
      }
    } catch (InterruptedException | InterruptException e) {
      LOG.debug("Told to give up");
    } catch (Throwable e) {
      LOG.error("The sending of responses has ended for good: {}", where(e));
    } finally {
      // An error that ends this thread must not leave callers with futures that never complete.
      givingUp.countDown();
      queue.close();
      for (Pending rest : queue.drain()) {
        failClosed(rest);
      }
      // The producer's own thread is waited for, which an interrupt would cut short.
      boolean interrupted = Thread.interrupted();
      abandonProducer();
      losses.tell();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void deliver(Pending pending) throws InterruptedException {
    boolean handedOver = false;
    try {
      handedOver = mayBeSent() && handOver(pending);
    } catch (Error e) {
      // A stack that overflows over one response, a class that one of them needs and that is not
      // there: no reason to lose all that come after it.
      error(e);
      unwritable(pending, e);
    } finally {
      if (!handedOver) {
        failClosed(pending);
      }
    }
  }

  /** Waits if a permission is missing; false if the SDK is closed meanwhile. */
  private boolean mayBeSent() throws InterruptedException {
    AuthorizationException missing = refusal;
    if (missing == null) {
      refusalPause = FIRST_PAUSE_MS;
      return true;
    }
    trouble(missing);
    long pause = refusalPause;
    refusalPause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    return !givingUp.await(pause, TimeUnit.MILLISECONDS);
  }

  private void error(Error problem) {
    if (System.nanoTime() - lastError >= QUIET_NANOS) {
      lastError = System.nanoTime();
      LOG.error("A response is lost to an error, the sending goes on: {}", where(problem));
    }
  }

  /** Class and place; the message might quote a response. */
  private static String where(Throwable problem) {
    StackTraceElement[] trace = problem.getStackTrace();
    return problem.getClass().getName() + (trace.length == 0 ? "" : " at " + trace[0]);
  }

  /** Tries until Kafka's producer has the response, or it is known to be at fault. */
  private boolean handOver(Pending pending) throws InterruptedException {
    for (long pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      Handover handover = new Handover(pending);
      try {
        if (attempt(pending, handover)) {
          if (refusal != null) {
            handover.awaitAnswer();
          }
          if (refusal == null) {
            recovered();
          }
          return true;
        }
      } catch (InterruptException e) {
        throw e;
      } catch (SerializationException e) {
        if (!encodes(pending.response())) {
          fail(pending, Reason.INVALID, "the response can not be written as Avro", null);
          return true;
        }
        trouble(e);
      } catch (KafkaException | IllegalStateException e) {
        // The producer is beyond use, or could not be made: the next attempt makes a new one.
        trouble(e);
        boolean decided = !handover.takeBack();
        abandonProducer();
        if (decided) {
          return true;
        }
      } catch (RuntimeException e) {
        // A record of generated code may hold nulls where its schema has none. What one response
        // makes happen must not end the sending of all others.
        unwritable(pending, e);
        return true;
      }
      losses.tellNowAndThen();
      if (givingUp.await(pause, TimeUnit.MILLISECONDS)) {
        return false;
      }
    }
  }

  /** Hands a response to Kafka's producer; false if it is to be tried again. */
  private boolean attempt(Pending pending, Handover handover) {
    LlmResponse response = pending.response();
    ProducerRecord<String, Object> record =
        new ProducerRecord<>(settings.topic().name(), response.getResponseId(), response);
    headers(response).forEach((name, value) -> record.headers().add(name, value));
    Future<RecordMetadata> unused = producer().send(record, handover);
    return handover.done();
  }

  /**
   * What comes of one send. A problem that Kafka's producer has before it takes the record is
   * reported by calling back from within send, and is tried again unless it is the record's own
   * fault; any later problem is final, since the producer has retried it by itself, unless a
   * permission is missing. Where send throws after it took the record, either the sending thread
   * takes it back or the callback decides, whichever comes first.
   */
  private final class Handover implements Callback {
    private final Pending pending;
    private final Thread caller = Thread.currentThread();
    private final AtomicBoolean decided = new AtomicBoolean();
    private final CountDownLatch answered = new CountDownLatch(1);
    private boolean sending = true;
    private boolean again;

    Handover(Pending pending) {
      this.pending = pending;
    }

    @Override
    public void onCompletion(RecordMetadata metadata, @Nullable Exception problem) {
      if (problem != null
          && Thread.currentThread() == caller
          && sending
          && !isRecordsFault(problem)) {
        again = true;
        trouble(problem);
      } else if (decided.compareAndSet(false, true)) {
        decide(metadata, problem);
        answered.countDown();
      }
    }

    private void decide(RecordMetadata metadata, @Nullable Exception problem) {
      if (problem == null) {
        refusal = null;
        if (pending.finished().compareAndSet(false, true)) {
          tally.delivered.increment();
          queue.finished(pending);
          pending
              .delivery()
              .complete(new Delivery(metadata.topic(), metadata.partition(), metadata.offset()));
        }
      } else if (problem instanceof AuthorizationException missing) {
        refusal = missing;
        if (!pending.finished().get() && !queue.putBack(pending)) {
          failClosed(pending);
        }
      } else {
        fail(
            pending,
            reasonOf(problem),
            "Kafka did not take the response: " + problem.getClass().getSimpleName(),
            problem);
      }
    }

    /** Whether the record is the sending thread's again; what is called back later is ignored. */
    boolean takeBack() {
      return decided.compareAndSet(false, true);
    }

    /** Waits until it is decided what became of the record, or the SDK is closed. */
    void awaitAnswer() throws InterruptedException {
      while (givingUp.getCount() > 0
          && !answered.await(LOOK_UP.toMillis(), TimeUnit.MILLISECONDS)) {
        losses.tellNowAndThen();
      }
    }

    /** Whether the producer has the record, or it was refused for good. */
    boolean done() {
      sending = false;
      return !again;
    }
  }

  private static boolean isRecordsFault(Exception problem) {
    return problem instanceof RecordTooLargeException || problem instanceof InvalidTopicException;
  }

  private Reason reasonOf(Exception problem) {
    if (problem instanceof RecordTooLargeException) {
      return Reason.TOO_LARGE;
    }
    // A producer that is closed aborts what is in flight with the bare class, but one that is
    // replaced does so, too.
    boolean aborted = problem.getClass() == KafkaException.class;
    return aborted && givingUp.getCount() == 0 ? Reason.CLOSED : Reason.REFUSED;
  }

  private Map<String, byte[]> headers(LlmResponse response) {
    return EventHeaders.of(
            LlmResponse.getClassSchema(),
            STAGE,
            settings.instanceId(),
            response.getResponseId(),
            0,
            response.getTraceparent())
        .toMap();
  }

  private Producer<String, Object> producer() {
    Producer<String, Object> current = producer;
    if (current == null) {
      try {
        current = producers.get();
      } catch (KafkaException e) {
        throw new Trouble.NoClient(e);
      }
      producer = current;
    }
    return current;
  }

  private void abandonProducer() {
    if (producer != null) {
      producer.close(Duration.ZERO);
      producer = null;
    }
  }

  private void fail(Pending pending, Reason reason, String message, @Nullable Exception cause) {
    fail(pending, new DeliveryException(reason, message, cause), cause);
  }

  /** Without its cause, whose message might quote the response. */
  private void unwritable(Pending pending, Throwable cause) {
    String message = "the response can not be written: " + cause.getClass().getSimpleName();
    fail(pending, new DeliveryException(Reason.INVALID, message, null), cause);
  }

  /** What was recorded is either delivered or fails, once: an error may come after the callback. */
  private void fail(Pending pending, DeliveryException problem, @Nullable Throwable cause) {
    if (!pending.finished().compareAndSet(false, true)) {
      return;
    }
    tally.failed.increment();
    if (problem.reason() != Reason.CLOSED) {
      // Of what close gives up, close tells.
      losses.add(problem.reason(), cause);
    }
    queue.finished(pending);
    pending.delivery().completeExceptionally(problem);
  }

  private void failClosed(Pending pending) {
    fail(pending, Reason.CLOSED, "Whence was closed before the response was sent", null);
  }

  /** Whether the record's own content can be written, registry aside. */
  private static boolean encodes(LlmResponse response) {
    BinaryEncoder nowhere =
        EncoderFactory.get().binaryEncoder(OutputStream.nullOutputStream(), null);
    try {
      new SpecificDatumWriter<>(LlmResponse.class).write(response, nowhere);
      return true;
    } catch (IOException | AvroRuntimeException | NullPointerException | ClassCastException e) {
      return false;
    }
  }

  private void trouble(Exception problem) {
    long now = System.nanoTime();
    if (!troubled || now - lastWarning > QUIET_NANOS) {
      lastWarning = now;
      LOG.warn("Responses wait in the queue: {}; trying on", Trouble.of(problem));
    }
    troubled = true;
  }

  private void recovered() {
    if (troubled) {
      LOG.info("Responses are being sent again");
      troubled = false;
    }
  }
}
