package dev.whence.ingest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.whence.producer.Delivery;
import dev.whence.producer.Destination;
import dev.whence.producer.Whence;
import dev.whence.schemas.avro.LlmResponse;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class ReplayTest {
  private static final Duration PATIENCE = Duration.ofMillis(300);
  private static final Destination HERE = new Destination("cluster-1", "whence.responses");

  @TempDir Path directory;

  private final List<String> sent = new ArrayList<>();
  private final List<String> told = new ArrayList<>();
  private final List<ReplayProgress> progress = new ArrayList<>();
  private Path input;

  private final ReplayListener listener =
      new ReplayListener() {
        @Override
        public void resumed(long afterLine) {
          told.add("resumed after " + afterLine);
        }

        @Override
        public void badLine(long line, String problem) {
          told.add(line + ": " + problem);
        }

        @Override
        public void progress(ReplayProgress now) {
          progress.add(now);
        }
      };

  @BeforeEach
  void nameInput() {
    input = directory.resolve("in.jsonl");
  }

  @Test
  void everyLineIsSentInItsOrderAndTheMarkStandsAtTheEnd() throws Exception {
    write(lines(1, 50));

    ReplayReport report = replay(false).run(HERE, this::acknowledge);

    assertThat(report).isEqualTo(new ReplayReport(0, 50, 50, 0));
    assertThat(report.succeeded()).isTrue();
    assertThat(sent).isEqualTo(ids(1, 50));
    assertThat(mark().line()).isEqualTo(50);
    ReplayProgress last = progress.get(progress.size() - 1);
    long size = Files.size(input);
    assertThat(last).isEqualTo(new ReplayProgress(50, 50, 50, 0, size, size));
  }

  @Test
  void aBadLineIsReportedWithItsNumberAndTheRunGoesOn() throws Exception {
    write(
        line(1)
            + "{\"responseId\": \"CANARY\", \"messages\": [{\"role\": \"CANARY\"}]}\n"
            + "not JSON: CANARY\n"
            + line(4));

    ReplayReport report = replay(false).run(HERE, this::acknowledge);

    assertThat(sent).containsExactly("r-1", "r-4");
    assertThat(told).hasSize(2);
    assertThat(told.get(0))
        .isEqualTo("2: messages[0].content is missing, and the message has no tool_calls");
    assertThat(told.get(1)).startsWith("3: the line is not valid JSON").doesNotContain("CANARY");
    assertThat(report).isEqualTo(new ReplayReport(0, 4, 2, 2));
    assertThat(report.succeeded()).isFalse();
  }

  @Test
  void theMarkStopsBeforeTheFirstLineThatIsNotAcknowledgedAndTheNextRunBeginsThere()
      throws Exception {
    write(lines(1, 10));
    Function<LlmResponse, CompletableFuture<Delivery>> fourIsLost =
        response ->
            response.getResponseId().equals("r-4")
                ? new CompletableFuture<>()
                : acknowledge(response);

    Throwable stalled = catchThrowable(() -> replay(false).run(HERE, fourIsLost));

    assertThat(stalled)
        .isInstanceOf(ReplayException.class)
        .hasMessageStartingWith("nothing was acknowledged for 0 s: check that Kafka");
    assertThat(mark().line()).isEqualTo(3);

    sent.clear();
    ReplayReport report = replay(false).run(HERE, this::acknowledge);

    assertThat(told).containsExactly("resumed after 3");
    assertThat(sent).isEqualTo(ids(4, 10));
    assertThat(report).isEqualTo(new ReplayReport(3, 10, 7, 0));
  }

  @Test
  void aFinishedFileIsNotSentAgainUnlessFromTheStart() throws Exception {
    write(lines(1, 5));
    ReplayReport first = replay(false).run(HERE, this::acknowledge);
    assertThat(first.acknowledged()).isEqualTo(5);

    assertThat(replay(false).run(HERE, this::acknowledge)).isEqualTo(new ReplayReport(5, 5, 0, 0));
    assertThat(replay(true).run(HERE, this::acknowledge)).isEqualTo(new ReplayReport(0, 5, 5, 0));
    assertThat(sent).hasSize(10);
  }

  @Test
  void badLinesOfAnEarlierRunStillMakeTheWholeReplayAFailure() throws Exception {
    write("nonsense\n" + lines(2, 5));
    assertThat(catchThrowable(() -> replay(false).run(HERE, response -> new CompletableFuture<>())))
        .isInstanceOf(ReplayException.class);

    ReplayReport report = replay(false).run(HERE, this::acknowledge);

    assertThat(report).isEqualTo(new ReplayReport(1, 5, 4, 1));
    assertThat(report.succeeded()).isFalse();
  }

  @Test
  void aMarkOfAnotherContentIsRefused() throws Exception {
    write(lines(1, 5));
    assertThat(replay(false).run(HERE, this::acknowledge).succeeded()).isTrue();
    write(lines(2, 6));

    assertThatThrownBy(() -> replay(false).run(HERE, this::acknowledge))
        .isInstanceOf(ReplayException.class)
        .hasMessageContaining("has changed since")
        .hasMessageContaining("--from-start");
    assertThat(replay(true).run(HERE, this::acknowledge).acknowledged()).isEqualTo(5);
  }

  @Test
  void aMarkThatIsNoneIsRefused() throws Exception {
    write(lines(1, 5));
    for (String other : List.of("", "7", "{\"line\": 3}", "\u0000", "x".repeat(5000))) {
      Files.writeString(options(false).markFile(), other);

      assertThatThrownBy(() -> replay(false).run(HERE, this::acknowledge))
          .as(other)
          .isInstanceOf(ReplayException.class)
          .hasMessageContaining("is not the progress of a replay");
    }
  }

  @Test
  void compressedFilesAreReadAsTheyAre() throws Exception {
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(input))) {
      out.write(lines(1, 20).getBytes(StandardCharsets.UTF_8));
    }

    assertThat(replay(false).run(HERE, this::acknowledge).acknowledged()).isEqualTo(20);
    assertThat(sent).isEqualTo(ids(1, 20));
    ReplayProgress last = progress.get(progress.size() - 1);
    assertThat(last.bytesRead()).isEqualTo(last.bytesTotal());
  }

  @Test
  void linesAreSentNoFasterThanTheRate() throws Exception {
    write(lines(1, 21));
    ReplayOptions options = new ReplayOptions(input, 100, false, PATIENCE);

    long start = System.nanoTime();
    ReplayReport report = new Replay(options, listener).run(HERE, this::acknowledge);
    long took = System.nanoTime() - start;

    assertThat(report.acknowledged()).isEqualTo(21);
    // 21 lines have 20 steps of 10 ms between them.
    assertThat(took).isGreaterThanOrEqualTo(Duration.ofMillis(200).toNanos());
  }

  @Test
  void blankLinesByteOrderMarksAndOtherSystemsLineBreaksAreNothingSpecial() throws Exception {
    write("\uFEFF" + line(1).replace("\n", "\r\n") + "\r\n\n" + line(4).strip());

    assertThat(replay(false).run(HERE, this::acknowledge)).isEqualTo(new ReplayReport(0, 4, 2, 0));
    assertThat(sent).containsExactly("r-1", "r-4");
    assertThat(mark().line()).isEqualTo(4);
  }

  @Test
  void aFileOfNothingIsDoneAtOnce() throws Exception {
    write("");

    assertThat(replay(false).run(HERE, this::acknowledge)).isEqualTo(new ReplayReport(0, 0, 0, 0));
  }

  @Test
  void aBrokerThatIsNotThereEndsTheReplayInOneSentenceAndLosesNothing() throws Exception {
    write(lines(1, 3));
    Whence.Builder nowhere =
        Whence.builder().bootstrapServers("127.0.0.1:1").schemaRegistry("http://127.0.0.1:1");

    assertThatThrownBy(() -> replay(false).run(nowhere))
        .isInstanceOf(ReplayException.class)
        .hasMessageContaining("Kafka and the schema registry can be reached");
    assertThat(options(false).markFile()).doesNotExist();
  }

  @Test
  void aMarkOfAnotherClusterOrTopicIsRefusedSinceNothingIsThereYet() throws Exception {
    write(lines(1, 5));
    assertThat(replay(false).run(HERE, this::acknowledge).succeeded()).isTrue();

    for (Destination other :
        List.of(
            new Destination("cluster-2", "whence.responses"),
            new Destination("cluster-1", "test.responses"))) {
      assertThatThrownBy(() -> replay(false).run(other, this::acknowledge))
          .isInstanceOf(ReplayException.class)
          .hasMessageContaining("whence.responses of cluster cluster-1")
          .hasMessageContaining(other.topic() + " of cluster " + other.clusterId())
          .hasMessageContaining("--progress-file");
      ReplayOptions apart =
          new ReplayOptions(
              input, 0, false, PATIENCE, directory.resolve(other.clusterId() + other.topic()));
      assertThat(new Replay(apart, listener).run(other, this::acknowledge).acknowledged())
          .isEqualTo(5);
    }
  }

  @Test
  void linesThatWereAppendedSinceAreSentAndNoOthers() throws Exception {
    write(lines(1, 5));
    assertThat(replay(false).run(HERE, this::acknowledge).succeeded()).isTrue();
    sent.clear();
    write(lines(1, 8));

    assertThat(replay(false).run(HERE, this::acknowledge)).isEqualTo(new ReplayReport(5, 8, 3, 0));
    assertThat(sent).isEqualTo(ids(6, 8));
    assertThat(mark().file()).isEqualTo(FileDigest.of(input));
  }

  @Test
  void aFileThatGrewInTheMiddleOfItsLastLineIsRefused() throws Exception {
    write(lines(1, 4) + "{\"responseId\": ");
    assertThat(replay(false).run(HERE, this::acknowledge).badLines()).isEqualTo(1);
    write(lines(1, 4) + "{\"responseId\": \"r-5\"}\n");

    assertThatThrownBy(() -> replay(false).run(HERE, this::acknowledge))
        .isInstanceOf(ReplayException.class)
        .hasMessageContaining("has changed since");
  }

  @Test
  void aCompressedFileThatGrewIsRefused() throws Exception {
    for (int members = 1; members <= 2; members++) {
      try (OutputStream file =
              Files.newOutputStream(input, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
          OutputStream out = new GZIPOutputStream(file)) {
        out.write(lines(1, 2).getBytes(StandardCharsets.UTF_8));
      }
      if (members == 1) {
        assertThat(replay(false).run(HERE, this::acknowledge).succeeded()).isTrue();
      }
    }

    assertThatThrownBy(() -> replay(false).run(HERE, this::acknowledge))
        .isInstanceOf(ReplayException.class)
        .hasMessageContaining("has changed since");
  }

  @Test
  void aMarkThatCanNotBeWrittenStopsTheReplayBeforeItsFirstLine() throws Exception {
    write(lines(1, 5));
    Path nowhere = directory.resolve("no-such-directory").resolve("mark");
    ReplayOptions options = new ReplayOptions(input, 0, false, PATIENCE, nowhere);

    assertThatThrownBy(() -> new Replay(options, listener).run(HERE, this::acknowledge))
        .isInstanceOf(ReplayException.class)
        .hasMessageContaining(nowhere.toString())
        .hasMessageContaining("--progress-file");
    assertThat(sent).isEmpty();
  }

  @Test
  void aReplayOfWhichNothingIsAcknowledgedEndsWhileItStillHasLinesToSend() throws Exception {
    write(lines(1, 1_000));
    // At this rate the lines alone would take 100 s.
    ReplayOptions options = new ReplayOptions(input, 10, false, PATIENCE);

    long start = System.nanoTime();
    assertThatThrownBy(
            () -> new Replay(options, listener).run(HERE, response -> new CompletableFuture<>()))
        .isInstanceOf(ReplayException.class)
        .hasMessageStartingWith("nothing was acknowledged for");
    assertThat(System.nanoTime() - start).isLessThan(Duration.ofSeconds(50).toNanos());
  }

  @Test
  void aRateThatIsNoneIsRefused() {
    for (double rate : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY, 1e-9}) {
      assertThatThrownBy(() -> new ReplayOptions(input, rate, false, PATIENCE))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  private CompletableFuture<Delivery> acknowledge(LlmResponse response) {
    sent.add(response.getResponseId());
    return CompletableFuture.completedFuture(new Delivery("t", 0, sent.size()));
  }

  private Replay replay(boolean fromStart) {
    return new Replay(options(fromStart), listener);
  }

  private ReplayOptions options(boolean fromStart) {
    return new ReplayOptions(input, 0, fromStart, PATIENCE);
  }

  private ReplayMark mark() throws IOException {
    return ReplayMark.read(options(false).markFile()).orElseThrow();
  }

  private void write(String text) throws IOException {
    Files.writeString(input, text);
  }

  private static String line(int number) {
    return "{\"responseId\": \"r-"
        + number
        + "\", \"messages\": [{\"role\": \"user\", \"content\": \"q\"}], \"response\": \"a\"}\n";
  }

  private static String lines(int first, int last) {
    return IntStream.rangeClosed(first, last)
        .mapToObj(ReplayTest::line)
        .collect(Collectors.joining());
  }

  private static List<String> ids(int first, int last) {
    return IntStream.rangeClosed(first, last).mapToObj(i -> "r-" + i).toList();
  }
}
