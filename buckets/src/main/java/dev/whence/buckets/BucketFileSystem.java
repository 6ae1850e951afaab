package dev.whence.buckets;

import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.WatchService;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.util.List;
import java.util.Set;

/** One bucket, for reading. It stays open as long as the process. */
final class BucketFileSystem extends FileSystem {
  private final BucketFileSystemProvider provider;
  private final Bucket bucket;

  BucketFileSystem(BucketFileSystemProvider provider, Bucket bucket) {
    this.provider = provider;
    this.bucket = bucket;
  }

  String name() {
    return bucket.name();
  }

  Bucket bucket() {
    return bucket;
  }

  /** What is there under a path: an object, or the prefix of some. */
  ObjectAttributes attributes(BucketPath path) throws IOException {
    return ObjectAttributes.of(bucket, path);
  }

  @Override
  public BucketFileSystemProvider provider() {
    return provider;
  }

  @Override
  public void close() {
    throw new UnsupportedOperationException("a bucket stays open as long as the process");
  }

  @Override
  public boolean isOpen() {
    return true;
  }

  @Override
  public boolean isReadOnly() {
    return true;
  }

  @Override
  public String getSeparator() {
    return "/";
  }

  @Override
  public Iterable<Path> getRootDirectories() {
    return List.of(BucketPath.of(this, "/"));
  }

  @Override
  public Iterable<FileStore> getFileStores() {
    return List.of();
  }

  @Override
  public Set<String> supportedFileAttributeViews() {
    return Set.of("basic");
  }

  @Override
  public Path getPath(String first, String... more) {
    StringBuilder text = new StringBuilder(first);
    for (String part : more) {
      text.append('/').append(part);
    }
    return BucketPath.of(this, text.toString());
  }

  @Override
  public PathMatcher getPathMatcher(String syntaxAndPattern) {
    throw new UnsupportedOperationException("keys of a bucket are not matched by patterns");
  }

  @Override
  public UserPrincipalLookupService getUserPrincipalLookupService() {
    throw new UnsupportedOperationException("a bucket has no users");
  }

  @Override
  public WatchService newWatchService() {
    throw new UnsupportedOperationException("a bucket can not be watched");
  }
}
