package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.producer.Whence;
import dev.whence.quickstart.view.LiveView;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.Attribution;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * The application's thread: takes responses from the {@link Traffic}, records them through the SDK
 * as an application would, and remembers those that have no attribution yet.
 */
final class LiveTraffic implements AutoCloseable {
  /** So many responses in a row that can not be delivered end the traffic. */
  private static final int MOST_UNDELIVERED = 20;

  private final Traffic traffic;
  private final Whence sdk;
  private final LiveView view;
  private final int responses;
  private final Duration pause;
  private final Semaphore room;
  private final Map<String, OnItsWay> onTheirWay = new ConcurrentHashMap<>();
  private final AtomicInteger undelivered = new AtomicInteger();
  private final Thread thread = new Thread(this::run, "quickstart-application");
  private volatile boolean stopping;
  private volatile @Nullable Exception failure;

  /**
   * A response that waits for its attribution.
   *
   * @param acknowledgedNanos when the broker had it, {@link System#nanoTime}; 0 before
   */
  record OnItsWay(Conversation conversation, long acknowledgedNanos) {
    /** Time since the broker acknowledged it, if it is known. */
    Optional<Duration> sinceAcknowledged() {
      return acknowledgedNanos == 0
          ? Optional.empty()
          : Optional.of(Duration.ofNanos(System.nanoTime() - acknowledgedNanos));
    }
  }

  /**
   * @param responses how many to send, or {@link Integer#MAX_VALUE}
   * @param pause from the beginning of one answer to that of the next, at least
   */
  LiveTraffic(Traffic traffic, Whence sdk, LiveView view, int responses, Duration pause) {
    this.traffic = traffic;
    this.sdk = sdk;
    this.view = view;
    this.responses = responses;
    this.pause = pause;
    this.room = new Semaphore(traffic.inFlight());
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  private void run() {
    try {
      int sent = 0;
      long due = System.nanoTime();
      while (!stopping && sent < responses) {
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
          sent++;
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException | RuntimeException e) {
      failure = e;
    }
  }

  private void send(Conversation conversation) {
    String id = conversation.responseId();
    onTheirWay.put(id, new OnItsWay(conversation, 0));
    view.activity("attributing " + id);
    var unused =
        sdk.record(LlmResponses.toAvro(conversation))
            .whenComplete(
                (delivery, problem) -> {
                  if (problem == null) {
                    undelivered.set(0);
                    long now = System.nanoTime();
                    onTheirWay.computeIfPresent(id, (i, sent) -> new OnItsWay(conversation, now));
                  } else if (onTheirWay.remove(id) != null) {
                    notDelivered(id, problem);
                  }
                });
  }

  private void notDelivered(String id, Throwable problem) {
    room.release();
    if (!stopping) {
      view.line("response " + id + " could not be sent: " + problem.getMessage());
    }
    if (undelivered.incrementAndGet() >= MOST_UNDELIVERED) {
      failure = new IOException(MOST_UNDELIVERED + " responses in a row could not be sent");
    }
  }

  /** The response that an attribution is about, if this traffic sent it and still waits for it. */
  Optional<OnItsWay> arrived(Attribution attribution) {
    Optional<OnItsWay> sent = Optional.ofNullable(onTheirWay.remove(attribution.getResponseId()));
    if (sent.isPresent()) {
      room.release();
    }
    return sent;
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
