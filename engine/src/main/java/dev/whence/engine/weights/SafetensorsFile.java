package dev.whence.engine.weights;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import dev.whence.engine.EngineException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The header of one safetensors file: 8 bytes little-endian length of a JSON object, the object
 * (name to dtype, shape, [begin, end) after the header), then the data without holes.
 *
 * <p>Source: the format section of the safetensors README. Checked before anything is believed:
 * header length, nesting, duplicate names, shape times element size against the range, ranges
 * sorted without overlap or hole, and the last range against the file's size.
 */
public final class SafetensorsFile implements AutoCloseable {
  /** The bound that the reference implementation has, too. */
  public static final long MAX_HEADER = 100_000_000L;

  private static final int MAX_TENSORS = 1_000_000;
  private static final int MAX_DIMENSIONS = 8;

  /** Bits of an element by dtype: a name that is not here is refused. */
  private static final Map<String, Integer> BITS =
      Map.ofEntries(
          Map.entry("BOOL", 8),
          Map.entry("U8", 8),
          Map.entry("I8", 8),
          Map.entry("F8_E5M2", 8),
          Map.entry("F8_E4M3", 8),
          Map.entry("U16", 16),
          Map.entry("I16", 16),
          Map.entry("F16", 16),
          Map.entry("BF16", 16),
          Map.entry("U32", 32),
          Map.entry("I32", 32),
          Map.entry("F32", 32),
          Map.entry("U64", 64),
          Map.entry("I64", 64),
          Map.entry("F64", 64));

  /** A tensor of the file; begin and end are positions in the file. */
  public record Entry(String name, String dtype, List<Long> shape, long begin, long end) {
    public long byteLength() {
      return end - begin;
    }
  }

  private final BoundedFile file;
  private final Map<String, Entry> entries;

  private SafetensorsFile(BoundedFile file, Map<String, Entry> entries) {
    this.file = file;
    this.entries = entries;
  }

  /** Opens a file and checks its header. */
  public static SafetensorsFile open(Path path) {
    BoundedFile file = BoundedFile.open(path);
    try {
      return new SafetensorsFile(file, header(file));
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  /** By name, in name order. */
  public Map<String, Entry> entries() {
    return entries;
  }

  public BoundedFile file() {
    return file;
  }

  @Override
  public void close() {
    file.close();
  }

  private static Map<String, Entry> header(BoundedFile file) {
    ByteBuffer prefix = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    file.read(0, prefix);
    long length = prefix.getLong(0);
    if (length < 2 || length > MAX_HEADER || length > file.size() - 8) {
      throw file.refuse(
          0,
          "header length "
              + Long.toUnsignedString(length)
              + " is not in [2, "
              + Math.min(MAX_HEADER, file.size() - 8)
              + "]");
    }
    long dataStart = 8 + length;
    Map<String, Entry> entries = new TreeMap<>();
    try (InputStream in = new FileSlice(file, 8, length);
        JsonParser json = UntrustedJson.mapper().getFactory().createParser(in)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw file.refuse(8, "the header is not a JSON object");
      }
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        String name = json.currentName();
        json.nextToken();
        if (name.equals("__metadata__")) {
          json.skipChildren();
          continue;
        }
        if (entries.size() == MAX_TENSORS) {
          throw file.refuse(at(json), "more than " + MAX_TENSORS + " tensors");
        }
        entries.put(name, entry(file, json, name, dataStart));
      }
      if (json.nextToken() != null) {
        throw file.refuse(at(json), "something follows the header's JSON object");
      }
    } catch (JsonProcessingException e) {
      long offset = e.getLocation() == null ? 0 : Math.max(0, e.getLocation().getByteOffset());
      throw file.refuse(8 + offset, "the header is not valid JSON: " + UntrustedJson.problem(e));
    } catch (IOException e) {
      throw file.refuse(8, "the header can not be read: " + e);
    }
    withoutHoles(file, entries, dataStart);
    return java.util.Collections.unmodifiableMap(entries);
  }

  private static long at(JsonParser json) {
    return 8 + Math.max(0, json.currentTokenLocation().getByteOffset());
  }

  private static Entry entry(BoundedFile file, JsonParser json, String name, long dataStart)
      throws IOException {
    String dtype = "";
    List<Long> shape = null;
    List<Long> offsets = null;
    long at = at(json);
    if (json.currentToken() != JsonToken.START_OBJECT) {
      throw file.refuse(at, "tensor '" + printable(name) + "' is not a JSON object");
    }
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      String key = json.currentName();
      JsonToken value = json.nextToken();
      switch (key) {
        case "dtype" -> {
          if (value != JsonToken.VALUE_STRING) {
            throw file.refuse(at(json), "dtype of '" + printable(name) + "' is not a string");
          }
          dtype = json.getText();
        }
        case "shape" -> shape = longs(file, json, name, key);
        case "data_offsets" -> offsets = longs(file, json, name, key);
        default ->
            throw file.refuse(
                at(json),
                "tensor '" + printable(name) + "' has the unknown key '" + printable(key) + "'");
      }
    }
    Integer bits = BITS.get(dtype);
    if (bits == null) {
      throw file.refuse(
          at, "tensor '" + printable(name) + "' has the unknown dtype '" + printable(dtype) + "'");
    }
    if (shape == null || offsets == null || offsets.size() != 2) {
      throw file.refuse(at, "tensor '" + printable(name) + "' lacks a shape or two data_offsets");
    }
    long begin = offsets.get(0);
    long end = offsets.get(1);
    if (end < begin || end > file.size() - dataStart) {
      throw file.refuse(
          at,
          "data_offsets ["
              + begin
              + ", "
              + end
              + ") of '"
              + printable(name)
              + "' are not inside the "
              + (file.size() - dataStart)
              + " bytes of data: the file is truncated or the header is wrong");
    }
    long bytes;
    try {
      long elements = 1;
      for (long dimension : shape) {
        elements = Math.multiplyExact(elements, dimension);
      }
      bytes = Math.multiplyExact(elements, (long) bits) / 8;
    } catch (ArithmeticException e) {
      throw file.refuse(at, "the shape of '" + printable(name) + "' overflows");
    }
    if (bytes != end - begin) {
      throw file.refuse(
          at,
          "tensor '"
              + printable(name)
              + "' of shape "
              + shape
              + " and dtype "
              + dtype
              + " needs "
              + bytes
              + " bytes, its data_offsets have "
              + (end - begin));
    }
    return new Entry(name, dtype, List.copyOf(shape), dataStart + begin, dataStart + end);
  }

  private static List<Long> longs(BoundedFile file, JsonParser json, String name, String key)
      throws IOException {
    if (json.currentToken() != JsonToken.START_ARRAY) {
      throw file.refuse(at(json), key + " of '" + printable(name) + "' is not a list");
    }
    List<Long> values = new ArrayList<>();
    while (json.nextToken() != JsonToken.END_ARRAY) {
      if (json.currentToken() != JsonToken.VALUE_NUMBER_INT
          || json.getNumberType() == JsonParser.NumberType.BIG_INTEGER
          || json.getLongValue() < 0
          || values.size() == MAX_DIMENSIONS) {
        throw file.refuse(
            at(json),
            key
                + " of '"
                + printable(name)
                + "' is not a list of at most "
                + MAX_DIMENSIONS
                + " sizes");
      }
      values.add(json.getLongValue());
    }
    return values;
  }

  private static void withoutHoles(BoundedFile file, Map<String, Entry> entries, long dataStart) {
    List<Entry> sorted = new ArrayList<>(entries.values());
    sorted.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    long expected = dataStart;
    for (Entry entry : sorted) {
      if (entry.begin() != expected) {
        throw file.refuse(
            entry.begin(),
            "tensor '"
                + printable(entry.name())
                + "' begins here, but the data before it ends at byte "
                + expected
                + (entry.begin() < expected ? ": tensors overlap" : ": a hole in the data"));
      }
      expected = entry.end();
    }
    if (expected != file.size()) {
      throw file.refuse(
          expected, "the last tensor ends here, but the file has " + file.size() + " bytes");
    }
  }

  /** A name from the file as it may stand in a message: short, without control characters. */
  public static String printable(String name) {
    String shortened = name.length() > 120 ? name.substring(0, 120) + "..." : name;
    return shortened.replaceAll("\\p{Cntrl}", "?");
  }

  /** An error of kind MODEL that names the file, the tensor and its first byte. */
  public EngineException refuse(Entry entry, String problem) {
    return file.refuse(entry.begin(), "tensor '" + printable(entry.name()) + "' " + problem);
  }
}
