package dev.whence.buckets;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.FileSystem;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.ProviderMismatchException;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A key of a bucket, or a part of one. Absolute paths print as {@code s3://bucket/key}; the root is
 * the bucket itself. Empty elements and dots are as in any path, so that no key with them can be
 * named.
 */
final class BucketPath implements Path {
  private final BucketFileSystem fileSystem;
  private final boolean absolute;
  private final List<String> elements;

  private BucketPath(BucketFileSystem fileSystem, boolean absolute, List<String> elements) {
    this.fileSystem = fileSystem;
    this.absolute = absolute;
    this.elements = List.copyOf(elements);
  }

  /** A path of the elements of a text that are not empty; absolute if it begins with a slash. */
  static BucketPath of(BucketFileSystem fileSystem, String text) {
    List<String> elements = new ArrayList<>();
    for (String element : text.split("/", -1)) {
      if (element.indexOf(0) >= 0) {
        throw new InvalidPathException(text, "a key has no NUL");
      }
      if (!element.isEmpty()) {
        elements.add(element);
      }
    }
    return new BucketPath(fileSystem, text.startsWith("/"), elements);
  }

  /** The object's key: the absolute path's elements, with slashes between them. */
  String key() {
    return String.join("/", toAbsolutePath().normalize().elements);
  }

  private BucketPath same(boolean nowAbsolute, List<String> other) {
    return new BucketPath(fileSystem, nowAbsolute, other);
  }

  private static BucketPath ours(Path path) {
    if (path instanceof BucketPath ours) {
      return ours;
    }
    throw new ProviderMismatchException(path + " is no path of a bucket");
  }

  @Override
  public FileSystem getFileSystem() {
    return fileSystem;
  }

  BucketFileSystem bucket() {
    return fileSystem;
  }

  @Override
  public boolean isAbsolute() {
    return absolute;
  }

  @Override
  public @Nullable Path getRoot() {
    return absolute ? same(true, List.of()) : null;
  }

  @Override
  public @Nullable Path getFileName() {
    return elements.isEmpty() ? null : getName(elements.size() - 1);
  }

  @Override
  public @Nullable Path getParent() {
    if (elements.isEmpty() || (elements.size() == 1 && !absolute)) {
      return null;
    }
    return same(absolute, elements.subList(0, elements.size() - 1));
  }

  @Override
  public int getNameCount() {
    return elements.size();
  }

  @Override
  public Path getName(int index) {
    return subpath(index, index + 1);
  }

  @Override
  public Path subpath(int begin, int end) {
    if (begin < 0 || end > elements.size() || begin >= end) {
      throw new IllegalArgumentException(this + " has no elements " + begin + " to " + end);
    }
    return same(false, elements.subList(begin, end));
  }

  @Override
  public boolean startsWith(Path other) {
    return other instanceof BucketPath path
        && path.fileSystem.equals(fileSystem)
        && path.absolute == absolute
        && path.elements.size() <= elements.size()
        && elements.subList(0, path.elements.size()).equals(path.elements);
  }

  @Override
  public boolean endsWith(Path other) {
    if (!(other instanceof BucketPath path) || !path.fileSystem.equals(fileSystem)) {
      return false;
    }
    int from = elements.size() - path.elements.size();
    return path.absolute
        ? equals(path)
        : from >= 0 && elements.subList(from, elements.size()).equals(path.elements);
  }

  @Override
  public BucketPath normalize() {
    Deque<String> kept = new ArrayDeque<>();
    for (String element : elements) {
      if (element.equals("..") && !kept.isEmpty() && !kept.getLast().equals("..")) {
        kept.removeLast();
      } else if (!element.equals(".") && !(element.equals("..") && absolute)) {
        kept.addLast(element);
      }
    }
    return same(absolute, List.copyOf(kept));
  }

  @Override
  public Path resolve(Path other) {
    BucketPath path = ours(other);
    if (path.absolute) {
      return path;
    }
    List<String> all = new ArrayList<>(elements);
    all.addAll(path.elements);
    return same(absolute, all);
  }

  @Override
  public Path relativize(Path other) {
    BucketPath path = ours(other);
    if (!path.startsWith(this)) {
      throw new IllegalArgumentException(other + " is not under " + this);
    }
    return same(false, path.elements.subList(elements.size(), path.elements.size()));
  }

  @Override
  public URI toUri() {
    try {
      return new URI(
          BucketFileSystemProvider.SCHEME, fileSystem.name(), "/" + key(), /* fragment= */ null);
    } catch (URISyntaxException e) {
      throw new IllegalStateException(this + " is no URI", e);
    }
  }

  @Override
  public BucketPath toAbsolutePath() {
    return absolute ? this : same(true, elements);
  }

  /** Without dots; there are no links. */
  @Override
  public Path toRealPath(LinkOption... options) throws IOException {
    BucketPath real = toAbsolutePath().normalize();
    fileSystem.attributes(real);
    return real;
  }

  @Override
  public WatchKey register(
      WatchService watcher, WatchEvent.Kind<?>[] events, WatchEvent.Modifier... modifiers) {
    throw new UnsupportedOperationException("a bucket can not be watched");
  }

  @Override
  public int compareTo(Path other) {
    return toString().compareTo(other.toString());
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof BucketPath path
        && path.absolute == absolute
        && path.fileSystem.equals(fileSystem)
        && path.elements.equals(elements);
  }

  @Override
  public int hashCode() {
    return Objects.hash(absolute, elements);
  }

  @Override
  public String toString() {
    String joined = String.join("/", elements);
    return absolute
        ? BucketFileSystemProvider.SCHEME + "://" + fileSystem.name() + "/" + joined
        : joined;
  }
}
