package dev.whence.engine.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Header, metadata and tensor table of a GGUF file, version 2 or 3, little-endian.
 *
 * <p>Source: docs/gguf.md of ggml. Layout: magic, version, tensor count, metadata count, metadata,
 * tensor table, padding to the alignment, tensor data (each tensor padded to the alignment). Every
 * count and length is checked against the bytes that are left before anything is allocated for it.
 */
final class GgufFile implements AutoCloseable {
  private static final int MAX_TENSORS = 1_000_000;
  private static final int MAX_KEYS = 100_000;
  private static final int MAX_NAME = 65_535;
  private static final int MAX_STRING = 16 << 20;

  /** Of all strings together, in bytes: those of a vocabulary of two million are some 50 MB. */
  private static final int MAX_STRINGS = 128 << 20;

  /** Of all lists together: the largest vocabularies have some two million. */
  private static final int MAX_LIST_ELEMENTS = 8_000_000;

  private static final int MAX_DIMENSIONS = 4;

  /**
   * A tensor as the file has it.
   *
   * @param name in GGUF's spelling
   * @param shape innermost dimension first, as GGUF writes it
   * @param position of its first byte in the file
   */
  record Entry(String name, GgufType type, List<Long> shape, long position, long byteLength) {}

  private final BoundedFile file;
  private final GgufMetadata metadata;
  private final Map<String, Entry> entries;

  private GgufFile(BoundedFile file, GgufMetadata metadata, Map<String, Entry> entries) {
    this.file = file;
    this.metadata = metadata;
    this.entries = entries;
  }

  static GgufFile open(Path path) {
    BoundedFile file = BoundedFile.open(path);
    boolean complete = false;
    try {
      GgufFile read = new Reader(file).read();
      complete = true;
      return read;
    } finally {
      if (!complete) {
        file.close();
      }
    }
  }

  BoundedFile file() {
    return file;
  }

  GgufMetadata metadata() {
    return metadata;
  }

  Map<String, Entry> entries() {
    return entries;
  }

  @Override
  public void close() {
    file.close();
  }

  /** A cursor over the front part of the file, with a window of 64 KiB. */
  private static final class Reader {
    private final BoundedFile file;
    private final ByteBuffer window = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
    private long windowStart;
    private int listElements = MAX_LIST_ELEMENTS;
    private int stringBytes = MAX_STRINGS;

    Reader(BoundedFile file) {
      this.file = file;
      window.limit(0);
    }

    GgufFile read() {
      if (file.size() < 24) {
        throw file.refuse(file.size(), "too short for a GGUF file");
      }
      if (int32() != 0x46554747) {
        throw file.refuse(0, "not a GGUF file: it does not begin with the magic 'GGUF'");
      }
      int version = int32();
      if (version != 2 && version != 3) {
        throw file.refuse(
            4, "GGUF version " + Integer.toUnsignedString(version) + "; 2 and 3 are read");
      }
      int tensorCount = count("tensor count", MAX_TENSORS, 24);
      int keyCount = count("metadata count", MAX_KEYS, 13);
      Map<String, Object> values = new TreeMap<>();
      for (int i = 0; i < keyCount; i++) {
        long at = position();
        String key = string(MAX_NAME);
        Object value = value(int32(), key);
        if (values.put(key, value) != null) {
          throw file.refuse(
              at, "the metadata key '" + SafetensorsFile.printable(key) + "' stands twice");
        }
      }
      GgufMetadata metadata = new GgufMetadata(file.path(), Collections.unmodifiableMap(values));
      if (metadata.integer("split.count").orElse(1L) > 1) {
        throw file.refuse("one part of a split GGUF; join it with llama-gguf-split --merge");
      }
      long alignment = metadata.integer("general.alignment").orElse(32L);
      if (alignment < 8 || alignment > 1 << 20 || Long.bitCount(alignment) != 1) {
        throw file.refuse("general.alignment is " + alignment + ", not a power of two from 8 on");
      }
      return new GgufFile(file, metadata, tensors(tensorCount, alignment));
    }

    private Map<String, Entry> tensors(int count, long alignment) {
      record Raw(String name, GgufType type, List<Long> shape, long offset, long bytes, long at) {}
      List<Raw> table = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        long at = position();
        String name = string(MAX_NAME);
        String shown = SafetensorsFile.printable(name);
        int dimensions = int32();
        if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
          throw file.refuse(
              at,
              "tensor '"
                  + shown
                  + "' has "
                  + Integer.toUnsignedString(dimensions)
                  + " dimensions, not 1 to "
                  + MAX_DIMENSIONS);
        }
        List<Long> shape = new ArrayList<>();
        for (int d = 0; d < dimensions; d++) {
          shape.add(int64());
        }
        int typeId = int32();
        GgufType type =
            GgufType.of(typeId)
                .orElseThrow(
                    () ->
                        file.refuse(
                            at,
                            "tensor '"
                                + shown
                                + "' has GGML type "
                                + Integer.toUnsignedString(typeId)
                                + "; read are "
                                + Arrays.toString(GgufType.values())));
        long offset = int64();
        long bytes = byteLength(at, shown, type, shape);
        table.add(new Raw(name, type, List.copyOf(shape), offset, bytes, at));
      }
      long dataStart = aligned(position(), alignment);
      Map<String, Entry> entries = new TreeMap<>();
      long expected = 0;
      for (Raw raw : table) {
        String shown = SafetensorsFile.printable(raw.name());
        if (raw.offset() != expected) {
          throw file.refuse(
              raw.at(),
              "tensor '"
                  + shown
                  + "' is said to begin at data byte "
                  + Long.toUnsignedString(raw.offset())
                  + ", not at "
                  + expected
                  + " where the one before it ends");
        }
        if (dataStart > file.size() || raw.bytes() > file.size() - dataStart - raw.offset()) {
          throw file.refuse(
              raw.at(),
              "tensor '"
                  + shown
                  + "' needs "
                  + raw.bytes()
                  + " bytes at byte "
                  + (dataStart + raw.offset())
                  + ", the file has "
                  + file.size()
                  + ": it is truncated");
        }
        Entry entry =
            new Entry(raw.name(), raw.type(), raw.shape(), dataStart + raw.offset(), raw.bytes());
        if (entries.put(raw.name(), entry) != null) {
          throw file.refuse(raw.at(), "the tensor '" + shown + "' stands twice");
        }
        expected = aligned(raw.offset() + raw.bytes(), alignment);
      }
      if (file.size() - dataStart > expected) {
        throw file.refuse(
            dataStart + expected,
            "the last tensor ends here, but the file has " + file.size() + " bytes");
      }
      return Collections.unmodifiableMap(entries);
    }

    private long byteLength(long at, String name, GgufType type, List<Long> shape) {
      try {
        long elements = 1;
        for (long dimension : shape) {
          if (dimension < 1) {
            throw file.refuse(
                at, "tensor '" + name + "' has the dimension " + Long.toUnsignedString(dimension));
          }
          elements = Math.multiplyExact(elements, dimension);
        }
        if (shape.get(0) % type.blockElements() != 0) {
          throw file.refuse(
              at,
              "rows of '"
                  + name
                  + "' have "
                  + shape.get(0)
                  + " elements, not a multiple of the "
                  + type.blockElements()
                  + " of a block of "
                  + type);
        }
        return Math.multiplyExact(elements / type.blockElements(), (long) type.blockBytes());
      } catch (ArithmeticException e) {
        throw file.refuse(at, "the shape of '" + name + "' overflows");
      }
    }

    private static long aligned(long position, long alignment) {
      return (position + alignment - 1) & -alignment;
    }

    private Object value(int type, String key) {
      return switch (type) {
        case 8 -> string(MAX_STRING);
        case 9 -> list(key);
        case 7 -> bool(key);
        case 6, 12 -> floating(type);
        case 0, 1, 2, 3, 4, 5, 10, 11 -> integer(type);
        default -> throw unknownType(type, key);
      };
    }

    private Object list(String key) {
      long at = position();
      int type = int32();
      int width =
          switch (type) {
            case 0, 1, 7 -> 1;
            case 2, 3 -> 2;
            case 4, 5, 6 -> 4;
            case 8, 10, 11, 12 -> 8;
            case 9 ->
                throw file.refuse(
                    at, "'" + SafetensorsFile.printable(key) + "' is a list of lists");
            default -> throw unknownType(type, key);
          };
      int n = count("length of '" + SafetensorsFile.printable(key) + "'", listElements, width);
      listElements -= n;
      if (type == 8) {
        List<String> strings = new ArrayList<>(n);
        for (int i = 0; i < n; i++) {
          strings.add(string(MAX_STRING));
        }
        return Collections.unmodifiableList(strings);
      }
      if (type == 6 || type == 12) {
        double[] numbers = new double[n];
        for (int i = 0; i < n; i++) {
          numbers[i] = floating(type);
        }
        return numbers;
      }
      long[] integers = new long[n];
      for (int i = 0; i < n; i++) {
        integers[i] = type == 7 ? (bool(key) ? 1 : 0) : integer(type);
      }
      return integers;
    }

    private RuntimeException unknownType(int type, String key) {
      return file.refuse(
          position() - 4,
          "'"
              + SafetensorsFile.printable(key)
              + "' has the unknown value type "
              + Integer.toUnsignedString(type));
    }

    private boolean bool(String key) {
      byte value = next(1).get();
      if (value != 0 && value != 1) {
        throw file.refuse(
            position() - 1,
            "'" + SafetensorsFile.printable(key) + "' is a boolean of value " + value);
      }
      return value == 1;
    }

    private double floating(int type) {
      return type == 6 ? next(4).getFloat() : next(8).getDouble();
    }

    /** uint64 beyond the range of long comes out negative, and every use of it is bounded. */
    private long integer(int type) {
      return switch (type) {
        case 0 -> next(1).get() & 0xff;
        case 1 -> next(1).get();
        case 2 -> next(2).getShort() & 0xffff;
        case 3 -> next(2).getShort();
        case 4 -> next(4).getInt() & 0xffffffffL;
        case 5 -> next(4).getInt();
        default -> int64();
      };
    }

    /** A count whose elements take at least so many bytes each: it can not exceed what is left. */
    private int count(String what, int maximum, int elementBytes) {
      long at = position();
      long n = int64();
      long bound = Math.min(maximum, (file.size() - position()) / elementBytes);
      if (n < 0 || n > bound) {
        throw file.refuse(
            at, what + " is " + Long.toUnsignedString(n) + ", at most " + bound + " can follow");
      }
      return (int) n;
    }

    private String string(int maximum) {
      int n = count("the length of a string", Math.min(maximum, stringBytes), 1);
      stringBytes -= n;
      byte[] bytes = new byte[n];
      for (int done = 0; done < n; ) {
        int piece = Math.min(n - done, window.capacity());
        next(piece).get(bytes, done, piece);
        done += piece;
      }
      return new String(bytes, StandardCharsets.UTF_8);
    }

    private int int32() {
      return next(4).getInt();
    }

    private long int64() {
      return next(8).getLong();
    }

    private long position() {
      return windowStart + window.position();
    }

    /** The window with at least n bytes remaining. */
    private ByteBuffer next(int n) {
      if (window.remaining() < n) {
        long at = position();
        if (n > file.size() - at) {
          throw file.refuse(at, "the file ends at byte " + file.size() + ", inside its header");
        }
        window.clear();
        window.limit((int) Math.min(window.capacity(), file.size() - at));
        windowStart = at;
        file.read(at, window);
        window.flip();
      }
      return window;
    }
  }
}
