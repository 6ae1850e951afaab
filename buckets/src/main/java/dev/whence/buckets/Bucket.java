package dev.whence.buckets;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.ResponseInputStream;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.CommonPrefix;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.HeadObjectResponse;
import software.amazon.awssdk.services.s3.model.ListObjectsV2Response;
import software.amazon.awssdk.services.s3.model.S3Object;

/** The requests that reading takes, and what becomes of their errors. */
final class Bucket {
  private static final Pattern NAME = Pattern.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]");
  private static final int TRIES = 4;
  static final int NOT_FOUND = 404;
  private static final int BAD_REQUEST = 400;
  private static final int FORBIDDEN = 403;
  private static final int UNAUTHORIZED = 401;
  static final int PRECONDITION_FAILED = 412;
  private static final int TIMED_OUT = 408;
  private static final int NO_SUCH_RANGE = 416; // of an object without a byte
  private static final int TOO_MANY = 429;
  private static final int SERVER = 500;
  private static final int NOT_IMPLEMENTED = 501;
  private static final int VERSION_NOT_SUPPORTED = 505;
  private static final int PIECE = 1 << 16;
  private static final int MOST_CHILDREN = 10_000;

  private static final Set<Integer> UNSAID = Set.of(BAD_REQUEST, UNAUTHORIZED, FORBIDDEN);

  private static final String NO_BUCKET = "NoSuchBucket";

  /**
   * What passes, though the status says nothing of it: whoever renews credentials or sets a clock
   * makes it go away; two that put at once get out of each other's way; an upload in parts that a
   * rule of the bucket has given up can begin anew; and what a line has cut is sent again.
   */
  private static final Set<String> PASSING =
      Set.of(
          "ConditionalRequestConflict",
          "OperationAborted",
          "NoSuchUpload",
          "RequestTimeout",
          "IncompleteBody",
          "ExpiredToken",
          "ExpiredTokenException",
          "TokenRefreshRequired",
          "RequestExpired",
          "RequestTimeTooSkewed");

  /**
   * What was sent is not what the store has of it. Once, a line may have garbled it; what says so
   * each time it is sent never passes.
   */
  private static final Set<String> MANGLED =
      Set.of("BadDigest", "InvalidPart", "XAmzContentSHA256Mismatch");

  private final Store store;
  private final String name;

  Bucket(Store store, String name) {
    this.store = store;
    this.name = name;
  }

  static boolean isName(String name) {
    return NAME.matcher(name).matches();
  }

  String name() {
    return name;
  }

  Blocks blocks() {
    return store.blocks();
  }

  S3Client client() throws IOException {
    try {
      return store.client();
    } catch (SdkException e) {
      throw new StoreUnavailableException("the object store can not be used: " + reason(e), e);
    } catch (IllegalArgumentException e) {
      throw new IOException("the object store can not be used: " + reason(e), e);
    }
  }

  /** An object, if it is there. */
  Optional<ObjectAttributes> find(String key) throws IOException {
    return head(key).map(Bucket::attributes);
  }

  private static ObjectAttributes attributes(HeadObjectResponse head) {
    Instant modified = head.lastModified();
    String version = head.eTag();
    return new ObjectAttributes(
        false,
        head.contentLength(),
        modified == null ? Instant.EPOCH : modified,
        version == null ? "" : version);
  }

  /** What the store says of an object, if it is there. */
  Optional<HeadObjectResponse> head(String key) throws IOException {
    for (boolean asked = false; ; asked = true) {
      try {
        return Optional.of(client().headObject(request -> request.bucket(name).key(key)));
      } catch (AwsServiceException e) {
        if (e.statusCode() == NOT_FOUND) {
          return Optional.empty();
        }
        if (asked || !leavesOpen(e)) {
          throw failed(key, e);
        }
        askWhy(key); // where that is answered well, what it was has passed
      } catch (SdkException e) {
        throw failed(key, e);
      }
    }
  }

  /** The answer to a HEAD has no body, so no code; these may be what passes and what never does. */
  private static boolean leavesOpen(AwsServiceException e) {
    return UNSAID.contains(e.statusCode()) && code(e).isEmpty();
  }

  /** Reads a byte of an object, for the code of the error that it is answered with. */
  private void askWhy(String key) throws IOException {
    try {
      client().getObject(request -> request.bucket(name).key(key).range("bytes=0-0")).abort();
    } catch (AwsServiceException e) {
      if (e.statusCode() != NOT_FOUND && e.statusCode() != NO_SUCH_RANGE) {
        throw failed(key, e);
      }
    } catch (SdkException e) {
      throw failed(key, e);
    }
  }

  /** Keys that begin like this, at most so many. */
  List<String> list(String prefix, int most) throws IOException {
    List<String> keys = new ArrayList<>();
    try {
      for (ListObjectsV2Response page :
          client()
              .listObjectsV2Paginator(
                  request -> request.bucket(name).prefix(prefix).maxKeys(Math.min(1000, most)))) {
        page.contents().forEach(object -> keys.add(object.key()));
        if (keys.size() >= most) {
          break;
        }
      }
      return keys;
    } catch (SdkException e) {
      throw failed(prefix, e);
    }
  }

  /** Names directly under a prefix, as {@link #children(String, int)} with a bound of its own. */
  List<String> children(String directory) throws IOException {
    return children(directory, MOST_CHILDREN);
  }

  /**
   * Names directly under a prefix; what lies deeper is not listed by the store.
   *
   * @param most an error if there are more
   */
  List<String> children(String directory, int most) throws IOException {
    String prefix = directory.isEmpty() ? "" : directory + "/";
    Set<String> names = new TreeSet<>();
    try {
      for (ListObjectsV2Response page :
          client()
              .listObjectsV2Paginator(
                  request -> request.bucket(name).prefix(prefix).delimiter("/"))) {
        for (S3Object object : page.contents()) {
          names.add(object.key().substring(prefix.length()));
        }
        for (CommonPrefix deeper : page.commonPrefixes()) {
          names.add(deeper.prefix().substring(prefix.length()).replaceAll("/$", ""));
        }
        names.remove(""); // the prefix itself, where a tool made it look like a directory
        if (names.size() > most) {
          throw new IOException(
              "s3://" + name + "/" + prefix + " has more than " + most + " entries");
        }
      }
      return List.copyOf(names);
    } catch (SdkException e) {
      throw failed(prefix, e);
    }
  }

  /**
   * Fills a buffer from a byte of a version of an object on; goes on where a connection broke.
   *
   * @throws StoreRefusedException if the store does not honour ranges
   */
  void read(String key, String version, long from, ByteBuffer target) throws IOException {
    long at = from;
    for (int failures = 0; target.hasRemaining(); ) {
      int before = target.position();
      long last = at + target.remaining() - 1;
      String range = "bytes=" + at + "-" + last;
      try (ResponseInputStream<GetObjectResponse> in =
          client()
              .getObject(
                  request -> {
                    request.bucket(name).key(key).range(range);
                    if (!version.isEmpty()) {
                      request.ifMatch(version);
                    }
                  })) {
        String part = in.response().contentRange();
        if (part == null ? at > 0 : !part.startsWith("bytes " + at + "-")) {
          in.abort();
          throw otherBytes(key, at);
        }
        fill(in, target);
        if (part == null) {
          in.abort(); // the rest of the object, which nobody asked for
        }
      } catch (SdkException e) {
        throw failed(key, e);
      } catch (StoreRefusedException e) {
        throw e; // asked again, it would answer alike
      } catch (IOException e) {
        if (++failures == TRIES) {
          throw new StoreUnavailableException(
              "s3://" + name + "/" + key + " could not be read at byte " + at + ": " + e, e);
        }
      }
      at += target.position() - before;
    }
  }

  private StoreRefusedException otherBytes(String key, long from) {
    return new StoreRefusedException(
        "s3://"
            + name
            + "/"
            + key
            + ": the store was asked for bytes from "
            + from
            + " on and answers with others: it, or a proxy before it, ignores Range, without which"
            + " no object can be read in parts");
  }

  private static void fill(InputStream in, ByteBuffer target) throws IOException {
    byte[] piece = new byte[PIECE];
    while (target.hasRemaining()) {
      int n = in.read(piece, 0, Math.min(piece.length, target.remaining()));
      if (n < 0) {
        throw new EOFException("the connection ended early");
      }
      target.put(piece, 0, n);
    }
  }

  /** An error in words: by code and status, since a store may put anything into its message. */
  IOException failed(String key, SdkException e) {
    String object = "s3://" + name + "/" + key;
    if (!(e instanceof AwsServiceException service)) {
      return new StoreUnavailableException(object + ": " + reason(e), e);
    }
    int status = service.statusCode();
    String code = code(service);
    String answer = object + ": " + answer(service);
    if (isPassing(status) || PASSING.contains(code)) {
      return new StoreUnavailableException(answer, e);
    }
    IOException known =
        switch (status) {
          case NOT_FOUND ->
              code.equals(NO_BUCKET)
                  ? new NoSuchFileException(object, /* other= */ null, "there is no such bucket")
                  : new NoSuchFileException(object);
          case FORBIDDEN, UNAUTHORIZED ->
              new AccessDeniedException(
                  object, /* other= */ null, "the store refuses these credentials");
          case PRECONDITION_FAILED ->
              new IOException(object + " is not what it was when it was looked at");
          case NOT_IMPLEMENTED ->
              new StoreRefusedException(
                  answer
                      + "; a store must know puts with If-None-Match: *, and checksums unless"
                      + " AWS_REQUEST_CHECKSUM_CALCULATION=when_required");
          default -> new StoreRefusedException(answer);
        };
    known.initCause(e);
    return known;
  }

  static String answer(AwsServiceException e) {
    String code = code(e);
    return "the store answers with status "
        + e.statusCode()
        + (code.isEmpty() ? "" : " (" + code + ")");
  }

  /** Whether what was sent is not what the store has of it. */
  static boolean isMangled(AwsServiceException e) {
    return MANGLED.contains(code(e));
  }

  /** The error of a file that was sent so often, and came to be something else each time. */
  IOException mangled(String key, AwsServiceException e, int tries) {
    IOException refused =
        new StoreRefusedException(
            "s3://"
                + name
                + "/"
                + key
                + ": "
                + answer(e)
                + ", as it did each of the "
                + tries
                + " times that the bytes were sent: something on the way changes them, or the store"
                + " does not know their checksums, which"
                + " AWS_REQUEST_CHECKSUM_CALCULATION=when_required leaves out");
    refused.initCause(e);
    return refused;
  }

  /** By HTTP, an unknown status of 500 and above is as 500; these two never pass by waiting. */
  private static boolean isPassing(int status) {
    return status == TOO_MANY
        || status == TIMED_OUT
        || (status >= SERVER && status != NOT_IMPLEMENTED && status != VERSION_NOT_SUPPORTED);
  }

  private static String code(AwsServiceException e) {
    return e.awsErrorDetails() == null || e.awsErrorDetails().errorCode() == null
        ? ""
        : e.awsErrorDetails().errorCode().replaceAll("[^A-Za-z0-9]", "?");
  }

  private static String reason(RuntimeException e) {
    String message = String.valueOf(e.getMessage());
    if (message.contains("load credentials")) {
      return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE,"
          + " or give this machine a role";
    }
    if (message.contains("load region")) {
      return "no region is set: set AWS_REGION";
    }
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return "the store can not be reached (" + root + ")";
  }
}
