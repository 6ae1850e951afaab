package dev.whence.transfer.merge;

import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The files of all results while they are written, by position; each has its header and its full
 * place from the start.
 */
final class OutputFiles implements AutoCloseable {
  /** Where a tensor lies in the file of each result. */
  record Place(List<FileChannel> channels, List<Path> paths, long position, String tensor) {

    /** Writes a piece of one result. */
    void write(int result, long offset, ByteBuffer bytes) {
      long at = position + offset;
      try {
        while (bytes.hasRemaining()) {
          at += channels.get(result).write(bytes, at);
        }
      } catch (IOException e) {
        throw new TransferException(
            "tensor '"
                + tensor
                + "', byte "
                + at
                + " of "
                + paths.get(result).getFileName()
                + ": can not be written ("
                + e.getMessage()
                + "); see that the disk has room",
            e);
      }
    }

    /** Reads a piece of one result back. */
    void read(int result, long offset, ByteBuffer bytes) throws IOException {
      long at = position + offset;
      while (bytes.hasRemaining()) {
        int n = channels.get(result).read(bytes, at);
        if (n < 0) {
          return;
        }
        at += n;
      }
    }
  }

  private final List<FileChannel> all = new ArrayList<>();
  private final Map<String, Place> places = new HashMap<>();

  /**
   * Opens the files, and creates those that are missing.
   *
   * @param directories of the results
   */
  OutputFiles(TransferPlan plan, List<Path> directories, MergeOptions.Opener opener)
      throws IOException {
    try {
      for (TransferPlan.Shard shard : plan.shards()) {
        List<FileChannel> channels = new ArrayList<>();
        List<Path> paths = new ArrayList<>();
        ByteBuffer header = shard.header();
        for (Path directory : directories) {
          Files.createDirectories(directory);
          Path file = directory.resolve(shard.fileName());
          FileChannel channel = opener.open(file);
          all.add(channel);
          channels.add(channel);
          paths.add(file);
          Place start = new Place(List.of(channel), List.of(file), 0, "header");
          start.write(0, 0, header.duplicate());
        }
        long at = header.remaining();
        for (TensorPlan tensor : shard.tensors()) {
          places.put(
              tensor.name(),
              new Place(List.copyOf(channels), List.copyOf(paths), at, tensor.name()));
          at += tensor.bytes();
        }
      }
    } catch (IOException | RuntimeException e) {
      close();
      throw e;
    }
  }

  Place place(String tensor) {
    return Objects.requireNonNull(places.get(tensor));
  }

  void force() throws IOException {
    for (FileChannel channel : all) {
      channel.force(false);
    }
  }

  @Override
  public void close() {
    for (FileChannel channel : all) {
      try {
        channel.close();
      } catch (IOException e) {
        // Everything that counts was forced before; a failed close loses nothing.
      }
    }
  }
}
