package dev.whence.influence.ekfac;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import dev.whence.files.Sha256;
import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * A file of named arrays of doubles with what is said about them, and a checksum.
 *
 * <pre>
 *   "WHENCEA1" | length of the header (int64) | header (JSON) | arrays (float64) | SHA-256 of all before
 * </pre>
 *
 * All numbers are little-endian. The header's member {@code arrays} names the arrays in their
 * order, with their lengths. A file appears under its name only when it is complete and on disk;
 * opening it checks all of it, and arrays are then read one by one, so that the heap holds what is
 * wanted only.
 */
final class ArrayFile implements AutoCloseable {
  private static final byte[] MAGIC = "WHENCEA1".getBytes(StandardCharsets.US_ASCII);
  private static final int MAX_HEADER_BYTES = 64 << 20;
  private static final int PIECE = 1 << 20;
  private static final int CHECKSUM_BYTES = 32;

  private record Place(long offset, int length) {}

  private final Path path;
  private final FileChannel channel;
  private final JsonNode header;
  private final Map<String, Place> places;
  private final String checksum;

  private ArrayFile(
      Path path, FileChannel channel, JsonNode header, Map<String, Place> places, String checksum) {
    this.path = path;
    this.channel = channel;
    this.header = header;
    this.places = places;
    this.checksum = checksum;
  }

  /**
   * An array to be written.
   *
   * @param values asked for when it is its turn
   */
  record Content(int length, Supplier<double[]> values) {}

  /**
   * Writes a file, in place of one that is there.
   *
   * @param header gets the member {@code arrays}
   * @return its checksum in hex
   */
  static String write(Path path, ObjectNode header, Map<String, Content> arrays) {
    ArrayNode list = header.putArray("arrays");
    arrays.forEach(
        (name, content) -> list.addObject().put("name", name).put("length", content.length()));
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    MessageDigest sha256 = Sha256.begin();
    Path beside = path.resolveSibling(path.getFileName() + ".writing");
    try {
      byte[] sum;
      try (FileChannel out = OwnFile.begin(beside)) {
        ByteBuffer head =
            ByteBuffer.allocate(MAGIC.length + Long.BYTES + json.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put(MAGIC)
                .putLong(json.length)
                .put(json);
        write(out, head.flip(), sha256);
        ByteBuffer piece = ByteBuffer.allocate(PIECE).order(ByteOrder.LITTLE_ENDIAN);
        for (Map.Entry<String, Content> entry : arrays.entrySet()) {
          double[] values = entry.getValue().values().get();
          if (values.length != entry.getValue().length()) {
            throw new IllegalStateException(entry.getKey() + " has another length than was said");
          }
          for (int at = 0; at < values.length; ) {
            int n = Math.min(PIECE / Double.BYTES, values.length - at);
            piece.clear();
            piece.asDoubleBuffer().put(values, at, n);
            write(out, piece.limit(n * Double.BYTES), sha256);
            at += n;
          }
        }
        sum = sha256.digest();
        ByteBuffer last = ByteBuffer.wrap(sum);
        while (last.hasRemaining()) {
          out.write(last);
        }
        out.force(true);
      }
      Files.move(beside, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      return HexFormat.of().formatHex(sum);
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be written " + FileProblem.unwritten(e, path) + ".", e);
    }
  }

  private static void write(FileChannel out, ByteBuffer bytes, MessageDigest sha256)
      throws IOException {
    sha256.update(bytes.duplicate());
    while (bytes.hasRemaining()) {
      out.write(bytes);
    }
  }

  /**
   * Opens a file and checks all of it.
   *
   * @throws InfluenceException that names the file if it is missing, cut short or altered
   */
  static ArrayFile open(Path path) {
    FileChannel channel = null;
    boolean complete = false;
    try {
      channel = FileChannel.open(path, StandardOpenOption.READ);
      long size = channel.size();
      ByteBuffer head =
          ByteBuffer.allocate(MAGIC.length + Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      if (size < head.capacity() + CHECKSUM_BYTES) {
        throw damaged(path, "it has only " + size + " bytes");
      }
      readFully(channel, head, 0);
      byte[] magic = new byte[MAGIC.length];
      head.flip().get(magic);
      long headerBytes = head.getLong();
      if (!java.util.Arrays.equals(magic, MAGIC)) {
        throw damaged(path, "it does not begin as such files do");
      }
      long start = head.capacity() + headerBytes;
      if (headerBytes < 2 || headerBytes > MAX_HEADER_BYTES || start > size - CHECKSUM_BYTES) {
        throw damaged(path, "its header is said to have " + headerBytes + " bytes");
      }
      String checksum = checksum(path, channel, size);
      ByteBuffer json = ByteBuffer.allocate((int) headerBytes);
      readFully(channel, json, head.capacity());
      JsonNode header = JsonMapper.builder().build().readTree(json.array());
      Map<String, Place> places = new LinkedHashMap<>();
      long at = start;
      for (JsonNode array : header.path("arrays")) {
        int length = array.path("length").asInt(-1);
        if (length < 0 || at + (long) length * Double.BYTES > size - CHECKSUM_BYTES) {
          throw damaged(path, "array " + places.size() + " does not fit into it");
        }
        places.put(array.path("name").asText(), new Place(at, length));
        at += (long) length * Double.BYTES;
      }
      if (at != size - CHECKSUM_BYTES) {
        throw damaged(path, "its arrays end at byte " + at + " of " + size);
      }
      complete = true;
      return new ArrayFile(path, channel, header, places, checksum);
    } catch (JacksonException e) {
      throw damaged(path, "its header is no JSON");
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    } finally {
      if (!complete && channel != null) {
        closeQuietly(channel);
      }
    }
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      channel.close();
    } catch (IOException ignored) {
      // only read from
    }
  }

  private static String checksum(Path path, FileChannel channel, long size) throws IOException {
    MessageDigest sha256 = Sha256.begin();
    ByteBuffer piece = ByteBuffer.allocate(PIECE);
    for (long at = 0; at < size - CHECKSUM_BYTES; at += piece.limit()) {
      piece.clear().limit((int) Math.min(PIECE, size - CHECKSUM_BYTES - at));
      readFully(channel, piece, at);
      sha256.update(piece.flip());
    }
    ByteBuffer last = ByteBuffer.allocate(CHECKSUM_BYTES);
    readFully(channel, last, size - CHECKSUM_BYTES);
    String found = HexFormat.of().formatHex(sha256.digest());
    if (!found.equals(HexFormat.of().formatHex(last.array()))) {
      throw damaged(path, "its checksum is not that of its content");
    }
    return found;
  }

  private static void readFully(FileChannel channel, ByteBuffer target, long at)
      throws IOException {
    long from = at;
    while (target.hasRemaining()) {
      int n = channel.read(target, from);
      if (n < 0) {
        throw new IOException("the file ends at byte " + from);
      }
      from += n;
    }
  }

  private static InfluenceException damaged(Path path, String how) {
    return new InfluenceException(
        path + " is cut short or altered: " + how + ". Remove it, and run the job again.");
  }

  Path path() {
    return path;
  }

  JsonNode header() {
    return header;
  }

  /** SHA-256 of header and arrays, in hex. */
  String checksum() {
    return checksum;
  }

  /** What is done with a piece of an array. */
  interface Each {
    /**
     * A piece.
     *
     * @param first number of its first element
     * @param doubles little-endian float64, from position to limit; direct, and written again after
     *     this returns
     */
    void piece(int first, ByteBuffer doubles);
  }

  /**
   * Looks for an array.
   *
   * @throws InfluenceException if the file has none of that name and length
   */
  void check(String name, long length) {
    Place unused = place(name, length);
  }

  private Place place(String name, long length) {
    Place place = places.get(name);
    if (place == null || place.length() != length) {
      throw new InfluenceException(
          path
              + " has no array \""
              + name
              + "\" of "
              + length
              + " numbers: it is of other layers.");
    }
    return place;
  }

  /**
   * Reads an array piece by piece. Several threads may read at once.
   *
   * @throws InfluenceException as {@link #check}
   */
  void forEach(String name, long length, Each each) {
    Place place = place(name, length);
    ByteBuffer buffer = room(place.length());
    try {
      for (int at = 0; at < place.length(); ) {
        int n = Math.min(PIECE / Double.BYTES, place.length() - at);
        buffer.clear().limit(n * Double.BYTES);
        readFully(channel, buffer, place.offset() + (long) at * Double.BYTES);
        each.piece(at, buffer.flip());
        at += n;
      }
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    }
  }

  private static ByteBuffer room(int length) {
    long bytes = Math.min(PIECE, (long) length * Double.BYTES);
    return ByteBuffer.allocateDirect((int) bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Reads an array.
   *
   * @throws InfluenceException as {@link #check}
   */
  double[] array(String name, long length) {
    double[] values = new double[place(name, length).length()];
    forEach(
        name,
        length,
        (first, doubles) ->
            doubles.asDoubleBuffer().get(values, first, doubles.remaining() / Double.BYTES));
    return values;
  }

  @Override
  public void close() {
    closeQuietly(channel);
  }
}
