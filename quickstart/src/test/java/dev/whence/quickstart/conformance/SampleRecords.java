package dev.whence.quickstart.conformance;

import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;

/**
 * Records of a contract that leave nothing out, made from its schema, so that a new field or symbol
 * is in them by itself. What they say makes no sense; what counts is that every reader reads the
 * same.
 *
 * <ul>
 *   <li><i>whole</i> records: every field set, every union with its value, two entries in every
 *       array and map, and each enum's symbols in turn, so many records that each is seen once;
 *   <li>one <i>bare</i> record: nothing but the key, everything else as the contract's default;
 *   <li>one <i>wide</i> record: as a whole one, with 64 bit integers at both of their ends. No
 *       field of Whence comes near them, and JavaScript's numbers are not made for them.
 * </ul>
 */
final class SampleRecords {
  /**
   * The integers that JavaScript's Avro library, avsc, reads as they are. It computes in doubles:
   * above it refuses; below it refuses some and gives others with the wrong sign.
   */
  static final long LEAST_PLAIN_INTEGER = -(1L << 52);

  static final long LARGEST_PLAIN_INTEGER = (1L << 53) - 2;

  private static final int ENTRIES = 2;
  private static final int BYTES = 256;

  /** Letters of two, three and four bytes in UTF-8, and what needs an escape in JSON. */
  private static final String TEXT = ": gr\u00FC\u00DFe, \u6F22\u5B57, \uD83D\uDE00 \"\\\n\u0000";

  private static final List<Integer> INTS =
      List.of(1, -1, Integer.MAX_VALUE, Integer.MIN_VALUE, 300);
  private static final List<Long> PLAIN =
      List.of(1L, -1L, LARGEST_PLAIN_INTEGER, LEAST_PLAIN_INTEGER, 5_000_000_000L);
  private static final List<Long> WIDE =
      List.of(Long.MAX_VALUE, Long.MIN_VALUE, LARGEST_PLAIN_INTEGER + 1, LEAST_PLAIN_INTEGER - 1);

  /** From the first to the last moment that Python's datetime has. */
  private static final List<Long> TIMES =
      List.of(
          Instant.parse("2026-11-22T10:00:00.123Z").toEpochMilli(),
          Instant.parse("0001-01-01T00:00:00Z").toEpochMilli(),
          Instant.parse("9999-12-31T23:59:59.999Z").toEpochMilli(),
          -1L);

  private static final List<Double> DOUBLES =
      List.of(0.1, -0.0, Double.MAX_VALUE, Double.MIN_VALUE, -1.0 / 3, 1e-300);
  private static final List<Float> FLOATS =
      List.of(0.1f, -0.0f, Float.MAX_VALUE, Float.MIN_VALUE, -1f / 3);

  private final int round;
  private final List<Long> longs;

  /** Places filled so far: neighbours get different values. */
  private int place;

  private SampleRecords(int round, List<Long> longs) {
    this.round = round;
    this.longs = longs;
  }

  /**
   * The records of a contract by key: {@code whole-0}, {@code whole-1}, ..., {@code bare}, {@code
   * wide}.
   *
   * @param schema of a record
   * @param key field that holds the record's key
   */
  static Map<String, GenericRecord> of(Schema schema, String key) {
    Map<String, GenericRecord> records = new TreeMap<>();
    for (int round = 0; round < rounds(schema); round++) {
      put(records, "whole-" + round, key, whole(schema, round, PLAIN));
    }
    put(records, "wide", key, whole(schema, 0, WIDE));
    records.put("bare", new GenericRecordBuilder(schema).set(key, "bare").build());
    return records;
  }

  private static void put(
      Map<String, GenericRecord> records, String name, String key, GenericRecord record) {
    record.put(key, name);
    records.put(name, record);
  }

  private static GenericRecord whole(Schema schema, int round, List<Long> longs) {
    return new SampleRecords(round, longs).record(schema);
  }

  /** Symbols of the longest enum, wherever it stands; a boolean has two. */
  private static int rounds(Schema schema) {
    return switch (schema.getType()) {
      case RECORD ->
          schema.getFields().stream().mapToInt(field -> rounds(field.schema())).max().orElse(1);
      case ARRAY -> rounds(schema.getElementType());
      case MAP -> rounds(schema.getValueType());
      case UNION -> schema.getTypes().stream().mapToInt(SampleRecords::rounds).max().orElse(1);
      case ENUM -> schema.getEnumSymbols().size();
      case BOOLEAN -> 2;
      default -> 1;
    };
  }

  private GenericRecord record(Schema schema) {
    GenericRecord record = new GenericData.Record(schema);
    for (Schema.Field field : schema.getFields()) {
      record.put(field.pos(), value(field.schema(), field.name()));
    }
    return record;
  }

  private Object value(Schema schema, String name) {
    place++;
    return switch (schema.getType()) {
      case RECORD -> record(schema);
      case ENUM -> new GenericData.EnumSymbol(schema, next(schema.getEnumSymbols()));
      case ARRAY -> array(schema, name);
      case MAP -> map(schema, name);
      case UNION -> value(withoutNull(schema), name);
      case STRING -> name + place + TEXT;
      case BYTES -> bytes();
      case INT -> next(INTS);
      case LONG -> next(schema.getLogicalType() == null ? longs : TIMES);
      case FLOAT -> next(FLOATS);
      case DOUBLE -> next(DOUBLES);
      case BOOLEAN -> next(List.of(true, false));
      case FIXED, NULL ->
          throw new IllegalStateException(
              "the field " + name + " is of type " + schema.getType() + ": add a sample for it");
    };
  }

  private <T> T next(List<T> values) {
    return values.get((place + round) % values.size());
  }

  private List<Object> array(Schema schema, String name) {
    List<Object> entries = new ArrayList<>();
    for (int i = 0; i < ENTRIES; i++) {
      entries.add(value(schema.getElementType(), name));
    }
    return entries;
  }

  private Map<String, Object> map(Schema schema, String name) {
    Map<String, Object> entries = new TreeMap<>();
    for (int i = 0; i < ENTRIES; i++) {
      entries.put(name + i + TEXT, value(schema.getValueType(), name));
    }
    return entries;
  }

  private static ByteBuffer bytes() {
    ByteBuffer bytes = ByteBuffer.allocate(BYTES);
    for (int i = 0; i < BYTES; i++) {
      bytes.put(i, (byte) i);
    }
    return bytes;
  }

  private static Schema withoutNull(Schema union) {
    return union.getTypes().stream()
        .filter(type -> type.getType() != Schema.Type.NULL)
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("a union of nothing but null"));
  }
}
