package dev.whence.ingest;

import dev.whence.conversation.Compressed;
import dev.whence.producer.Delivery;
import dev.whence.producer.Destination;
import dev.whence.producer.Overflow;
import dev.whence.producer.Whence;
import dev.whence.schemas.avro.LlmResponse;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/**
 * Puts the responses of a JSON Lines file on the topic, in its order, and remembers how far it
 * came.
 *
 * <p>The mark is moved only over lines that Kafka has acknowledged: a run that is killed loses
 * nothing, and the next one sends again what was sent but not acknowledged, so a line is on the
 * topic at least once. The mark is of one file and one topic of one cluster, and is refused for any
 * other; a plain file may have grown by whole lines. A bad line is reported with its number, and
 * the run goes on.
 */
public final class Replay {
  private static final Duration CLOSE = Duration.ofSeconds(5);

  private final ReplayOptions options;
  private final ReplayListener listener;

  public Replay(ReplayOptions options, ReplayListener listener) {
    this.options = options;
    this.listener = listener;
  }

  /**
   * Replays the file to its end.
   *
   * @param whence the addresses and settings to send with; what happens when its queue is full is
   *     set here
   * @throws ReplayException if nothing is acknowledged for as long as the patience is, if Kafka
   *     refuses to take responses at all, or if an earlier run's mark is of another file or another
   *     topic, or can not be written
   * @throws IOException if the file can not be read
   */
  public ReplayReport run(Whence.Builder whence) throws IOException, InterruptedException {
    Whence sending = whence.overflow(Overflow.block(options.patience())).build();
    boolean finished = false;
    try {
      ReplayReport report = run(destination(sending), sending::record);
      finished = true;
      return report;
    } finally {
      boolean unused = sending.close(finished ? CLOSE : Duration.ZERO);
    }
  }

  /** The same over anything that takes responses. */
  ReplayReport run(
      Destination destination, Function<LlmResponse, CompletableFuture<Delivery>> recorder)
      throws IOException, InterruptedException {
    ReplayMark mark = startingMark(destination);
    if (mark.line() > 0) {
      listener.resumed(mark.line());
    }
    try (CountingInput raw =
            new CountingInput(Files.newInputStream(options.input()), mark.file().bytes());
        InputStream text = Compressed.opened(raw)) {
      return new ReplayRun(options, listener, recorder, mark, raw::count).over(text);
    }
  }

  /** A mark that did not know its cluster would make the replay to another one send nothing. */
  private Destination destination(Whence sending) throws InterruptedException {
    try {
      return sending
          .destination(options.patience())
          .orElseThrow(
              () ->
                  new ReplayException(
                      "no broker answered for "
                          + options.patience().toSeconds()
                          + " s: check that Kafka and the schema registry can be reached"));
    } catch (IllegalStateException e) {
      throw new ReplayException(String.valueOf(e.getMessage()));
    }
  }

  private ReplayMark startingMark(Destination destination) throws IOException {
    Path file = options.markFile();
    Optional<ReplayMark> earlier = options.fromStart() ? Optional.empty() : ReplayMark.read(file);
    if (earlier.isEmpty() || earlier.get().line() == 0) {
      return new ReplayMark(0, 0, FileDigest.of(options.input()), destination);
    }
    ReplayMark mark = earlier.get();
    if (!mark.destination().equals(destination)) {
      throw new ReplayException(
          file
              + " is the progress of a replay to "
              + inWords(mark.destination())
              + ", and this one goes to "
              + inWords(destination)
              + "; keep a --progress-file for each, or replay with --from-start");
    }
    FileDigest.Comparison now = FileDigest.compare(options.input(), mark.file());
    if (!now.whole().equals(mark.file()) && !now.hasGrown()) {
      throw new ReplayException(
          options.input()
              + " has changed since "
              + file
              + " was written, by more than whole lines at its end; replay with --from-start to send"
              + " all of it");
    }
    return new ReplayMark(mark.line(), mark.badLines(), now.whole(), destination);
  }

  private static String inWords(Destination destination) {
    return destination.topic() + " of cluster " + destination.clusterId();
  }
}
