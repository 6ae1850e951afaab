package dev.whence.buckets;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * An object, or a prefix that some object has.
 *
 * @param version the store's entity tag, which changes with the content; empty for a prefix
 */
record ObjectAttributes(boolean isDirectory, long size, Instant modified, String version)
    implements BasicFileAttributes {

  static ObjectAttributes of(Bucket bucket, BucketPath path) throws IOException {
    String key = path.key();
    if (!key.isEmpty()) {
      Optional<ObjectAttributes> object = bucket.find(key);
      if (object.isPresent()) {
        return object.get();
      }
    }
    if (bucket.list(key.isEmpty() ? "" : key + "/", 1).isEmpty()) {
      throw new NoSuchFileException(path.toString());
    }
    return new ObjectAttributes(true, 0, Instant.EPOCH, "");
  }

  @Override
  public FileTime lastModifiedTime() {
    return FileTime.from(modified);
  }

  @Override
  public FileTime lastAccessTime() {
    return lastModifiedTime();
  }

  @Override
  public FileTime creationTime() {
    return lastModifiedTime();
  }

  @Override
  public boolean isRegularFile() {
    return !isDirectory;
  }

  @Override
  public boolean isSymbolicLink() {
    return false;
  }

  @Override
  public boolean isOther() {
    return false;
  }

  @Override
  public @Nullable Object fileKey() {
    return version.isEmpty() ? null : version;
  }
}
