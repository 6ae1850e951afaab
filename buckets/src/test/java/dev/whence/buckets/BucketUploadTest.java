package dev.whence.buckets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What an upload in parts says to a store, which is this test's. */
class BucketUploadTest {
  private static final long PART = 5 << 20;
  private static final int SIZE = 11 << 20; // three parts
  private static final String CALCULATION = "aws.requestChecksumCalculation";

  @TempDir private Path directory;
  private final AtomicLong sent = new AtomicLong();

  private void put(Parts store) throws IOException {
    Path file = Files.write(directory.resolve("file"), new byte[SIZE]);
    new BucketUpload(store.path(), "p", PART, sent::addAndGet).put("model.bin", file);
  }

  /** S3 knows a part that was sent with a checksum only by it ("InvalidPart" else). */
  @Test
  void whatPartsAreJoinedByHasTheChecksumsThatTheStoreHasOfThem() throws Exception {
    try (Parts store = new Parts(/* checksums= */ true, List.of())) {
      put(store);
      assertThat(store.begun).containsExactly("CRC32");
      assertThat(store.partsWithChecksum).hasValue(3);
      assertThat(store.joined)
          .singleElement()
          .asString()
          .contains(
              "<ChecksumCRC32>crc-1</ChecksumCRC32>",
              "<ChecksumCRC32>crc-2</ChecksumCRC32>",
              "<ChecksumCRC32>crc-3</ChecksumCRC32>",
              "tag-1",
              "tag-3");
    }
    assertThat(sent).hasValue(SIZE);
  }

  @Test
  void ofAStoreThatTellsNoChecksumsTheyAreJoinedByTheirTags() throws Exception {
    try (Parts store = new Parts(/* checksums= */ false, List.of())) {
      put(store);
      assertThat(store.joined).singleElement().asString().contains("tag-1").doesNotContain("Check");
    }
  }

  @Test
  void whereNoChecksumsAreToBeSentNoneAreAnnounced() throws Exception {
    System.setProperty(CALCULATION, "when_required");
    try (Parts store = new Parts(/* checksums= */ false, List.of())) {
      put(store);
      assertThat(store.begun).containsExactly("");
      assertThat(store.partsWithChecksum).hasValue(0);
      assertThat(store.joined).hasSize(1);
    } finally {
      System.clearProperty(CALCULATION);
    }
  }

  @Test
  void whatALineHasGarbledIsSentAgain() throws Exception {
    try (Parts store = new Parts(/* checksums= */ true, List.of("InvalidPart", "BadDigest"))) {
      put(store);
      assertThat(store.joined).hasSize(3);
      assertThat(store.givenUp).containsExactly("1", "2");
    }
    assertThat(sent).as("each byte counts once").hasValue(SIZE);
  }

  /** Else the transfer would wait for ever for what never passes. */
  @Test
  void aStoreThatNeverHasWhatWasSentRefusesIt() throws Exception {
    List<String> always = List.of("InvalidPart", "InvalidPart", "InvalidPart", "InvalidPart");
    try (Parts store = new Parts(/* checksums= */ true, always)) {
      assertThatThrownBy(() -> put(store))
          .isInstanceOf(StoreRefusedException.class)
          .hasMessageStartingWith(
              "s3://models/out/model.bin: the store answers with status 400 (InvalidPart), as it"
                  + " did each of the 3 times that the bytes were sent")
          .hasMessageNotContaining("own words");
      assertThat(store.givenUp).as("nothing is left").containsExactly("1", "2", "3");
    }
    assertThat(sent).hasValue(SIZE);
  }

  /** As a store may that has the file by now, of a run that was killed while it sent it. */
  @Test
  void aFileThatIsThereThoughTheConnectionBrokeIsPut() throws Exception {
    AtomicBoolean there = new AtomicBoolean();
    try (StubStore store =
        new StubStore(exchange -> breakOff(exchange, there, /* tells= */ true))) {
      putInOne(store);
    }
    assertThat(sent).hasValue(SIZE);
  }

  @Test
  void whatCanNotBeSentNorLookedAtIsOfAStoreThatIsAway() throws Exception {
    AtomicBoolean there = new AtomicBoolean();
    try (StubStore store =
        new StubStore(exchange -> breakOff(exchange, there, /* tells= */ false))) {
      assertThatThrownBy(() -> putInOne(store)).isInstanceOf(StoreUnavailableException.class);
    }
    assertThat(sent).hasValue(0);
  }

  private void putInOne(StubStore store) throws IOException {
    Path to =
        BucketPath.of(new BucketFileSystem(new BucketFileSystemProvider(), store.bucket()), "/out");
    Path file = Files.write(directory.resolve("model.bin"), new byte[SIZE]);
    new BucketUpload(to, "owner", SIZE, sent::addAndGet).put("model.bin", file);
  }

  /**
   * Hangs up on a PUT, and knows the file from then on.
   *
   * @param tells whether it can still be asked
   */
  private static void breakOff(HttpExchange exchange, AtomicBoolean there, boolean tells)
      throws IOException {
    if (exchange.getRequestMethod().equals("PUT")) {
      there.set(true);
    } else if (!there.get()) {
      Parts.send(exchange, 404, "");
    } else if (tells) {
      exchange.getResponseHeaders().set("x-amz-meta-whence-owner", "owner");
      exchange.getResponseHeaders().set("Content-Length", String.valueOf(SIZE));
      exchange.sendResponseHeaders(200, -1);
    }
    exchange.close();
  }

  /** A store that takes parts and refuses to join them with these codes, in turn. */
  private static final class Parts implements AutoCloseable {
    /** Checksums that were announced as uploads began; empty where none was. */
    final List<String> begun = new CopyOnWriteArrayList<>();

    final List<String> joined = new CopyOnWriteArrayList<>();
    final List<String> givenUp = new CopyOnWriteArrayList<>();
    private final boolean checksums;
    private final List<String> refusals;
    private final StubStore store;
    final AtomicInteger partsWithChecksum = new AtomicInteger();

    Parts(boolean checksums, List<String> refusals) throws IOException {
      this.checksums = checksums;
      this.refusals = refusals;
      store = new StubStore(this::answer);
    }

    /** A prefix, with a client of its own. */
    Path path() {
      return BucketPath.of(
          new BucketFileSystem(new BucketFileSystemProvider(), store.bucket()), "/out");
    }

    private void answer(HttpExchange exchange) throws IOException {
      String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.US_ASCII);
      String query = String.valueOf(exchange.getRequestURI().getQuery());
      switch (exchange.getRequestMethod()) {
        case "HEAD" -> send(exchange, 404, "");
        case "PUT" -> part(exchange, query.replaceAll(".*partNumber=(\\d+).*", "$1"));
        case "DELETE" -> {
          givenUp.add(query.replaceAll(".*uploadId=(\\d+).*", "$1"));
          send(exchange, 204, "");
        }
        case "POST" -> {
          if (query.contains("uploadId=")) {
            join(exchange, body);
          } else {
            begin(exchange);
          }
        }
        default -> send(exchange, 405, "");
      }
    }

    private void begin(HttpExchange exchange) throws IOException {
      String algorithm = exchange.getRequestHeaders().getFirst("x-amz-checksum-algorithm");
      begun.add(algorithm == null ? "" : algorithm);
      send(
          exchange,
          200,
          "<InitiateMultipartUploadResult><UploadId>"
              + begun.size()
              + "</UploadId></InitiateMultipartUploadResult>");
    }

    private void part(HttpExchange exchange, String number) throws IOException {
      if ("x-amz-checksum-crc32".equals(exchange.getRequestHeaders().getFirst("x-amz-trailer"))) {
        partsWithChecksum.incrementAndGet();
      }
      exchange.getResponseHeaders().set("ETag", "\"tag-" + number + "\"");
      if (checksums) {
        exchange.getResponseHeaders().set("x-amz-checksum-crc32", "crc-" + number);
      }
      send(exchange, 200, "");
    }

    private void join(HttpExchange exchange, String body) throws IOException {
      joined.add(body);
      if (joined.size() <= refusals.size()) {
        send(
            exchange,
            400,
            "<Error><Code>"
                + refusals.get(joined.size() - 1)
                + "</Code><Message>own words</Message></Error>");
      } else {
        send(
            exchange,
            200,
            "<CompleteMultipartUploadResult><ETag>t</ETag></CompleteMultipartUploadResult>");
      }
    }

    private static void send(HttpExchange exchange, int status, String body) throws IOException {
      byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
      if (bytes.length > 0) {
        exchange.getResponseBody().write(bytes);
      }
      exchange.close();
    }

    @Override
    public void close() {
      store.close();
    }
  }
}
