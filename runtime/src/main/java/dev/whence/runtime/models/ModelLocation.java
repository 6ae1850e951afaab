package dev.whence.runtime.models;

import dev.whence.runtime.worker.EnvironmentException;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemNotFoundException;
import java.nio.file.FileSystems;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a model release says its files are. Whoever can write to the topic could otherwise make the
 * process read any file, so a location must lie under one of the configured roots, links followed.
 */
public final class ModelLocation {
  /** Any scheme with an authority, but files. A key may have characters that a URI must escape. */
  private static final Pattern URI_OF_STORE =
      Pattern.compile("(?!file:)([a-z][a-z0-9+.-]+)://([^/]*)(/.*)?", Pattern.DOTALL);

  /** Whatever looks like a URI, in what letters ever: only for what is shown. */
  private static final Pattern ADDRESS =
      Pattern.compile("([^:/]*:/+)([^/]*)(/.*)?", Pattern.DOTALL);

  private ModelLocation() {}

  /**
   * Resolves a location.
   *
   * @param location a path, relative to a root or absolute, or a URI of one ({@link #path})
   * @param roots the configured {@code models.roots}
   * @return the real path
   * @throws ModelLoadException if it does not lie under a root or does not exist
   * @throws EnvironmentException if the store of a root does not answer, so that nobody knows
   */
  public static Path resolve(String location, List<Path> roots) throws ModelLoadException {
    if (roots.isEmpty()) {
      throw new ModelLoadException(
          "a model release names a location, but models.roots is not configured");
    }
    Path path;
    try {
      path = path(location);
    } catch (IllegalArgumentException e) {
      throw new ModelLoadException(
          "the location of a model release is not a path: " + e.getMessage(), e);
    }
    Optional<IOException> unreadable = Optional.empty();
    Optional<IOException> unanswered = Optional.empty();
    for (Path root : roots) {
      if (path.isAbsolute() && !path.getFileSystem().equals(root.getFileSystem())) {
        continue; // nothing is asked of a bucket that is no root
      }
      Path under = path.isAbsolute() ? path : root.resolve(path.toString());
      // A store has no links, so its paths say where they lead: what is outside is not asked for.
      if (!root.getFileSystem().equals(FileSystems.getDefault())
          && !under.normalize().startsWith(root.normalize())) {
        continue;
      }
      try {
        Path real = under.toRealPath();
        if (real.startsWith(root.toRealPath())) {
          return real;
        }
      } catch (NoSuchFileException | NotDirectoryException e) {
        // not under this root
      } catch (FileSystemException e) {
        unreadable = unreadable.or(() -> Optional.of(e)); // it may lie under another
      } catch (IOException e) {
        // It says nothing of the path: a store that does not answer, which may do so later.
        unanswered = unanswered.or(() -> Optional.of(e));
      }
    }
    if (unanswered.isPresent()) {
      throw new EnvironmentException(
          "the location of a model release can not be read now ("
              + unanswered.get().getClass().getSimpleName()
              + ")",
          unanswered.get());
    }
    if (unreadable.isPresent()) {
      throw new ModelLoadException(
          "the location of a model release can not be read ("
              + unreadable.get().getClass().getSimpleName()
              + ")",
          unreadable.get());
    }
    throw new ModelLoadException(
        "the location of a model release, '"
            + shown(location)
            + "', is no existing file or directory under models.roots");
  }

  /**
   * A path of a text: as it is, or of the file system that a URI's scheme names ({@code file:},
   * {@code s3://bucket/key} where the module {@code buckets} is on the class path).
   *
   * @throws IllegalArgumentException if it is no path, or of a scheme that nobody reads
   */
  public static Path path(String text) {
    Matcher uri = URI_OF_STORE.matcher(text);
    if (uri.matches() && hasCredentials(uri.group(2))) {
      throw new IllegalArgumentException("a bucket's address takes no credentials");
    }
    try {
      if (uri.matches()) {
        return Path.of(new URI(uri.group(1), uri.group(2), uri.group(3), /* fragment= */ null));
      }
      return text.startsWith("file:") ? Path.of(new URI(text)) : Path.of(text);
    } catch (FileSystemNotFoundException e) {
      throw new IllegalArgumentException("nothing here reads " + uri.group(1) + "://", e);
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException(
          "'" + shown(text) + "' is no URI of a file: " + e.getReason());
    } catch (InvalidPathException e) {
      throw new IllegalArgumentException("'" + shown(text) + "' is no path: " + e.getReason());
    }
  }

  /** Of an address: a bucket's name has neither, and a secret before an @ may have any other. */
  private static boolean hasCredentials(String authority) {
    return authority.indexOf('@') >= 0 || authority.indexOf(':') >= 0;
  }

  /**
   * A text for a sentence: an address loses what stands before its last @ if that may be secret.
   */
  private static String shown(String text) {
    Matcher uri = ADDRESS.matcher(text);
    return uri.matches() && hasCredentials(uri.group(2))
        ? uri.group(1) + "..." + text.substring(Math.max(text.lastIndexOf('@'), uri.end(2)))
        : text;
  }
}
