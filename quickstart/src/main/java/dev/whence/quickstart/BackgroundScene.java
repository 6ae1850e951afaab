package dev.whence.quickstart;

import dev.whence.quickstart.view.LiveView;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.schemas.EventHeaders;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.function.UnaryOperator;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.jspecify.annotations.Nullable;

/** A scene on a thread of its own, which begins after {@link Scene#BEGINS_AFTER} answers. */
abstract class BackgroundScene implements Scene {
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  private final LiveView view;
  private final UnaryOperator<String> line;
  private final String resumes;
  private final Thread thread;
  private volatile boolean begun;
  private volatile boolean stopping;
  private volatile boolean ended;
  private volatile String at = "it was starting";
  private volatile @Nullable ExecutionException failure;

  /**
   * @param name of its thread
   * @param line makes a line of its story of a text
   * @param resumes what is added where it was left in the middle
   */
  BackgroundScene(String name, LiveView view, UnaryOperator<String> line, String resumes) {
    this.view = view;
    this.line = line;
    this.resumes = resumes;
    this.thread = new Thread(this::run, name);
    thread.setDaemon(true);
  }

  /**
   * What happens, until its end or until {@link #isStopping}.
   *
   * @throws CancellationException if it was stopped
   */
  abstract void play() throws Exception;

  private void run() {
    try {
      play();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (Exception | Error e) {
      if (!stopping) {
        failure = new ExecutionException(e);
      }
    }
  }

  /** Begins if it is time and it has not begun. */
  final void beginAt(int number) {
    if (!begun && number >= BEGINS_AFTER) {
      begun = true;
      thread.start();
    }
  }

  /** Nothing follows. */
  final void end() {
    ended = true;
  }

  final boolean isEnded() {
    return ended;
  }

  final boolean isStopping() {
    return stopping;
  }

  /** Where it is, for who ends the quickstart before it. */
  final void at(String where) {
    at = where;
  }

  /** Writes a line and an empty one; nothing once the quickstart has said where it was left. */
  final void say(String text) {
    if (!stopping) {
      view.lines(List.of(text, ""));
    }
  }

  @Override
  public final void check() throws Exception {
    Exception broken = failure;
    if (broken != null) {
      throw broken;
    }
  }

  @Override
  public final Optional<String> cutShort() {
    if (ended) {
      return Optional.empty();
    }
    return Optional.of(
        line.apply(
            begun
                ? "left where it was: " + at + resumes
                : "left out: it begins after " + BEGINS_AFTER + " answers"));
  }

  /** A record of the quickstart's own: a CloudEvent like those of the processors. */
  static ProducerRecord<byte[], byte[]> cloudEvent(
      AvroValues values, String topic, String key, SpecificRecord value) {
    ProducerRecord<byte[], byte[]> record =
        new ProducerRecord<>(
            topic, key.getBytes(StandardCharsets.UTF_8), values.write(topic, value));
    EventHeaders.of(value.getSchema(), "quickstart", "quickstart", key, 0, "")
        .toMap()
        .forEach(record.headers()::add);
    return record;
  }

  @Override
  public void stop() {
    stopping = true;
  }

  @Override
  public final void close() {
    stop();
    try {
      if (begun) {
        thread.join(PATIENCE.toMillis());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
