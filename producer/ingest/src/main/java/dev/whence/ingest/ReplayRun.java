package dev.whence.ingest;

import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.ConversationFormatException;
import dev.whence.conversation.LineReader;
import dev.whence.ingest.Acknowledgements.Settlement;
import dev.whence.producer.Delivery;
import dev.whence.producer.DeliveryException;
import dev.whence.producer.DeliveryException.Reason;
import dev.whence.schemas.LlmResponses;
import dev.whence.schemas.avro.LlmResponse;
import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** One pass over a file. All but {@link #settle} happens on the thread that runs it. */
final class ReplayRun {
  /** Longer than any line that becomes a record; a longer one is reported and passed over. */
  private static final int MAX_LINE_BYTES = 64 << 20;

  private static final long TELL_NANOS = TimeUnit.MILLISECONDS.toNanos(200);

  private final ReplayOptions options;
  private final ReplayListener listener;
  private final Function<LlmResponse, CompletableFuture<Delivery>> recorder;
  private final ReplayMark from;
  private final long resumedAfter;
  private final LongSupplier bytesRead;
  private final Acknowledgements acknowledgements;
  private final AtomicReference<@Nullable String> stopped = new AtomicReference<>();

  private long line;
  private long badLines;
  private long lastMarked = -1;
  private long lastAnswers = -1;
  private long lastAnswer = System.nanoTime();
  private long lastTold = System.nanoTime() - TELL_NANOS;
  private long nextSend = System.nanoTime();

  ReplayRun(
      ReplayOptions options,
      ReplayListener listener,
      Function<LlmResponse, CompletableFuture<Delivery>> recorder,
      ReplayMark mark,
      LongSupplier bytesRead) {
    this.options = options;
    this.listener = listener;
    this.recorder = recorder;
    this.from = mark;
    this.resumedAfter = mark.line();
    this.bytesRead = bytesRead;
    this.badLines = mark.badLines();
    this.acknowledgements = new Acknowledgements(mark.line(), mark.badLines());
  }

  ReplayReport over(InputStream text) throws IOException, InterruptedException {
    // Before a line is sent: the place may be one that can not be written.
    mark(acknowledgements.state());
    try {
      LineReader lines = new LineReader(text, MAX_LINE_BYTES);
      for (LineReader.Line next = lines.next(); next != null; next = lines.next()) {
        line = next.number();
        if (line > resumedAfter) {
          take(next);
        }
        refuseToGoOnIfStopped();
        tellNowAndThen();
      }
      awaitRest();
    } finally {
      // Also after a failure: what is settled stays settled for the next run.
      tell();
    }
    return new ReplayReport(resumedAfter, line, acknowledgements.state().acknowledged(), badLines);
  }

  private void take(LineReader.Line next) throws InterruptedException {
    String text = next.text();
    if (text == null) {
      bad(next.problem());
      return;
    }
    if (text.isBlank()) {
      acknowledgements.settled(line, false);
      return;
    }
    LlmResponse response;
    try {
      response = LlmResponses.toAvro(ConversationCodec.read(text));
    } catch (ConversationFormatException e) {
      bad(String.valueOf(e.getMessage()));
      return;
    }
    keepToTheRate();
    Settlement settlement = acknowledgements.sent(line);
    CompletableFuture<?> unused =
        recorder.apply(response).whenComplete((delivery, problem) -> settle(settlement, problem));
  }

  private void bad(String problem) {
    badLines++;
    listener.badLine(line, problem);
    acknowledgements.settled(line, true);
  }

  /** What Kafka says of a line: on the topic, at fault itself, or not to be had at all. */
  private void settle(Settlement settlement, @Nullable Throwable problem) {
    if (problem == null) {
      settlement.acknowledged();
      return;
    }
    Throwable cause =
        problem instanceof CompletionException && problem.getCause() != null
            ? problem.getCause()
            : problem;
    Reason reason = cause instanceof DeliveryException refused ? refused.reason() : Reason.REFUSED;
    switch (reason) {
      case INVALID, TOO_LARGE -> settlement.refused(String.valueOf(cause.getMessage()));
      case QUEUE_FULL -> stopped.compareAndSet(null, stalled());
      case CLOSED -> stopped.compareAndSet(null, "the replay was stopped");
      case REFUSED ->
          stopped.compareAndSet(null, "Kafka refuses the responses: " + cause.getMessage());
    }
  }

  private String stalled() {
    return "nothing was acknowledged for "
        + options.patience().toSeconds()
        + " s: check that Kafka and the schema registry can be reached, that the topic and its"
        + " schema exist (whence topics --create), and that the topic may be written to; the next"
        + " run goes on where this one stopped";
  }

  private void refuseToGoOnIfStopped() {
    String why = stopped.get();
    if (why != null) {
      throw new ReplayException(why);
    }
  }

  /** Even steps, without a burst after a pause: a full queue is no reason to hurry. */
  private void keepToTheRate() throws InterruptedException {
    if (options.ratePerSecond() == 0) {
      return;
    }
    long left = nextSend - System.nanoTime();
    while (left > 0) {
      TimeUnit.NANOSECONDS.sleep(Math.min(left, TELL_NANOS));
      tellNowAndThen();
      left = nextSend - System.nanoTime();
    }
    long step = (long) (TimeUnit.SECONDS.toNanos(1) / options.ratePerSecond());
    nextSend = Math.max(nextSend, System.nanoTime() - step) + step;
  }

  private void awaitRest() throws InterruptedException {
    while (acknowledgements.state().open() > 0) {
      acknowledgements.awaitChange(TELL_NANOS);
      refuseToGoOnIfStopped();
      tellNowAndThen();
    }
  }

  /** Also while lines are still read: a queue of many megabytes takes them for hours at a rate. */
  private void refuseToWaitForEver(Acknowledgements.State state) {
    if (state.open() == 0 || state.answers() != lastAnswers) {
      lastAnswers = state.answers();
      lastAnswer = System.nanoTime();
    } else if (System.nanoTime() - lastAnswer > options.patience().toNanos()) {
      throw new ReplayException(stalled());
    }
  }

  private void tellNowAndThen() {
    if (System.nanoTime() - lastTold >= TELL_NANOS) {
      tell();
      refuseToWaitForEver(acknowledgements.state());
    }
  }

  private void mark(Acknowledgements.State state) {
    if (state.settledLine() == lastMarked) {
      return;
    }
    try {
      new ReplayMark(state.settledLine(), state.badSettled(), from.file(), from.destination())
          .write(options.markFile());
    } catch (IOException e) {
      throw new ReplayException(
          "how far the replay came can not be kept in "
              + options.markFile()
              + " ("
              + e.getClass().getSimpleName()
              + "); name another place with --progress-file");
    }
    lastMarked = state.settledLine();
  }

  private void tell() {
    lastTold = System.nanoTime();
    for (Acknowledgements.Refusal refusal : acknowledgements.takeRefusals()) {
      badLines++;
      listener.badLine(refusal.line(), refusal.problem());
    }
    Acknowledgements.State state = acknowledgements.state();
    mark(state);
    listener.progress(
        new ReplayProgress(
            line,
            state.settledLine(),
            state.acknowledged(),
            badLines,
            bytesRead.getAsLong(),
            from.file().bytes()));
  }
}
