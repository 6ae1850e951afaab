package dev.whence.buckets;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.util.List;
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
                + " puts with If-None-Match: *");
  }
}
