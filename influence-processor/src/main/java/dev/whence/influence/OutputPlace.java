package dev.whence.influence;

import java.nio.file.Path;

/** Where results are written: a place of this machine, for they grow a piece at a time. */
public final class OutputPlace {
  private OutputPlace() {}

  /**
   * That a file system takes what is written; asked before hours of work are for nothing.
   *
   * @throws InfluenceException if it is one that can only be read, such as a bucket
   */
  public static void check(Path output) {
    if (output.getFileSystem().isReadOnly()) {
      throw new InfluenceException(
          output + " can not be written a piece at a time. Give a place on this machine.");
    }
  }
}
