package dev.whence.buckets;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.ProviderMismatchException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.HeadObjectResponse;
import software.amazon.awssdk.services.s3.model.ListMultipartUploadsResponse;
import software.amazon.awssdk.services.s3.model.MultipartUpload;

/**
 * Puts files under a prefix of a bucket. Each appears whole or not at all, and never over what is
 * there: every object carries its owner's name, and the store is asked to refuse one that exists
 * ({@code If-None-Match: *}). What an earlier upload of the same owner has finished is left as it
 * is; its unfinished parts are given up. Large files go in parts, some at a time, straight from the
 * disk: memory does not grow with the file. The store checks the checksum of every part.
 */
public final class BucketUpload {
  /** Bytes of a part where nobody says otherwise; the store takes at least 5 MiB. */
  public static final long PART = 16L << 20;

  private static final Logger LOG = LoggerFactory.getLogger(BucketUpload.class);
  private static final String OWNER = "whence-owner";
  private static final int MOST_PARTS = 10_000;
  private static final int AT_ONCE = 4;
  private static final String BYTES = "application/octet-stream";

  private final Bucket bucket;
  private final String prefix;
  private final String owner;
  private final long partBytes;
  private final LongConsumer sent;

  /** Something under the prefix. */
  private record Stored(long size, String owner) {}

  /** A part of a file. */
  private record Part(int number, long from, long length) {}

  /**
   * @param prefix a path {@code s3://bucket/key}
   * @param owner what all files of this upload have in common, letters and digits
   * @param partBytes of a part, at least 5 MiB
   * @param sent hears of bytes that the store has, and may throw to stop
   */
  public BucketUpload(Path prefix, String owner, long partBytes, LongConsumer sent) {
    if (!(prefix instanceof BucketPath path)) {
      throw new ProviderMismatchException(prefix + " is no path of a bucket");
    }
    if (path.key().isEmpty()) {
      throw new IllegalArgumentException(prefix + " is a whole bucket: give a key, too");
    }
    this.bucket = path.bucket().bucket();
    this.prefix = path.key() + "/";
    this.owner = owner;
    this.partBytes = partBytes;
    this.sent = sent;
  }

  /** An object under the prefix that somebody else has put there, if there is one. */
  public Optional<String> foreign() throws IOException {
    for (String key : bucket.list(prefix, Integer.MAX_VALUE)) {
      if (stored(key).filter(there -> !there.owner().equals(owner)).isPresent()) {
        return Optional.of("s3://" + bucket.name() + "/" + key);
      }
    }
    return Optional.empty();
  }

  /**
   * Gives up what uploads that were cut off have left of their parts: nobody sees it, but it costs.
   */
  public void abortUnfinished() throws IOException {
    try {
      ListMultipartUploadsResponse left =
          bucket
              .client()
              .listMultipartUploads(request -> request.bucket(bucket.name()).prefix(prefix));
      for (MultipartUpload upload : left.uploads()) {
        if (upload.key().startsWith(prefix)) {
          LOG.info("an unfinished upload of {} is given up", upload.key());
          abort(upload.key(), upload.uploadId());
        }
      }
    } catch (SdkException e) {
      throw bucket.failed(prefix, e);
    }
  }

  /** Removes what this owner has put; others' objects stay. */
  public void removeOwn() throws IOException {
    abortUnfinished();
    for (String key : bucket.list(prefix, Integer.MAX_VALUE)) {
      if (stored(key).filter(there -> there.owner().equals(owner)).isPresent()) {
        try {
          bucket.client().deleteObject(request -> request.bucket(bucket.name()).key(key));
        } catch (SdkException e) {
          throw bucket.failed(key, e);
        }
      }
    }
  }

  /**
   * Puts a file, unless it is there already.
   *
   * @param name under the prefix, with slashes
   * @throws IOException if it can not be put, or something else has that name
   */
  public void put(String name, Path file) throws IOException {
    String key = prefix + name;
    long size = Files.size(file);
    if (isThere(key, size)) {
      sent.accept(size);
      return;
    }
    try {
      if (size <= partBytes) {
        bucket
            .client()
            .putObject(
                request ->
                    request
                        .bucket(bucket.name())
                        .key(key)
                        .ifNoneMatch("*")
                        .metadata(Map.of(OWNER, owner)),
                RequestBody.fromFile(file));
        sent.accept(size);
      } else {
        inParts(key, file, size);
      }
    } catch (AwsServiceException e) {
      // Whoever was faster may be of the same owner: a run whose answer got lost, for one.
      if (e.statusCode() != Bucket.PRECONDITION_FAILED || !isThere(key, size)) {
        throw bucket.failed(key, e);
      }
    } catch (SdkException e) {
      throw bucket.failed(key, e);
    }
  }

  private boolean isThere(String key, long size) throws IOException {
    Optional<Stored> there = stored(key);
    if (there.isEmpty()) {
      return false;
    }
    if (!there.get().owner().equals(owner) || there.get().size() != size) {
      throw new IOException(
          "s3://" + bucket.name() + "/" + key + " is there already and is something else");
    }
    return true;
  }

  private Optional<Stored> stored(String key) throws IOException {
    try {
      HeadObjectResponse head =
          bucket.client().headObject(request -> request.bucket(bucket.name()).key(key));
      return Optional.of(new Stored(head.contentLength(), head.metadata().getOrDefault(OWNER, "")));
    } catch (AwsServiceException e) {
      if (e.statusCode() == 404) {
        return Optional.empty();
      }
      throw bucket.failed(key, e);
    } catch (SdkException e) {
      throw bucket.failed(key, e);
    }
  }

  private void inParts(String key, Path file, long size) throws IOException {
    String upload =
        bucket
            .client()
            .createMultipartUpload(
                request ->
                    request
                        .bucket(bucket.name())
                        .key(key)
                        .contentType(BYTES)
                        .metadata(Map.of(OWNER, owner)))
            .uploadId();
    boolean complete = false;
    try {
      List<CompletedPart> parts = send(key, upload, file, size);
      bucket
          .client()
          .completeMultipartUpload(
              request ->
                  request
                      .bucket(bucket.name())
                      .key(key)
                      .uploadId(upload)
                      .ifNoneMatch("*")
                      .multipartUpload(all -> all.parts(parts)));
      complete = true;
    } finally {
      if (!complete) {
        abort(key, upload);
      }
    }
  }

  private List<CompletedPart> send(String key, String upload, Path file, long size)
      throws IOException {
    long length = Math.max(partBytes, (size + MOST_PARTS - 1) / MOST_PARTS);
    ExecutorService threads =
        Executors.newFixedThreadPool(AT_ONCE, task -> new Thread(task, "bucket-upload"));
    try {
      List<Future<CompletedPart>> running = new ArrayList<>();
      for (long from = 0; from < size; from += length) {
        Part part = new Part(running.size() + 1, from, Math.min(length, size - from));
        running.add(threads.submit(() -> send(key, upload, file, part)));
      }
      List<CompletedPart> parts = new ArrayList<>();
      for (Future<CompletedPart> one : running) {
        parts.add(one.get());
      }
      return parts;
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IOException("s3://" + bucket.name() + "/" + key + " could not be put", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("s3://" + bucket.name() + "/" + key + ": interrupted", e);
    } finally {
      threads.shutdownNow();
      awaitEnd(threads);
    }
  }

  /** Parts that are still on their way would be left behind by giving the upload up. */
  private static void awaitEnd(ExecutorService threads) {
    try {
      var unused = threads.awaitTermination(1, TimeUnit.MINUTES);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private CompletedPart send(String key, String upload, Path file, Part part) throws IOException {
    String tag =
        bucket
            .client()
            .uploadPart(
                request ->
                    request
                        .bucket(bucket.name())
                        .key(key)
                        .uploadId(upload)
                        .partNumber(part.number()),
                RequestBody.fromContentProvider(() -> slice(file, part), part.length(), BYTES))
            .eTag();
    sent.accept(part.length());
    return CompletedPart.builder().partNumber(part.number()).eTag(tag).build();
  }

  /** A part, read from the disk as it is sent, and again if it has to be sent again. */
  private static InputStream slice(Path file, Part part) {
    try {
      FileChannel channel = FileChannel.open(file);
      channel.position(part.from());
      return new BoundedStream(Channels.newInputStream(channel), part.length());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void abort(String key, String upload) {
    try {
      bucket
          .client()
          .abortMultipartUpload(request -> request.bucket(bucket.name()).key(key).uploadId(upload));
    } catch (SdkException | IOException e) {
      LOG.warn("an unfinished upload of {} is left in the store", key);
    }
  }
}
