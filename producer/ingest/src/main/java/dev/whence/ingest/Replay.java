package dev.whence.ingest;

import dev.whence.producer.Delivery;
import dev.whence.producer.Overflow;
import dev.whence.producer.Whence;
import dev.whence.schemas.avro.LlmResponse;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.zip.GZIPInputStream;

/**
 * Puts the responses of a JSON Lines file on the topic, in its order, and remembers how far it
 * came.
 *
 * <p>The mark is moved only over lines that Kafka has acknowledged: a run that is killed loses
 * nothing, and the next one sends again what was sent but not acknowledged, so a line is on the
 * topic at least once. A bad line is reported with its number, and the run goes on.
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
   *     refuses to take responses at all, or if an earlier run's mark is of another file
   * @throws IOException if the file can not be read, or the mark not written
   */
  public ReplayReport run(Whence.Builder whence) throws IOException, InterruptedException {
    Whence sending = whence.overflow(Overflow.block(options.patience())).build();
    boolean finished = false;
    try {
      ReplayReport report = run(sending::record);
      finished = true;
      return report;
    } finally {
      boolean unused = sending.close(finished ? CLOSE : Duration.ZERO);
    }
  }

  /** The same over anything that takes responses. */
  ReplayReport run(Function<LlmResponse, CompletableFuture<Delivery>> recorder)
      throws IOException, InterruptedException {
    FileDigest.Result file = FileDigest.of(options.input());
    ReplayMark mark = startingMark(file.sha256());
    if (mark.line() > 0) {
      listener.resumed(mark.line());
    }
    try (CountingInput raw =
            new CountingInput(Files.newInputStream(options.input()), file.bytes());
        InputStream text = decompressed(raw)) {
      return new ReplayRun(options, listener, recorder, file, mark, raw::count).over(text);
    }
  }

  private ReplayMark startingMark(String sha256) throws IOException {
    ReplayMark none = new ReplayMark(0, 0, sha256);
    if (options.fromStart()) {
      return none;
    }
    Path file = options.markFile();
    ReplayMark mark = ReplayMark.read(file).orElse(none);
    if (!mark.sha256().equals(sha256)) {
      throw new ReplayException(
          options.input()
              + " has changed since "
              + file
              + " was written; replay with --from-start to send all of it");
    }
    return mark;
  }

  private static InputStream decompressed(InputStream raw) throws IOException {
    BufferedInputStream in = new BufferedInputStream(raw);
    in.mark(2);
    boolean gzip = in.read() == 0x1f && in.read() == 0x8b;
    in.reset();
    return gzip ? new GZIPInputStream(in) : in;
  }
}
