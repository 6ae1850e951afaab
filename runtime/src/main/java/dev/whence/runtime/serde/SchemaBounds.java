package dev.whence.runtime.serde;

import java.util.IdentityHashMap;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;

/**
 * Whether a few bytes written by a schema can only ask for a few steps of reading. Avro bounds what
 * it reads by the bytes that there are, and what it skips not at all: of an array of nulls the
 * length alone is written, and 2^62 of them are nine bytes and a loop without end. Records that
 * hold records that hold records, each twice, are as bad: few lines of schema, written out they are
 * 2^n fields.
 */
final class SchemaBounds {
  /** Of a schema in which each named type is written out wherever it is used. */
  static final int MOST_NODES = 100_000;

  /**
   * A part of a schema.
   *
   * @param nodes of it, written out
   * @param empty whether its values may take no bytes
   */
  private record Part(long nodes, boolean empty) {}

  /** A record inside itself: a finite value can only have it behind something that takes bytes. */
  private static final Part RECURSION = new Part(1, false);

  private final IdentityHashMap<Schema, Part> records = new IdentityHashMap<>();
  private boolean emptyItems;

  private SchemaBounds() {}

  /**
   * Whether no array of the schema has items without bytes, and it is not larger than any needs.
   */
  static boolean hold(Schema schema) {
    SchemaBounds bounds = new SchemaBounds();
    try {
      return bounds.of(schema).nodes() <= MOST_NODES && !bounds.emptyItems;
    } catch (StackOverflowError e) {
      return false;
    }
  }

  private Part of(Schema schema) {
    return switch (schema.getType()) {
      case RECORD -> ofRecord(schema);
      case ARRAY -> {
        Part item = of(schema.getElementType());
        emptyItems |= item.empty();
        yield new Part(1 + item.nodes(), false);
      }
      case MAP -> new Part(1 + of(schema.getValueType()).nodes(), false);
      case UNION -> {
        long nodes = 1;
        for (Schema branch : schema.getTypes()) {
          nodes = sum(nodes, of(branch).nodes());
        }
        yield new Part(nodes, false);
      }
      case FIXED -> new Part(1, schema.getFixedSize() == 0);
      case NULL -> new Part(1, true);
      default -> new Part(1, false);
    };
  }

  private Part ofRecord(Schema schema) {
    Part known = records.putIfAbsent(schema, RECURSION);
    if (known != null) {
      return known;
    }
    long nodes = 1;
    boolean empty = true;
    for (Field field : schema.getFields()) {
      Part part = of(field.schema());
      nodes = sum(nodes, part.nodes());
      empty &= part.empty();
    }
    Part whole = new Part(nodes, empty);
    records.put(schema, whole);
    return whole;
  }

  private static long sum(long a, long b) {
    return Math.min(1L + MOST_NODES, a + b);
  }
}
