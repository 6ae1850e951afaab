package dev.whence.engine.weights;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.files.FileProblem;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A file of untrusted content, read by position; every refusal names the file and the byte. */
public final class BoundedFile implements AutoCloseable {
  private final Path path;
  private final FileChannel channel;
  private final long size;

  private BoundedFile(Path path, FileChannel channel, long size) {
    this.path = path;
    this.channel = channel;
    this.size = size;
  }

  /** Opens a regular file for reading. */
  public static BoundedFile open(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new EngineException(Kind.MODEL, path + " is not a file");
    }
    FileChannel channel = null;
    try {
      channel = FileChannel.open(path, StandardOpenOption.READ);
      return new BoundedFile(path, channel, channel.size());
    } catch (IOException e) {
      closeQuietly(channel);
      throw new EngineException(
          Kind.ENVIRONMENT, path + " can not be opened: " + FileProblem.of(e, path), e);
    }
  }

  public Path path() {
    return path;
  }

  public long size() {
    return size;
  }

  /** Fills the target from a position; a file that ends before is refused. */
  public void read(long position, ByteBuffer target) {
    if (position < 0 || target.remaining() > size - position) {
      throw refuse(
          position, "the file ends at byte " + size + ", " + target.remaining() + " bytes wanted");
    }
    try {
      long at = position;
      while (target.hasRemaining()) {
        int n = channel.read(target, at);
        if (n < 0) {
          throw refuse(at, "the file was cut while it was read");
        }
        at += n;
      }
    } catch (IOException e) {
      throw new EngineException(
          Kind.ENVIRONMENT, path + " can not be read at byte " + position + ": " + e, e);
    }
  }

  /** An error of kind MODEL that names the file and the byte. */
  public EngineException refuse(long position, String problem) {
    return new EngineException(Kind.MODEL, path + ", byte " + position + ": " + problem);
  }

  /** An error of kind MODEL that names the file. */
  public EngineException refuse(String problem) {
    return new EngineException(Kind.MODEL, path + ": " + problem);
  }

  @Override
  public void close() {
    closeQuietly(channel);
  }

  private static void closeQuietly(@org.jspecify.annotations.Nullable FileChannel channel) {
    if (channel != null) {
      try {
        channel.close();
      } catch (IOException e) {
        // Nothing was written: a failed close of a file that was only read loses nothing.
      }
    }
  }
}
