package dev.whence.transfer.merge;

import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.files.FileProblem;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * The files of all results while they are written, by position; each has its header and its full
 * place from the start. A file is written past the page cache where that is wanted and the file
 * system can do it, else through it; never in both ways by one run.
 */
final class OutputFiles implements AutoCloseable {
  private static final Set<OpenOption> OPTIONS =
      Set.of(
          StandardOpenOption.CREATE,
          StandardOpenOption.READ,
          StandardOpenOption.WRITE,
          LinkOption.NOFOLLOW_LINKS);

  private static final String HEADER = "header";

  /** A file, written in one of the two ways. */
  private sealed interface Output {
    /** Writes what is between position and limit; the position tells how far it got. */
    void write(long position, ByteBuffer bytes) throws IOException;

    /** Reads so many bytes, or those that are there; position and limit are then around them. */
    void read(long position, int bytes, ByteBuffer memory) throws IOException;

    void force() throws IOException;

    /** Nothing more is written: the file gets the length that it is to have. */
    void complete(long size) throws IOException;

    void close();
  }

  /** Past the page cache. */
  private record PastCache(DirectFile file) implements Output {
    @Override
    public void write(long position, ByteBuffer bytes) throws IOException {
      file.write(position, bytes);
    }

    @Override
    public void read(long position, int bytes, ByteBuffer memory) throws IOException {
      file.read(position, bytes, memory);
    }

    @Override
    public void force() throws IOException {
      file.force();
    }

    @Override
    public void complete(long size) throws IOException {
      file.trim(size);
    }

    @Override
    public void close() {
      file.close();
    }
  }

  /** Through the page cache. */
  private record ThroughCache(FileChannel channel) implements Output {
    @Override
    public void write(long position, ByteBuffer bytes) throws IOException {
      for (long at = position; bytes.hasRemaining(); ) {
        at += channel.write(bytes, at);
      }
    }

    @Override
    public void read(long position, int bytes, ByteBuffer memory) throws IOException {
      memory.clear().limit(bytes);
      int n;
      do {
        n = channel.read(memory, position + memory.position());
      } while (n > 0 && memory.hasRemaining());
      memory.flip();
    }

    @Override
    public void force() throws IOException {
      channel.force(false);
    }

    @Override
    public void complete(long size) throws IOException {
      // An earlier run may have written whole blocks.
      if (channel.size() > size) {
        channel.truncate(size);
      }
    }

    @Override
    public void close() {
      try {
        channel.close();
      } catch (IOException e) {
        // Everything that counts was forced before; a failed close loses nothing.
      }
    }
  }

  /** Where a tensor lies in the file of each result. */
  static final class Place {
    private final List<File> files;
    private final long position;
    private final String tensor;

    private Place(List<File> files, long position, String tensor) {
      this.files = files;
      this.position = position;
      this.tensor = tensor;
    }

    /** Of the tensor's first byte, in each file. */
    long position() {
      return position;
    }

    /** Writes a piece of one result. */
    void write(int result, long offset, ByteBuffer bytes) {
      int from = bytes.position();
      try {
        files.get(result).output().write(position + offset, bytes);
      } catch (IOException e) {
        throw unwritten(
            tensor, position + offset + bytes.position() - from, files.get(result).path(), e);
      }
    }

    /**
     * Reads a piece of one result back into memory from {@link DirectFile#memory}, or what is there
     * of it; position and limit are then around it.
     */
    void read(int result, long offset, int bytes, ByteBuffer memory) throws IOException {
      files.get(result).output().read(position + offset, bytes, memory);
    }
  }

  private static TransferException unwritten(String tensor, long at, Path path, IOException e) {
    return new TransferException(
        "tensor '"
            + SafetensorsFile.printable(tensor)
            + "', byte "
            + at
            + " of "
            + path.getFileName()
            + ": can not be written ("
            + FileProblem.words(e)
            + (DirectFile.isOutOfDescriptors(e)
                ? "); let the process have more files open"
                : "); see that the disk has room"),
        e);
  }

  /** A file of a result and the length that it is to have. */
  private record File(Path path, Output output, long size) {}

  private final List<File> all = new ArrayList<>();
  private final Map<String, Place> places = new HashMap<>();
  private final Map<Path, String> throughCache = new TreeMap<>();

  /**
   * Opens the files, and creates those that are missing.
   *
   * @param directories of the results
   * @param pastCache whether to write past the page cache where the file system can do it
   */
  OutputFiles(
      TransferPlan plan, List<Path> directories, boolean pastCache, MergeOptions.Opener opener)
      throws IOException {
    boolean complete = false;
    try {
      for (TransferPlan.Shard shard : plan.shards()) {
        ByteBuffer header = shard.header();
        List<File> files = new ArrayList<>();
        for (Path directory : directories) {
          Files.createDirectories(directory);
          Path path = directory.resolve(shard.fileName());
          Optional<DirectFile> direct =
              pastCache ? direct(path, opener, header.duplicate()) : Optional.empty();
          Output output =
              direct.isPresent()
                  ? new PastCache(direct.get())
                  : new ThroughCache(opener.open(path, OPTIONS));
          File file = new File(path, output, header.remaining() + shard.dataBytes());
          all.add(file);
          files.add(file);
          if (direct.isEmpty()) {
            new Place(List.of(file), 0, HEADER).write(0, 0, header.duplicate());
          }
        }
        long at = header.remaining();
        for (TensorPlan tensor : shard.tensors()) {
          places.put(tensor.name(), new Place(List.copyOf(files), at, tensor.name()));
          at += tensor.bytes();
        }
      }
      complete = true;
    } finally {
      if (!complete) {
        close();
      }
    }
  }

  /**
   * Opens a file and writes its header past the page cache; empty, with the reason noted, if the
   * file can not be written so. So the decision is made before any thread writes a tensor.
   *
   * @throws TransferException if the file can not be written for another reason
   */
  private Optional<DirectFile> direct(Path path, MergeOptions.Opener opener, ByteBuffer header) {
    try {
      DirectFile file = DirectFile.open(path, opener, OPTIONS);
      boolean written = false;
      try {
        file.write(0, header);
        written = true;
        return Optional.of(file);
      } finally {
        if (!written) {
          file.close();
        }
      }
    } catch (IOException e) {
      IOException why = DirectFile.orUnable(e);
      if (why instanceof DirectFile.UnableException) {
        throughCache.put(path, FileProblem.words(why));
        return Optional.empty();
      }
      throw unwritten(HEADER, 0, path, e);
    }
  }

  /** Files that were to be written past the page cache and are not, and why. */
  Map<Path, String> throughCache() {
    return throughCache;
  }

  /** The largest block of the files; 1 if all are written through the page cache. */
  int block() {
    return all.stream()
        .mapToInt(file -> file.output() instanceof PastCache past ? past.file().block() : 1)
        .max()
        .orElse(1);
  }

  Place place(String tensor) {
    return Objects.requireNonNull(places.get(tensor));
  }

  void force() throws IOException {
    for (File file : all) {
      file.output().force();
    }
  }

  /** Nothing more is written: the files get the lengths that they are to have. */
  void complete() throws IOException {
    for (File file : all) {
      file.output().complete(file.size());
    }
  }

  @Override
  public void close() {
    for (File file : all) {
      file.output().close();
    }
  }
}
