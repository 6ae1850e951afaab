package dev.whence.engine.weights;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.files.FileProblem;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The layout of the Hugging Face hub cache: {@code models--org--name/refs/REVISION} holds the
 * commit that {@code models--org--name/snapshots/COMMIT} has the files of, as links to blobs.
 */
final class HubCache {
  private static final Pattern NAME =
      Pattern.compile(
          "([A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?)"
              + "(?:@([A-Za-z0-9][A-Za-z0-9._-]{0,95}))?");

  private HubCache() {}

  static Path resolve(String model, List<Path> caches) {
    try {
      Path path = Path.of(model);
      if (!model.isEmpty() && Files.exists(path)) {
        return path;
      }
    } catch (InvalidPathException e) {
      throw new EngineException(Kind.MODEL, "'" + shown(model) + "' is not a path or a name", e);
    }
    Matcher name = NAME.matcher(model);
    if (name.matches()) {
      String folder = "models--" + name.group(1).replace("/", "--");
      String revision = name.group(2) == null ? "main" : name.group(2);
      for (Path cache : caches) {
        Path found = cache.resolve(folder);
        if (Files.isDirectory(found)) {
          return snapshot(found, revision);
        }
      }
    }
    throw new EngineException(
        Kind.MODEL,
        "there is no model '"
            + shown(model)
            + "': not a path, and not in "
            + (caches.isEmpty() ? "any hub cache (none was given)" : "the hub cache " + caches)
            + "; give a directory, a .gguf file or the name of a model that was downloaded before");
  }

  private static Path snapshot(Path folder, String revision) {
    try {
      Path ref = folder.resolve("refs").resolve(revision);
      String commit = revision;
      if (Files.isRegularFile(ref)) {
        commit = Files.size(ref) > 200 ? "" : Files.readString(ref).strip();
      }
      if (commit.matches("[A-Za-z0-9][A-Za-z0-9._-]*")) {
        Path snapshot = folder.resolve("snapshots").resolve(commit);
        if (Files.isDirectory(snapshot)) {
          return fileOrDirectory(snapshot);
        }
      }
    } catch (CharacterCodingException e) {
      throw new EngineException(
          Kind.MODEL, folder + ": its ref of '" + shown(revision) + "' is no text", e);
    } catch (IOException e) {
      throw new EngineException(
          Kind.ENVIRONMENT, folder + " can not be read: " + FileProblem.of(e, folder), e);
    }
    throw new EngineException(
        Kind.MODEL, folder + " has no snapshot of revision '" + shown(revision) + "'");
  }

  /** A snapshot that is nothing but one GGUF file is that file. */
  private static Path fileOrDirectory(Path snapshot) throws IOException {
    if (Files.exists(snapshot.resolve("config.json"))) {
      return snapshot;
    }
    List<Path> ggufs = new ArrayList<>();
    try (var list = Files.list(snapshot)) {
      list.filter(path -> path.toString().endsWith(".gguf")).sorted().forEach(ggufs::add);
    }
    if (ggufs.size() > 1) {
      throw new EngineException(
          Kind.MODEL, snapshot + " has several GGUF files; give the path of one");
    }
    return ggufs.isEmpty() ? snapshot : ggufs.get(0);
  }

  /** {@code org/name} for a snapshot of a hub cache, the last path element for others. */
  static String nameOf(Path path) {
    Path absolute = path.toAbsolutePath().normalize();
    Path snapshots = absolute.getParent();
    Path model = snapshots == null ? null : snapshots.getParent();
    if (snapshots != null
        && snapshots.endsWith("snapshots")
        && model != null
        && String.valueOf(model.getFileName()).startsWith("models--")) {
      return String.valueOf(model.getFileName())
          .substring("models--".length())
          .replaceFirst("--", "/");
    }
    return String.valueOf(absolute.getFileName());
  }

  private static String shown(String model) {
    return SafetensorsFile.printable(model);
  }
}
