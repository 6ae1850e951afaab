package dev.whence.influence.corpus;

import dev.whence.files.FileProblem;
import dev.whence.files.WriterLock;
import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.nio.file.Path;

/**
 * One writer of a file at a time, whatever process it is in: a second one that goes on from the
 * state that the first has saved would write into the same pieces. It is held as long as the work
 * takes, or its process lives; the empty file {@code .lock} beside the written one stays.
 */
public final class OnlyWriter {
  private OnlyWriter() {}

  /**
   * Works as the only writer.
   *
   * @param written what is to be written, in a directory that is there
   * @throws InfluenceException if another one writes it, or it can not be locked
   */
  public static void alone(Path written, Runnable work) {
    Path path = written.resolveSibling(written.getFileName() + ".lock");
    try {
      if (!WriterLock.alone(path, work)) {
        throw new InfluenceException(
            written
                + " is being written by another run of the same command: wait for it, or give this"
                + " one another part or another --output.");
      }
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be locked (" + FileProblem.of(e, path) + ").", e);
    }
  }
}
