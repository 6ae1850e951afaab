package dev.whence.buckets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.awscore.exception.AwsErrorDetails;
import software.amazon.awssdk.services.s3.model.S3Exception;

class BucketTest {
  private static IOException failure(int status, String code) {
    S3Exception.Builder answer = S3Exception.builder();
    answer
        .statusCode(status)
        .awsErrorDetails(AwsErrorDetails.builder().errorCode(code).build())
        .message("what the store says in its own words");
    IOException failure =
        new Bucket(new Store(), "models").failed("a/b", (S3Exception) answer.build());
    assertThat(failure).hasMessageNotContaining("own words");
    return failure;
  }

  @Test
  void whatPassesByWaitingIsToldFromWhatNeverDoes() {
    for (int status : new int[] {408, 429, 500, 502, 503, 504, 520}) {
      assertThat(failure(status, "Any")).isInstanceOf(StoreUnavailableException.class);
    }
    for (String code : List.of("ExpiredToken", "RequestTimeTooSkewed")) {
      assertThat(failure(403, code)).isInstanceOf(StoreUnavailableException.class);
    }
    assertThat(failure(409, "ConditionalRequestConflict"))
        .isInstanceOf(StoreUnavailableException.class);
    assertThat(failure(404, "NoSuchUpload")).isInstanceOf(StoreUnavailableException.class);
    for (int status : new int[] {400, 405, 409, 412, 501, 505}) {
      assertThat(failure(status, "Any")).isNotInstanceOf(StoreUnavailableException.class);
    }
    assertThat(failure(403, "AccessDenied")).isInstanceOf(AccessDeniedException.class);
  }

  @Test
  void aMissingBucketAndAStoreWithoutConditionalPutsAreSaid() {
    assertThat(failure(404, "NoSuchBucket"))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessage("s3://models/a/b: there is no such bucket");
    assertThat(failure(501, "NotImplemented"))
        .hasMessage(
            "s3://models/a/b: the store answers with status 501 (NotImplemented); a store must know"
                + " puts with If-None-Match: *, and checksums unless"
                + " AWS_REQUEST_CHECKSUM_CALCULATION=when_required");
  }

  /** S3 answers a HEAD without a body: only a GET says that a token has run out. */
  @Test
  void whatAHeadLeavesOpenIsAskedByReadingAByte() throws Exception {
    assertThat(found(bare(400), refusal(400, "ExpiredToken")))
        .isInstanceOf(StoreUnavailableException.class)
        .hasMessageContaining("(ExpiredToken)");
    assertThat(found(bare(403), refusal(403, "RequestTimeTooSkewed")))
        .isInstanceOf(StoreUnavailableException.class);
    assertThat(found(bare(401), refusal(503, "SlowDown")))
        .isInstanceOf(StoreUnavailableException.class);
    assertThat(found(bare(400), refusal(400, "InvalidRequest")))
        .isInstanceOf(StoreRefusedException.class);
    assertThat(found(bare(403), refusal(403, "AccessDenied")))
        .isInstanceOf(AccessDeniedException.class);
  }

  @Test
  void whatHasPassedMeanwhileIsNoFailure() throws Exception {
    try (Answers answers = new Answers(bare(403), new Answer(206, "a"), new Answer(200, ""))) {
      assertThat(answers.bucket().find("a/b")).isPresent();
      assertThat(answers.asked).containsExactly("HEAD", "GET bytes=0-0", "HEAD");
    }
  }

  @Test
  void whereAllButTheHeadIsAnsweredItIsARefusal() throws Exception {
    try (Answers answers = new Answers(bare(403), new Answer(206, "a"), bare(403))) {
      assertThatThrownBy(() -> answers.bucket().find("a/b"))
          .isInstanceOf(AccessDeniedException.class);
      assertThat(answers.asked).hasSize(3);
    }
  }

  /** Of an object "abcdef". */
  private static String read(Answers store, long from) throws IOException {
    ByteBuffer target = ByteBuffer.allocate(3);
    store.bucket().read("a/b", "", from, target);
    return new String(target.array(), StandardCharsets.UTF_8);
  }

  @Test
  void aStoreThatIgnoresRangesIsRefusedAndNoOtherBytesAreTaken() throws Exception {
    try (Answers ignoring = new Answers(new Answer(200, "abcdef"))) {
      assertThat(read(ignoring, 0)).isEqualTo("abc");
      assertThatThrownBy(() -> read(ignoring, 2))
          .isInstanceOf(StoreRefusedException.class)
          .hasMessage(
              "s3://models/a/b: the store was asked for bytes from 2 on and answers with others: it,"
                  + " or a proxy before it, ignores Range, without which no object can be read in"
                  + " parts");
      assertThat(ignoring.asked).containsExactly("GET bytes=0-2", "GET bytes=2-4");
    }
    try (Answers other = new Answers(new Answer(206, "abc", "bytes 0-2/6"))) {
      assertThatThrownBy(() -> read(other, 2)).isInstanceOf(StoreRefusedException.class);
    }
    try (Answers honouring = new Answers(new Answer(206, "cde", "bytes 2-4/6"))) {
      assertThat(read(honouring, 2)).isEqualTo("cde");
    }
  }

  private static Throwable found(Answer... all) throws IOException {
    try (Answers answers = new Answers(all)) {
      return catchThrowable(() -> answers.bucket().find("a/b"));
    }
  }

  private record Answer(int status, String body, String range) {
    Answer(int status, String body) {
      this(status, body, "");
    }
  }

  private static Answer bare(int status) {
    return new Answer(status, "");
  }

  private static Answer refusal(int status, String code) {
    return new Answer(
        status, "<Error><Code>" + code + "</Code><Message>own words</Message></Error>");
  }

  /** A store that gives these answers, in turn, and the last one again. */
  private static final class Answers implements AutoCloseable {
    final List<String> asked = new CopyOnWriteArrayList<>();
    private final StubStore store;

    Answers(Answer... answers) throws IOException {
      store =
          new StubStore(
              exchange -> {
                Answer answer = answers[Math.min(asked.size(), answers.length - 1)];
                boolean head = exchange.getRequestMethod().equals("HEAD");
                asked.add(
                    head
                        ? "HEAD"
                        : exchange.getRequestMethod()
                            + " "
                            + exchange.getRequestHeaders().getFirst("Range"));
                byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
                if (head) {
                  exchange.getResponseHeaders().set("Content-Length", "1");
                }
                if (!answer.range().isEmpty()) {
                  exchange.getResponseHeaders().set("Content-Range", answer.range());
                }
                exchange.sendResponseHeaders(answer.status(), head ? -1 : body.length);
                if (!head) {
                  exchange.getResponseBody().write(body);
                }
                exchange.close();
              });
    }

    Bucket bucket() {
      return store.bucket();
    }

    @Override
    public void close() {
      store.close();
    }
  }
}
