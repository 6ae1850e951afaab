package dev.whence.runtime.serde;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
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
   * Of what an array or a map repeats, or a record that is inside itself: each may be read for one
   * byte. The largest of ours, a message of a response, has 18.
   */
  static final int MOST_REPEATED = 1_000;

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
  private final Set<Schema> recursive = Collections.newSetFromMap(new IdentityHashMap<>());
  private boolean refused;

  private SchemaBounds() {}

  /**
   * Whether no array of the schema has items without bytes, and neither it nor what is repeated in
   * it is larger than any needs.
   */
  static boolean hold(Schema schema) {
    SchemaBounds bounds = new SchemaBounds();
    try {
      return bounds.of(schema).nodes() <= MOST_NODES && !bounds.refused;
    } catch (StackOverflowError e) {
      return false;
    }
  }

  private Part of(Schema schema) {
    return switch (schema.getType()) {
      case RECORD -> ofRecord(schema);
      case ARRAY -> {
        Part item = of(schema.getElementType());
        refused |= item.empty();
        yield repeated(item);
      }
      case MAP -> repeated(of(schema.getValueType()));
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

  private Part repeated(Part item) {
    refused |= item.nodes() > MOST_REPEATED;
    return new Part(1 + item.nodes(), false);
  }

  private Part ofRecord(Schema schema) {
    Part known = records.putIfAbsent(schema, RECURSION);
    if (known != null) {
      if (known.equals(RECURSION)) { // any other has two parts, or takes no bytes
        recursive.add(schema);
      }
      return known;
    }
    long nodes = 1;
    boolean empty = true;
    for (Field field : schema.getFields()) {
      Part part = of(field.schema());
      nodes = sum(nodes, part.nodes());
      empty &= part.empty();
    }
    refused |= nodes > MOST_REPEATED && recursive.contains(schema);
    Part whole = new Part(nodes, empty);
    records.put(schema, whole);
    return whole;
  }

  private static long sum(long a, long b) {
    return Math.min(1L + MOST_NODES, a + b);
  }
}
