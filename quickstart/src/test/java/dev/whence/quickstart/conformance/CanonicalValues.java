package dev.whence.quickstart.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;

/**
 * A decoded value as JSON in which nothing is lost, whatever the language that reads it.
 *
 * <ul>
 *   <li>64 bit integers are decimal strings, timestamps too: milliseconds since 1970;
 *   <li>float and double are the bits of their IEEE 754 form, as 8 or 16 hex digits: -0.0 is not
 *       0.0;
 *   <li>bytes are hex digits; enums are their symbol; records and maps are objects.
 * </ul>
 */
final class CanonicalValues {
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

  private CanonicalValues() {}

  /**
   * @param value as Avro's generic reader gives it, without conversion of logical types
   */
  static JsonNode json(Schema schema, Object value) {
    return switch (schema.getType()) {
      case RECORD -> {
        ObjectNode object = NODES.objectNode();
        GenericRecord record = (GenericRecord) value;
        for (Schema.Field field : schema.getFields()) {
          object.set(field.name(), json(field.schema(), record.get(field.pos())));
        }
        yield object;
      }
      case ARRAY -> {
        ArrayNode array = NODES.arrayNode();
        ((List<?>) value).forEach(entry -> array.add(json(schema.getElementType(), entry)));
        yield array;
      }
      case MAP -> {
        ObjectNode object = NODES.objectNode();
        ((Map<?, ?>) value)
            .forEach((name, entry) -> object.set(text(name), json(schema.getValueType(), entry)));
        yield object;
      }
      case UNION -> {
        // Contracts have unions of null and one type only.
        boolean absent = value == null;
        yield schema.getTypes().stream()
            .filter(type -> (type.getType() == Schema.Type.NULL) == absent)
            .findFirst()
            .map(type -> json(type, value))
            .orElseThrow();
      }
      case NULL -> NODES.nullNode();
      case STRING, ENUM -> NODES.textNode(text(value));
      case BYTES -> NODES.textNode(hex((ByteBuffer) value));
      case INT -> NODES.numberNode((int) value);
      case LONG -> NODES.textNode(Long.toString((long) value));
      case FLOAT ->
          NODES.textNode(HexFormat.of().toHexDigits(Float.floatToRawIntBits((float) value)));
      case DOUBLE ->
          NODES.textNode(HexFormat.of().toHexDigits(Double.doubleToRawLongBits((double) value)));
      case BOOLEAN -> NODES.booleanNode((boolean) value);
      case FIXED -> throw new IllegalStateException("no contract has a fixed type");
    };
  }

  private static String text(Object value) {
    return Objects.requireNonNull(value, "a text of a record is null").toString();
  }

  private static String hex(ByteBuffer bytes) {
    byte[] copy = new byte[bytes.remaining()];
    bytes.duplicate().get(copy);
    return HexFormat.of().formatHex(copy);
  }
}
