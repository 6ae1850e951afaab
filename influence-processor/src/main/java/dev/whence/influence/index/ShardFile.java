package dev.whence.influence.index;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.files.FileIdentity;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import dev.whence.files.Sha256;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.Progress;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;

/**
 * One shard of an index: the vectors of n documents as {@link SignCodes}, k bits and a scale each,
 * their norms, and what the documents are.
 *
 * <pre>
 *   "WHENCEI3" | length of the header (int64) | header (JSON, padded: codes begin at a multiple of 64)
 *   | signs [n, k / 64] int64 | n x (scale float32, norm float32) | n + 1 offsets of entries (int64)
 *   | entries (JSON) | SHA-256 of all before
 * </pre>
 *
 * All numbers are little-endian. Signs stay in the file ({@link SignRows}), so that shards larger
 * than the heap are searched at the speed of the page cache, but for those that are {@link #hold
 * held}.
 */
public final class ShardFile {
  /** What a shard begins with, another in each version whose files are not read by others. */
  public static final String FORMAT = "WHENCEI3";

  private static final byte[] MAGIC = FORMAT.getBytes(StandardCharsets.US_ASCII);
  private static final Set<String> FORMER = Set.of("WHENCEI1", "WHENCEI2");
  private static final int ALIGNMENT = 64;
  private static final int MAX_HEADER_BYTES = 1 << 20;
  private static final int CHECKSUM_BYTES = 32;
  private static final int MAX_ENTRY_BYTES = 1 << 20;

  private final Path path;
  private final IndexSettings settings;
  private final int number;
  private final Progress progress;
  private final int documents;
  private final String checksum;
  private volatile SignRows signs;
  private final float[] scales;
  private final float[] norms;
  private final long[] entries;
  private final long entriesStart;

  private ShardFile(
      Path path,
      IndexSettings settings,
      int number,
      Progress progress,
      String checksum,
      SignRows signs,
      float[] scales,
      float[] norms,
      long[] entries,
      long entriesStart) {
    this.path = path;
    this.settings = settings;
    this.number = number;
    this.progress = progress;
    this.documents = scales.length;
    this.checksum = checksum;
    this.signs = signs;
    this.scales = scales;
    this.norms = norms;
    this.entries = entries;
    this.entriesStart = entriesStart;
  }

  /** Where a shard of an index lies. */
  public static Path path(Path directory, int number, int shards) {
    return directory.resolve("shard-" + number + "-of-" + shards + ".index");
  }

  /** Whether a file is named as a shard of an index of so many. */
  static boolean isOf(Path path, int shards) {
    return String.valueOf(path.getFileName()).endsWith("-of-" + shards + ".index");
  }

  /** A header, padded. */
  static byte[] header(IndexSettings settings, int number, Progress progress, long entryBytes) {
    ObjectNode json = JsonMapper.builder().build().createObjectNode();
    settings.write(json);
    json.put("shard", number).put("entryBytes", entryBytes);
    progress.write(json);
    byte[] text = json.toString().getBytes(StandardCharsets.UTF_8);
    int before = MAGIC.length + Long.BYTES;
    int padded = (before + text.length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - before;
    byte[] header = Arrays.copyOf(text, padded);
    Arrays.fill(header, text.length, padded, (byte) ' ');
    return header;
  }

  /** Puts the pieces that {@link ShardBuilder} has written together. */
  static void assemble(
      Path path,
      byte[] header,
      Path codes,
      Path numbers,
      List<Integer> entryLengths,
      Path entries) {
    MessageDigest sha256 = Sha256.begin();
    Path beside = path.resolveSibling(path.getFileName() + ".writing");
    try {
      try (FileChannel channel = OwnFile.begin(beside);
          OutputStream raw = java.nio.channels.Channels.newOutputStream(channel)) {
        DigestOutputStream out =
            new DigestOutputStream(new java.io.BufferedOutputStream(raw, 1 << 20), sha256);
        out.write(MAGIC);
        out.write(longs(header.length));
        out.write(header);
        Files.copy(codes, out);
        Files.copy(numbers, out);
        long at = 0;
        out.write(longs(at));
        for (int length : entryLengths) {
          at += length;
          out.write(longs(at));
        }
        Files.copy(entries, out);
        out.on(false);
        out.write(sha256.digest());
        out.flush();
        channel.force(true);
      }
      Files.move(beside, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be written " + FileProblem.unwritten(e, path) + ".", e);
    }
  }

  private static byte[] longs(long value) {
    return ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array();
  }

  /**
   * Opens a shard and checks all of it.
   *
   * @throws InfluenceException that names the file if it is missing, cut short or altered, or is
   *     replaced meanwhile
   */
  public static ShardFile open(Path path) {
    try {
      return open(path, FileIdentity.of(path));
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  private static ShardFile open(Path path, FileIdentity identity) throws IOException {
    try (FileChannel channel = identity.open(path)) {
      long size = channel.size();
      int before = MAGIC.length + Long.BYTES;
      if (size < before + CHECKSUM_BYTES) {
        throw damaged(path, "it has only " + size + " bytes");
      }
      ByteBuffer head = read(channel, 0, before);
      byte[] magic = new byte[MAGIC.length];
      head.get(magic);
      long headerBytes = head.getLong();
      if (FORMER.contains(new String(magic, StandardCharsets.US_ASCII))) {
        throw new InfluenceException(
            path
                + " was built by an earlier version, which sketched documents in another way."
                + " Remove it, and build the index anew.");
      }
      if (!Arrays.equals(magic, MAGIC)) {
        throw damaged(path, "it does not begin as shards do");
      }
      if (headerBytes < 2 || headerBytes > MAX_HEADER_BYTES || before + headerBytes > size) {
        throw damaged(path, "its header is said to have " + headerBytes + " bytes");
      }
      String checksum = checksum(path, channel, size);
      JsonNode header =
          JsonMapper.builder().build().readTree(read(channel, before, (int) headerBytes).array());
      IndexSettings settings = IndexSettings.read(header);
      Progress progress = Progress.read(header);
      int n = Math.toIntExact(progress.documents());
      int k = settings.sketch().buckets();
      long signsStart = before + headerBytes;
      long numbersStart = signsStart + (long) n * SignCodes.bytes(k);
      long offsetsStart = numbersStart + 2L * Float.BYTES * n;
      long entriesStart = offsetsStart + Long.BYTES * (n + 1L);
      long entryBytes = header.path("entryBytes").asLong();
      long end = entriesStart + entryBytes;
      if (n < 0 || entryBytes < 0 || end + CHECKSUM_BYTES != size) {
        throw damaged(path, "its sections end at byte " + end + " of " + size);
      }
      float[] scales = new float[n];
      float[] norms = new float[n];
      ByteBuffer numbers = read(channel, numbersStart, Math.toIntExact(2L * Float.BYTES * n));
      for (int i = 0; i < n; i++) {
        scales[i] = numbers.getFloat();
        norms[i] = numbers.getFloat();
        if (!isLength(scales[i]) || !isLength(norms[i])) {
          throw damaged(
              path, "document " + i + " has the norm " + norms[i] + ", scale " + scales[i]);
        }
      }
      long[] entries = new long[n + 1];
      read(channel, offsetsStart, Math.toIntExact(Long.BYTES * (n + 1L)))
          .asLongBuffer()
          .get(entries);
      if (!ascending(entries, entryBytes)) {
        throw damaged(path, "its entries do not follow each other");
      }
      return new ShardFile(
          path,
          settings,
          header.path("shard").asInt(),
          progress,
          checksum,
          new SignRows(path, identity, signsStart, n, k, RowWidth.fastest()),
          scales,
          norms,
          entries,
          entriesStart);
    } catch (JacksonException e) {
      throw damaged(path, "its header is no JSON");
    } catch (IllegalArgumentException | ArithmeticException | NegativeArraySizeException e) {
      throw damaged(path, "its header holds a number that can not be: " + e.getMessage());
    }
  }

  private static InfluenceException unreadable(Path path, IOException e) {
    return new InfluenceException(
        path + " could not be read (" + FileProblem.of(e, path) + ").", e);
  }

  private static boolean isLength(float value) {
    return Float.isFinite(value) && value >= 0;
  }

  private static boolean ascending(long[] offsets, long end) {
    boolean ascending = offsets[0] == 0 && offsets[offsets.length - 1] == end;
    for (int i = 1; i < offsets.length; i++) {
      ascending &= offsets[i - 1] <= offsets[i];
    }
    return ascending;
  }

  private static String checksum(Path path, FileChannel channel, long size) throws IOException {
    MessageDigest sha256 = Sha256.begin();
    int piece = 1 << 20;
    for (long at = 0; at < size - CHECKSUM_BYTES; at += piece) {
      sha256.update(read(channel, at, (int) Math.min(piece, size - CHECKSUM_BYTES - at)));
    }
    String found = HexFormat.of().formatHex(sha256.digest());
    byte[] last = read(channel, size - CHECKSUM_BYTES, CHECKSUM_BYTES).array();
    if (!found.equals(HexFormat.of().formatHex(last))) {
      throw damaged(path, "its checksum is not that of its content");
    }
    return found;
  }

  private static ByteBuffer read(FileChannel channel, long at, int bytes) throws IOException {
    ByteBuffer target = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    while (target.hasRemaining()) {
      int n = channel.read(target, at + target.position());
      if (n < 0) {
        throw new IOException("the file ends at byte " + (at + target.position()));
      }
    }
    return target.flip();
  }

  private static InfluenceException damaged(Path path, String how) {
    return new InfluenceException(
        path + " is cut short or altered: " + how + ". Remove it, and build this shard again.");
  }

  public Path path() {
    return path;
  }

  public IndexSettings settings() {
    return settings;
  }

  /** From 1. */
  public int number() {
    return number;
  }

  /** What was counted when it was built. */
  public Progress progress() {
    return progress;
  }

  /** Documents n. */
  public int size() {
    return documents;
  }

  /** SHA-256 of all of it, in hex. */
  public String checksum() {
    return checksum;
  }

  /** |g^| before sketching. */
  public float norm(int document) {
    return norms[document];
  }

  /**
   * Scalar products of queries with all documents, by all processors: each document's signs are
   * read once.
   *
   * @param queries Q of them
   * @return [Q][n]
   * @throws InfluenceException if the file was changed since it was opened
   */
  public float[][] scan(List<QueryPlanes> queries) {
    try {
      return signs.scan(queries, scales);
    } catch (IOException e) {
      throw changed(e);
    }
  }

  /**
   * Scalar products of a query with some documents, in their order.
   *
   * @throws InfluenceException if the file was changed since it was opened
   */
  public double[] products(QueryPlanes query, List<Integer> some) {
    try {
      double[] products = signs.products(query, some);
      for (int i = 0; i < products.length; i++) {
        products[i] *= scales[some.get(i)];
      }
      return products;
    } catch (IOException e) {
      throw changed(e);
    }
  }

  private InfluenceException changed(IOException e) {
    return new InfluenceException(
        path
            + " could not be searched ("
            + e.getMessage()
            + "): put shards in place by a rename, and look again.",
        e);
  }

  /**
   * From now on the signs lie on the heap, {@link #scannedBytes} of it, where they are scanned
   * faster.
   *
   * @throws InfluenceException if the file was changed since it was opened
   */
  public void hold() {
    try {
      signs = signs.inMemory();
    } catch (IOException e) {
      throw changed(e);
    }
  }

  /** Whether the signs lie on the heap. */
  public boolean isHeld() {
    return signs.areInMemory();
  }

  /** Bytes of signs that a scan looks at. */
  public long scannedBytes() {
    return signs.bytes();
  }

  /**
   * What documents are; read from disk.
   *
   * @throws InfluenceException if the file was changed since it was opened, or can not be read
   */
  public List<IndexedDocument> entries(List<Integer> numbers) {
    List<IndexedDocument> found = new ArrayList<>();
    try (FileChannel channel = signs.open()) {
      for (int document : numbers) {
        long length = entries[document + 1] - entries[document];
        if (length < 0 || length > MAX_ENTRY_BYTES) {
          throw damaged(path, "entry " + document + " is said to have " + length + " bytes");
        }
        found.add(
            IndexedDocument.read(
                read(channel, entriesStart + entries[document], (int) length).array()));
      }
      return found;
    } catch (JacksonException e) {
      throw damaged(path, "an entry is no JSON");
    } catch (IOException e) {
      throw changed(e);
    }
  }
}
