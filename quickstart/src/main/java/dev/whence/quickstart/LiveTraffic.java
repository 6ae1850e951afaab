package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.producer.Whence;
import dev.whence.quickstart.view.DisplayText;
import dev.whence.quickstart.view.LiveView;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.Attribution;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * The application's thread: takes responses from the {@link Traffic}, records them through the SDK
 * as an application would, and remembers those that have no attribution yet. In the place of one
 * that can not be delivered comes another.
 */
final class LiveTraffic implements AutoCloseable {
  /** So many responses in a row that can not be delivered end the traffic. */
  private static final int MOST_UNDELIVERED = 20;

  private final Traffic traffic;
  private final Whence sdk;
  private final LiveView view;
  private final PrintStream errors;
  private final Duration pause;

  /** How many are still to be sent. */
  private final Semaphore left;

  /** How many more may be on their way. */
  private final Semaphore room;

  /** By id, in the order they were sent: an input may use an id twice. Guarded by itself. */
  private final Map<String, Queue<OnItsWay>> onTheirWay = new HashMap<>();

  private final AtomicInteger undelivered = new AtomicInteger();
  private final Thread thread = new Thread(this::run, "quickstart-application");
  private volatile boolean stopping;
  private volatile @Nullable Exception failure;

  /** A response that waits for its attribution. */
  static final class OnItsWay {
    private final Conversation conversation;
    private volatile Optional<Long> acknowledgedNanos = Optional.empty();

    private OnItsWay(Conversation conversation) {
      this.conversation = conversation;
    }

    Conversation conversation() {
      return conversation;
    }

    /** Time since the broker acknowledged it, if it is known. */
    Optional<Duration> sinceAcknowledged() {
      return acknowledgedNanos.map(at -> Duration.ofNanos(System.nanoTime() - at));
    }
  }

  /**
   * @param responses how many to deliver, or {@link Integer#MAX_VALUE}
   * @param pause from the beginning of one answer to that of the next, at least
   * @param errors where one sentence says which response could not be delivered
   */
  LiveTraffic(
      Traffic traffic,
      Whence sdk,
      LiveView view,
      int responses,
      Duration pause,
      PrintStream errors) {
    this.traffic = traffic;
    this.sdk = sdk;
    this.view = view;
    this.pause = pause;
    this.errors = errors;
    this.left = new Semaphore(responses);
    this.room = new Semaphore(traffic.inFlight());
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  private void run() {
    try {
      long due = System.nanoTime();
      while (!stopping) {
        left.acquire(); // waits for ever when all are delivered, until it is stopped
        room.acquire();
        TimeUnit.NANOSECONDS.sleep(due - System.nanoTime());
        due = Math.max(due, System.nanoTime() - pause.toNanos()) + pause.toNanos();
        view.activity(traffic.activity());
        Optional<Conversation> next = traffic.next();
        if (next.isEmpty()) {
          throw new IOException("the input holds no response that can be read");
        }
        if (!stopping) {
          send(next.get());
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException | RuntimeException e) {
      failure = e;
    } catch (Error e) { // an input line that is larger than the heap: nobody else would see it
      failure = new ExecutionException(e);
    }
  }

  private void send(Conversation conversation) {
    OnItsWay sent = new OnItsWay(conversation);
    String id = conversation.responseId();
    synchronized (onTheirWay) {
      onTheirWay.computeIfAbsent(id, unused -> new ArrayDeque<>()).add(sent);
    }
    view.activity("attributing " + id);
    var unused =
        sdk.record(LlmResponses.toAvro(conversation))
            .whenComplete(
                (delivery, problem) -> {
                  if (problem == null) {
                    undelivered.set(0);
                    sent.acknowledgedNanos = Optional.of(System.nanoTime());
                  } else if (forget(id, sent)) {
                    notDelivered(id, problem);
                  }
                });
  }

  private boolean forget(String id, OnItsWay sent) {
    synchronized (onTheirWay) {
      Queue<OnItsWay> same = onTheirWay.get(id);
      if (same == null || !same.remove(sent)) {
        return false;
      }
      if (same.isEmpty()) {
        onTheirWay.remove(id);
      }
      return true;
    }
  }

  private void notDelivered(String id, Throwable problem) {
    if (undelivered.incrementAndGet() >= MOST_UNDELIVERED) {
      failure = new IOException(MOST_UNDELIVERED + " responses in a row could not be sent");
    } else if (!stopping) {
      errors.println(
          "response "
              + DisplayText.clean(id)
              + " could not be sent ("
              + problem.getMessage()
              + "); the next one takes its place");
    }
    room.release();
    left.release();
  }

  /** The response that an attribution is about, if this traffic sent it and still waits for it. */
  Optional<OnItsWay> arrived(Attribution attribution) {
    Optional<OnItsWay> sent = oldest(attribution.getResponseId());
    if (sent.isPresent()) {
      room.release();
    }
    return sent;
  }

  /** Records with one id are in one partition, so their attributions come in the same order. */
  private Optional<OnItsWay> oldest(String id) {
    synchronized (onTheirWay) {
      Queue<OnItsWay> same = onTheirWay.get(id);
      if (same == null) {
        return Optional.empty();
      }
      Optional<OnItsWay> first = Optional.ofNullable(same.poll());
      if (same.isEmpty()) {
        onTheirWay.remove(id);
      }
      return first;
    }
  }

  /**
   * @throws Exception what ended the traffic, if something did
   */
  void check() throws Exception {
    Exception ended = failure;
    if (ended != null) {
      throw ended;
    }
  }

  /** Sends nothing more; does not wait for an answer that the model is writing. */
  void stop() {
    stopping = true;
    thread.interrupt();
  }

  @Override
  public void close() {
    stop();
  }
}
