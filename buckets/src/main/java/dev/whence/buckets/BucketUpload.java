package dev.whence.buckets;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.ProviderMismatchException;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.UploadPartResponse;

/**
 * Puts files under a prefix of a bucket. Each appears whole or not at all, and never over what is
 * there: every object carries its owner's name, and the store is asked to refuse one that exists
 * ({@code If-None-Match: *}). What an earlier upload of the same owner has finished is left as it
 * is. Large files go in parts, some at a time, straight from the disk: memory does not grow with
 * the file. The store checks the checksum of every part, and is told it once more when the parts
 * are joined: S3 takes no part for the one that was sent without it.
 *
 * <p>Another process may put the same files for the same owner at the same time, so nothing that is
 * in the store is ever removed, and of uploads in parts only those are given up that a file on this
 * disk says were begun here.
 */
public final class BucketUpload {
  /** Bytes of a part where nobody says otherwise; the store takes at least 5 MiB. */
  public static final long PART = 16L << 20;

  private static final Logger LOG = LoggerFactory.getLogger(BucketUpload.class);
  private static final String OWNER = "whence-owner";
  private static final int MOST_PARTS = 10_000;
  private static final int AT_ONCE = 4;

  /** So often a file is sent whose bytes the store does not take for those that were sent. */
  private static final int TRIES = 3;

  /** What stores answer to who comes second: 409 to two at once, 404 to parts already joined. */
  private static final Set<Integer> MAY_BE_THERE =
      Set.of(Bucket.PRECONDITION_FAILED, 409, Bucket.NOT_FOUND);

  private static final String BYTES = "application/octet-stream";

  private final Bucket bucket;
  private final String prefix;
  private final String owner;
  private final long partBytes;
  private final LongConsumer sent;
  private final Optional<Path> begun;

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
    this(prefix, owner, partBytes, sent, /* begun= */ Optional.empty());
  }

  /**
   * An upload that a later one can clear up after.
   *
   * @param begun a file of this disk that notes the uploads in parts, for {@link #abortUnfinished};
   *     no two uploads at a time have the same
   */
  public BucketUpload(Path prefix, String owner, long partBytes, LongConsumer sent, Path begun) {
    this(prefix, owner, partBytes, sent, Optional.of(begun));
  }

  private BucketUpload(
      Path prefix, String owner, long partBytes, LongConsumer sent, Optional<Path> begun) {
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
    this.begun = begun;
  }

  /** An object under the prefix that somebody else has put there, if there is one. */
  public Optional<String> foreign() throws IOException {
    for (String key : bucket.list(prefix, Integer.MAX_VALUE)) {
      if (stored(key).filter(there -> !there.owner().equals(owner)).isPresent()) {
        return Optional.of(object(key));
      }
    }
    return Optional.empty();
  }

  /**
   * Gives up the parts of uploads that were begun here and cut off: nobody sees them, but they
   * cost. What can not be given up now is tried again by the next one.
   */
  public void abortUnfinished() throws IOException {
    if (begun.isEmpty() || !Files.exists(begun.get())) {
      return;
    }
    boolean all = true;
    for (String line : Files.readAllLines(begun.get())) {
      String[] idAndKey = line.split("\t", 2);
      if (idAndKey.length == 2 && idAndKey[1].startsWith(prefix)) {
        all &= abort(idAndKey[1], idAndKey[0]);
      }
    }
    if (all) {
      Files.delete(begun.get());
    }
  }

  /**
   * Checks that a file that was put is still there.
   *
   * @param name under the prefix, with slashes
   * @throws LostObjectException if it is not
   * @throws FileAlreadyExistsException if something else has that name
   */
  public void check(String name, Path file) throws IOException {
    String key = prefix + name;
    if (!isThere(key, Files.size(file))) {
      throw new LostObjectException(object(key) + ": was put and is gone");
    }
  }

  private String object(String key) {
    return "s3://" + bucket.name() + "/" + key;
  }

  /**
   * Puts a file, unless it is there already.
   *
   * @param name under the prefix, with slashes
   * @throws FileAlreadyExistsException if something else has that name
   * @throws java.nio.file.AccessDeniedException if the store refuses the credentials
   * @throws StoreUnavailableException if the store does not answer, or not now
   * @throws StoreRefusedException if the store will not take it, or takes what was sent, again and
   *     again, for something else
   * @throws LostObjectException if it was there, and was removed before it could be looked at
   * @throws IOException if it can not be put; it may be there all the same
   */
  public void put(String name, Path file) throws IOException {
    String key = prefix + name;
    long size = Files.size(file);
    if (isThere(key, size)) {
      sent.accept(size);
      return;
    }
    boolean whole = size <= partBytes;
    try {
      send(key, file, size, whole);
    } catch (AwsServiceException e) {
      // Whoever was faster may be of the same owner: a run whose answer got lost, for one.
      if (!MAY_BE_THERE.contains(e.statusCode()) || !isThere(key, size)) {
        if (e.statusCode() == Bucket.PRECONDITION_FAILED) {
          throw new LostObjectException(object(key) + ": was there and is gone");
        }
        throw bucket.failed(key, e);
      }
    } catch (SdkException e) {
      // A store that refuses what is there by now may close the connection before it has all of it.
      if (!isThereAfter(bucket.failed(key, e), key, size)) {
        throw bucket.failed(key, e);
      }
    }
    if (whole) {
      sent.accept(size); // parts are told as they go
    }
  }

  private void send(String key, Path file, long size, boolean whole) throws IOException {
    Set<Integer> told = ConcurrentHashMap.newKeySet();
    for (int tried = 1; ; tried++) {
      try {
        if (whole) {
          inOne(key, file);
        } else {
          inParts(key, file, size, told);
        }
        return;
      } catch (AwsServiceException e) {
        if (!Bucket.isMangled(e)) {
          throw e;
        }
        if (tried == TRIES) {
          throw bucket.mangled(key, e, TRIES);
        }
        LOG.warn("{}: {}; it is sent again", object(key), Bucket.answer(e));
      }
    }
  }

  private void inOne(String key, Path file) throws IOException {
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
  }

  /** Whether a file is there that could not be sent; if that can not be told, why it could not. */
  private boolean isThereAfter(IOException failure, String key, long size) throws IOException {
    try {
      return isThere(key, size);
    } catch (StoreUnavailableException e) {
      failure.addSuppressed(e);
      throw failure;
    }
  }

  private boolean isThere(String key, long size) throws IOException {
    Optional<Stored> there = stored(key);
    if (there.isEmpty()) {
      return false;
    }
    if (!there.get().owner().equals(owner) || there.get().size() != size) {
      throw new FileAlreadyExistsException(
          object(key), /* other= */ null, "is there already and is something else");
    }
    return true;
  }

  private Optional<Stored> stored(String key) throws IOException {
    return bucket
        .head(key)
        .map(head -> new Stored(head.contentLength(), head.metadata().getOrDefault(OWNER, "")));
  }

  /**
   * @param told parts that were counted by an earlier try
   */
  private void inParts(String key, Path file, long size, Set<Integer> told) throws IOException {
    S3Client client = bucket.client();
    String upload =
        client
            .createMultipartUpload(
                request -> {
                  request
                      .bucket(bucket.name())
                      .key(key)
                      .contentType(BYTES)
                      .metadata(Map.of(OWNER, owner));
                  if (addsChecksums(client)) {
                    request.checksumAlgorithm(ChecksumAlgorithm.CRC32); // the client's, of a part
                  }
                })
            .uploadId();
    boolean complete = false;
    try {
      if (begun.isPresent()) {
        Files.writeString(
            begun.get(),
            upload + "\t" + key + "\n",
            StandardOpenOption.CREATE,
            StandardOpenOption.APPEND);
      }
      List<CompletedPart> parts = parts(key, upload, file, size, told);
      client.completeMultipartUpload(
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
        var unused = abort(key, upload);
      }
    }
  }

  /** Whether parts have checksums: not where the client was told to leave them out. */
  private static boolean addsChecksums(S3Client client) {
    return client.serviceClientConfiguration().requestChecksumCalculation()
        != RequestChecksumCalculation.WHEN_REQUIRED;
  }

  private List<CompletedPart> parts(
      String key, String upload, Path file, long size, Set<Integer> told) throws IOException {
    long length = Math.max(partBytes, (size + MOST_PARTS - 1) / MOST_PARTS);
    ExecutorService threads =
        Executors.newFixedThreadPool(AT_ONCE, task -> new Thread(task, "bucket-upload"));
    try {
      List<Future<CompletedPart>> running = new ArrayList<>();
      for (long from = 0; from < size; from += length) {
        Part part = new Part(running.size() + 1, from, Math.min(length, size - from));
        running.add(threads.submit(() -> send(key, upload, file, part, told)));
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
      throw new IOException(object(key) + " could not be put", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException(object(key) + ": interrupted");
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

  private CompletedPart send(String key, String upload, Path file, Part part, Set<Integer> told)
      throws IOException {
    UploadPartResponse answer =
        bucket
            .client()
            .uploadPart(
                request ->
                    request
                        .bucket(bucket.name())
                        .key(key)
                        .uploadId(upload)
                        .partNumber(part.number()),
                RequestBody.fromContentProvider(() -> slice(file, part), part.length(), BYTES));
    sent.accept(told.add(part.number()) ? part.length() : 0);
    return completed(part.number(), answer);
  }

  /** A part with whatever checksum the store has of it; a store may have none. */
  static CompletedPart completed(int number, UploadPartResponse answer) {
    return CompletedPart.builder()
        .partNumber(number)
        .eTag(answer.eTag())
        .checksumCRC32(answer.checksumCRC32())
        .checksumCRC32C(answer.checksumCRC32C())
        .checksumCRC64NVME(answer.checksumCRC64NVME())
        .checksumSHA1(answer.checksumSHA1())
        .checksumSHA256(answer.checksumSHA256())
        .build();
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

  /** Returns whether there are no parts left. */
  private boolean abort(String key, String upload) {
    try {
      bucket
          .client()
          .abortMultipartUpload(request -> request.bucket(bucket.name()).key(key).uploadId(upload));
      return true;
    } catch (AwsServiceException e) {
      if (e.statusCode() == Bucket.NOT_FOUND) {
        return true; // joined, or given up before
      }
      LOG.warn("parts of {} are left in the store", object(key));
    } catch (SdkException | IOException e) {
      LOG.warn("parts of {} are left in the store", object(key));
    }
    return false;
  }
}
