package dev.whence.engine.weights;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.files.FileProblem;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/**
 * Files of a model directory that do not lead out of it. A name is one path element. A symbolic
 * link may only point inside the directory or, for a snapshot of the Hugging Face hub cache ({@code
 * models--org--name/snapshots/revision}), inside that model's own cache root, where the blobs lie.
 */
public final class ContainedPath {
  private static final String NOT_PLAIN = "which is not a plain file name";

  /** Of a name in UTF-8: what file systems take. */
  private static final int MAX_BYTES = 255;

  private ContainedPath() {}

  /**
   * The real path of a file of a directory.
   *
   * @throws EngineException of kind MODEL if the name is not one path element or too long for a
   *     file system, if there is no such file, or if a link leads out of the directory; of kind
   *     ENVIRONMENT if a store does not answer
   */
  public static Path resolve(Path directory, String name) {
    requirePlain(directory, name);
    return contained(directory, directory.resolve(name));
  }

  /**
   * The real path of a file in a folder of a directory.
   *
   * @throws EngineException as {@link #resolve(Path, String)}
   */
  public static Path resolve(Path directory, String folder, String name) {
    requirePlain(directory, folder);
    requirePlain(directory, name);
    return contained(directory, directory.resolve(folder).resolve(name));
  }

  private static void requirePlain(Path directory, String name) {
    int bytes = name.getBytes(StandardCharsets.UTF_8).length;
    if (bytes > MAX_BYTES) {
      throw refuse(directory, name, "whose name has " + bytes + " bytes, more than " + MAX_BYTES);
    }
    Path child;
    try {
      child = Path.of(name);
    } catch (InvalidPathException e) {
      throw refuse(directory, name, NOT_PLAIN);
    }
    if (name.isEmpty()
        || name.indexOf('/') >= 0
        || name.indexOf('\\') >= 0
        || child.isAbsolute()
        || child.getNameCount() != 1
        || name.equals("..")
        || name.equals(".")) {
      throw refuse(directory, name, NOT_PLAIN);
    }
  }

  private static Path contained(Path directory, Path file) {
    try {
      Path root = cacheRoot(directory.toRealPath());
      Path real = file.toRealPath();
      if (!real.startsWith(root)) {
        throw new EngineException(
            Kind.MODEL, file + " is a link to a file outside of the model's directory");
      }
      return real;
    } catch (FileSystemException e) { // there is none, or links lead nowhere
      throw new EngineException(
          Kind.MODEL, file + " is missing or can not be read: " + FileProblem.of(e, file), e);
    } catch (IOException e) { // a store that does not answer
      throw new EngineException(
          Kind.ENVIRONMENT, file + " can not be read now: " + FileProblem.of(e, file), e);
    }
  }

  private static Path cacheRoot(Path directory) {
    Path snapshots = directory.getParent();
    Path model = snapshots == null ? null : snapshots.getParent();
    if (snapshots != null
        && model != null
        && snapshots.endsWith("snapshots")
        && model.getFileName() != null
        && model.getFileName().toString().startsWith("models--")) {
      return model;
    }
    return directory;
  }

  private static EngineException refuse(Path directory, String name, String problem) {
    return new EngineException(
        Kind.MODEL,
        directory + " refers to a file '" + SafetensorsFile.printable(name) + "', " + problem);
  }
}
