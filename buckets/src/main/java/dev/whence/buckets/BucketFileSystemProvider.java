package dev.whence.buckets;

import java.io.IOException;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessMode;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.ProviderMismatchException;
import java.nio.file.ReadOnlyFileSystemException;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileAttributeView;
import java.nio.file.attribute.FileTime;
import java.nio.file.spi.FileSystemProvider;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The scheme {@code s3}: {@code Path.of(URI.create("s3://bucket/key"))}, for reading. The JDK makes
 * one of these when it first looks for providers; nothing is connected before a file is touched.
 */
public final class BucketFileSystemProvider extends FileSystemProvider {
  static final String SCHEME = "s3";

  private final Store store = new Store();
  private final Map<String, BucketFileSystem> buckets = new ConcurrentHashMap<>();

  /** The JDK calls it. */
  public BucketFileSystemProvider() {}

  @Override
  public String getScheme() {
    return SCHEME;
  }

  private BucketFileSystem bucket(URI uri) {
    String name = uri.getAuthority();
    if (name != null && (name.contains("@") || name.contains(":"))) {
      throw new IllegalArgumentException(
          "a bucket's address takes no credentials: give s3://BUCKET/KEY");
    }
    if (name == null || !Bucket.isName(name)) {
      throw new IllegalArgumentException(
          "'" + name + "' is no name of a bucket: give s3://BUCKET/KEY");
    }
    return buckets.computeIfAbsent(
        name, any -> new BucketFileSystem(this, new Bucket(store, name)));
  }

  private static BucketPath ours(Path path) {
    if (path instanceof BucketPath ours) {
      return ours;
    }
    throw new ProviderMismatchException(path + " is no path of a bucket");
  }

  @Override
  public FileSystem newFileSystem(URI uri, Map<String, ?> environment) {
    return bucket(uri);
  }

  @Override
  public FileSystem getFileSystem(URI uri) {
    return bucket(uri);
  }

  @Override
  public Path getPath(URI uri) {
    String key = uri.getPath();
    return BucketPath.of(bucket(uri), key == null || key.isEmpty() ? "/" : key);
  }

  @Override
  public SeekableByteChannel newByteChannel(
      Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
      throws IOException {
    return newFileChannel(path, options, attributes);
  }

  @Override
  public FileChannel newFileChannel(
      Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes)
      throws IOException {
    for (OpenOption option : options) {
      if (option != StandardOpenOption.READ) {
        throw new ReadOnlyFileSystemException();
      }
    }
    BucketPath object = ours(path);
    ObjectAttributes there = object.bucket().attributes(object);
    if (there.isDirectory()) {
      throw new NoSuchFileException(path.toString());
    }
    return new BucketChannel(object.bucket().bucket(), object.key(), there.size(), there.version());
  }

  @Override
  public DirectoryStream<Path> newDirectoryStream(
      Path directory, DirectoryStream.Filter<? super Path> filter) throws IOException {
    BucketPath path = ours(directory).toAbsolutePath();
    List<Path> children = new ArrayList<>();
    for (String name : path.bucket().bucket().children(path.key())) {
      Path child = path.resolve(BucketPath.of(path.bucket(), name));
      if (filter.accept(child)) {
        children.add(child);
      }
    }
    return new DirectoryStream<>() {
      @Override
      public Iterator<Path> iterator() {
        return children.iterator();
      }

      @Override
      public void close() {}
    };
  }

  @Override
  public void checkAccess(Path path, AccessMode... modes) throws IOException {
    for (AccessMode mode : modes) {
      if (mode != AccessMode.READ) {
        throw new ReadOnlyFileSystemException();
      }
    }
    BucketPath object = ours(path);
    object.bucket().attributes(object);
  }

  @Override
  public <A extends BasicFileAttributes> A readAttributes(
      Path path, Class<A> type, LinkOption... options) throws IOException {
    if (type != BasicFileAttributes.class) {
      throw new UnsupportedOperationException("an object has basic attributes only");
    }
    BucketPath object = ours(path);
    return type.cast(object.bucket().attributes(object));
  }

  @Override
  public Map<String, Object> readAttributes(Path path, String attributes, LinkOption... options) {
    throw new UnsupportedOperationException("attributes of an object are not read by name");
  }

  @Override
  public <V extends FileAttributeView> @Nullable V getFileAttributeView(
      Path path, Class<V> type, LinkOption... options) {
    if (type != BasicFileAttributeView.class) {
      return null;
    }
    return type.cast(
        new BasicFileAttributeView() {
          @Override
          public String name() {
            return "basic";
          }

          @Override
          public BasicFileAttributes readAttributes() throws IOException {
            BucketPath object = ours(path);
            return object.bucket().attributes(object);
          }

          @Override
          public void setTimes(FileTime modified, FileTime accessed, FileTime created) {
            throw new ReadOnlyFileSystemException();
          }
        });
  }

  @Override
  public boolean isSameFile(Path one, Path other) {
    return one instanceof BucketPath a
        && other instanceof BucketPath b
        && a.toAbsolutePath().normalize().equals(b.toAbsolutePath().normalize());
  }

  @Override
  public boolean isHidden(Path path) {
    return false;
  }

  @Override
  public FileStore getFileStore(Path path) {
    throw new UnsupportedOperationException("a bucket has no size");
  }

  @Override
  public void createDirectory(Path directory, FileAttribute<?>... attributes) {
    throw new ReadOnlyFileSystemException();
  }

  @Override
  public void delete(Path path) {
    throw new ReadOnlyFileSystemException();
  }

  @Override
  public void copy(Path source, Path target, CopyOption... options) {
    throw new ReadOnlyFileSystemException();
  }

  @Override
  public void move(Path source, Path target, CopyOption... options) {
    throw new ReadOnlyFileSystemException();
  }

  @Override
  public void setAttribute(Path path, String attribute, Object value, LinkOption... options) {
    throw new ReadOnlyFileSystemException();
  }
}
