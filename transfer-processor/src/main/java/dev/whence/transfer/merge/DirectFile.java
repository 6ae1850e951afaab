package dev.whence.transfer.merge;

import com.sun.nio.file.ExtendedOpenOption;
import dev.whence.files.FileProblem;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.Set;

/**
 * A file that is read and written past the page cache (O_DIRECT), at any position and length. The
 * system moves whole blocks only, between places of the file and of the memory that are multiples
 * of the block's size; tensors begin and end anywhere.
 *
 * <p>Reading takes the blocks that hold the wanted bytes into memory from {@link #memory}, and
 * leaves position and limit around the bytes: nothing is copied.
 *
 * <p>Writing sends whole blocks from where they lie, if they lie as in the file: the memory's
 * position modulo the block is the file's. A block that is written only in part, because a tensor
 * or a piece of it begins or ends inside, is shared with a neighbour that another thread may write
 * at the same time. Such a block is read, changed and written as a whole under this object's lock.
 * So each block is written either as a border, always under the lock and never losing what a
 * neighbour wrote, or as a whole by the only writer that has bytes in it: never both, as long as no
 * byte is written twice. Nothing is ever written through the page cache, which could write an older
 * copy of a neighbouring block back over a newer one.
 *
 * <p>A border that is the last block makes the file longer than its content, up to the block's end;
 * {@link #trim} cuts it in the end. Where a file ends is asked of the system: a block that is read
 * short and written back with zeros would be a neighbour's loss.
 *
 * <p>Cost: a border takes a read and a write of a block.
 */
final class DirectFile implements AutoCloseable {
  /** Of the file systems that are used directly: network ones name blocks of a megabyte. */
  private static final long LARGEST_BLOCK = 1 << 16;

  /** How often the same border is written where the system takes only part of it. */
  private static final int TRIES = 4;

  private static final ByteBuffer NO_BORDER = ByteBuffer.allocate(0);

  /** What the system says of files that it does not read or write directly: EINVAL, EOPNOTSUPP. */
  private static final Set<String> UNABLE = Set.of("Invalid argument", "Operation not supported");

  private final FileChannel channel;
  private final int block;
  private ByteBuffer border = NO_BORDER; // until one is written
  private long inBorder = -1;

  /** A file can not be read and written directly, though maybe through the page cache. */
  static final class UnableException extends IOException {
    private static final long serialVersionUID = 1L;

    private UnableException(String reason) {
      super(reason);
    }

    private UnableException(String reason, Throwable cause) {
      super(reason, cause);
    }
  }

  private DirectFile(FileChannel channel, int block) {
    this.channel = channel;
    this.block = block;
  }

  /**
   * Opens a file and reads its first block, so that what does not work fails here.
   *
   * @param options besides the one that says direct
   * @throws UnableException if it can not be used directly, with the reason
   * @throws IOException if it can not be used at all
   */
  static DirectFile open(Path file, MergeOptions.Opener opener, Set<? extends OpenOption> options)
      throws IOException {
    if (!file.getFileSystem().equals(FileSystems.getDefault())) {
      throw new UnableException("it is in no file system of this machine");
    }
    Set<OpenOption> direct = new HashSet<>(options);
    direct.add(ExtendedOpenOption.DIRECT);
    FileChannel channel;
    try {
      channel = opener.open(file, direct);
    } catch (UnsupportedOperationException e) {
      throw new UnableException("the file system has no direct input and output", e);
    } catch (IOException e) {
      throw orUnable(e);
    }
    boolean usable = false;
    try {
      int block = blockOf(file);
      DirectFile opened = new DirectFile(channel, block);
      opened.read(0, block, memory(block, block));
      usable = true;
      return opened;
    } catch (IOException e) {
      throw orUnable(e);
    } finally {
      if (!usable) {
        closeQuietly(channel);
      }
    }
  }

  private static int blockOf(Path file) throws IOException {
    long block;
    try {
      block = Files.getFileStore(file).getBlockSize();
    } catch (UnsupportedOperationException | IOException e) {
      // It is read from a file that lists what is mounted, and which may be one file too many to
      // open: that is not said, so another is opened to see.
      FileChannel.open(file, StandardOpenOption.READ).close();
      throw new UnableException("the file system does not name its block size", e);
    }
    if (block > LARGEST_BLOCK || Long.bitCount(block) != 1) {
      throw new UnableException("the file system has blocks of " + block + " bytes");
    }
    return (int) block;
  }

  /**
   * The same exception, or one that says so if it only means that the file is not read and written
   * directly. A full or broken disk is neither, and would fail through the page cache, too, maybe
   * later and unseen.
   */
  static IOException orUnable(IOException e) {
    String why = FileProblem.words(e);
    return UNABLE.contains(why) ? new UnableException(why, e) : e;
  }

  /** Whether the process may open no more files. */
  static boolean isOutOfDescriptors(IOException e) {
    return FileProblem.words(e).equals("Too many open files");
  }

  /**
   * Memory for so many bytes of a file, wherever they begin: its first byte is a multiple of the
   * block, and it has a block more.
   */
  static ByteBuffer memory(int bytes, int block) {
    return ByteBuffer.allocateDirect(Math.toIntExact(up(bytes, block)) + 2 * block)
        .alignedSlice(block)
        .order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Bytes that {@link #memory} takes beyond those it is asked for, at most. */
  static int spare(int block) {
    return 3 * block;
  }

  private static long up(long position, int block) {
    return (position + block - 1) & -(long) block;
  }

  /** Bytes, a power of two. */
  int block() {
    return block;
  }

  /**
   * Reads bytes of the file into memory, whose position and limit are then around them; fewer where
   * the file ends, by its size: that fewer bytes come than were asked for says nothing.
   *
   * @throws IOException also if bytes that the file has do not come, twice
   */
  void read(long position, int bytes, ByteBuffer memory) throws IOException {
    int skip = (int) (position & (block - 1));
    int wanted = skip + bytes;
    memory.clear().limit((int) up(wanted, block));
    long begin = position - skip;
    long known = 0; // the file had so many bytes before the last read
    while (true) {
      int n = channel.read(memory, begin + memory.position());
      if (memory.position() >= wanted) {
        break;
      }
      if (n > 0 && n % block == 0) {
        continue;
      }
      long end = begin + memory.position();
      if (end < known) {
        throw new IOException(
            "short read of a block: it ended at byte " + end + " of " + known + " bytes");
      }
      known = channel.size();
      if (known <= end) {
        break;
      }
      // Another thread made the file longer, or the read was short: the last block once more.
      memory.position(memory.position() & -block);
    }
    int end = Math.max(skip, Math.min(wanted, memory.position()));
    memory.limit(end).position(skip);
  }

  /** Writes the bytes between position and limit; the position tells how far it got. */
  void write(long position, ByteBuffer bytes) throws IOException {
    int limit = bytes.limit();
    for (long at = position; bytes.hasRemaining(); ) {
      int whole = bytes.remaining() & -block;
      int n;
      if (whole > 0 && at % block == 0 && isAligned(bytes)) {
        bytes.limit(bytes.position() + whole);
        n = channel.write(bytes, at);
        bytes.limit(limit);
        if (n <= 0) {
          throw new IOException("the system wrote nothing at byte " + at);
        }
      } else {
        n = writeInto(at, bytes);
      }
      at += n;
    }
  }

  private boolean isAligned(ByteBuffer bytes) {
    return bytes.isDirect() && bytes.alignmentOffset(bytes.position(), block) == 0;
  }

  /** Writes what lies in one block. */
  private synchronized int writeInto(long at, ByteBuffer bytes) throws IOException {
    int from = (int) (at & (block - 1));
    int n = Math.min(block - from, bytes.remaining());
    long start = at - from;
    if (n < block && inBorder != start) {
      load(start);
    }
    border().put(from, bytes, bytes.position(), n);
    inBorder = -1; // known again when it is written
    int written;
    int tries = 0;
    do {
      // From its beginning, even after a part of it: direct writes begin where blocks do.
      written = channel.write(border.clear().limit(block), start);
      tries++;
    } while (written > 0 && written < block && tries < TRIES);
    if (written < block) {
      throw new IOException(
          "the system wrote only " + written + " bytes of the block at byte " + start);
    }
    inBorder = start;
    bytes.position(bytes.position() + n);
    return n;
  }

  private synchronized ByteBuffer border() {
    if (border.capacity() == 0) {
      border = memory(block, block);
    }
    return border;
  }

  /** Reads a block; zeros where the file ends. */
  private synchronized void load(long start) throws IOException {
    inBorder = -1;
    read(start, block, border());
    int end = border.limit();
    border.clear();
    for (int i = end; i < block; i++) {
      border.put(i, (byte) 0);
    }
    inBorder = start;
  }

  /** Cuts what borders have added to the end. Only when nobody writes any more. */
  void trim(long size) throws IOException {
    if (channel.size() > size) {
      channel.truncate(size);
    }
  }

  void force() throws IOException {
    channel.force(false);
  }

  @Override
  public void close() {
    closeQuietly(channel);
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      // Everything that counts was forced before; a failed close loses nothing.
    }
  }
}
