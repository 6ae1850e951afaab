package dev.whence.influence;

import dev.whence.files.FileProblem;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/** Whether a file is there: a disk that can not tell does not say that it is not. */
public final class Presence {
  private Presence() {}

  /**
   * As {@link Files#exists}, which takes every failure for absence.
   *
   * @throws InfluenceException if that can not be told
   */
  public static boolean isThere(Path path) {
    try {
      Files.readAttributes(path, BasicFileAttributes.class);
      return true;
    } catch (NoSuchFileException e) {
      return false;
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    }
  }
}
