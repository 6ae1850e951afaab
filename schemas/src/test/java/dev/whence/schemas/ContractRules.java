package dev.whence.schemas;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.SchemaCompatibilityType;

/**
 * The rules that every contract obeys, as functions from schemas to the list of what breaks them.
 */
final class ContractRules {
  static final String NAMESPACE = "dev.whence.schemas.avro";

  private static final Set<Schema.Type> NUMBERS =
      Set.of(Schema.Type.INT, Schema.Type.LONG, Schema.Type.FLOAT, Schema.Type.DOUBLE);
  private static final Pattern UNIT =
      Pattern.compile(
          "nats|[Tt]okens|seconds|UTF-16 code units|operations|Number of|from 0 to 1|from the FAST role");

  private ContractRules() {}

  /** Breaches within one schema; {@code key} is the one field that needs no default. */
  static List<String> lint(Schema record, String key) {
    return lint(record, Set.of(record.getName() + "." + key));
  }

  /**
   * The same of a schema that may hold others.
   *
   * @param keys the fields that need no default, each as record.field
   */
  static List<String> lint(Schema record, Set<String> keys) {
    List<String> breaches = new ArrayList<>();
    lint(record, record.getName(), keys, new HashSet<>(), breaches);
    return breaches;
  }

  private static void lint(
      Schema schema, String path, Set<String> keys, Set<String> seen, List<String> breaches) {
    switch (schema.getType()) {
      case RECORD -> {
        if (!seen.add(schema.getFullName())) {
          return;
        }
        named(schema, path, breaches);
        for (Schema.Field field : schema.getFields()) {
          String at = path + "." + field.name();
          if (!field.hasDefaultValue() && !keys.contains(schema.getName() + "." + field.name())) {
            breaches.add(at + " has no default");
          }
          documented(field, at, breaches);
          if (!field.aliases().isEmpty()) {
            breaches.add(at + " has an alias: names never change");
          }
          lint(field.schema(), at, keys, seen, breaches);
        }
      }
      case ENUM -> {
        named(schema, path, breaches);
        if (!schema.getEnumSymbols().get(0).equals("UNKNOWN")
            || !"UNKNOWN".equals(schema.getEnumDefault())) {
          breaches.add(path + " must have UNKNOWN as its first symbol and as its own default");
        }
      }
      case UNION -> {
        List<Schema> types = schema.getTypes();
        if (types.size() != 2 || types.get(0).getType() != Schema.Type.NULL) {
          breaches.add(path + " is a union other than [null, T]");
        }
        types.forEach(type -> lint(type, path, keys, seen, breaches));
      }
      case ARRAY -> lint(schema.getElementType(), path, keys, seen, breaches);
      case MAP -> lint(schema.getValueType(), path, keys, seen, breaches);
      case FIXED -> named(schema, path, breaches);
      default -> {}
    }
  }

  private static void named(Schema schema, String path, List<String> breaches) {
    if (!NAMESPACE.equals(schema.getNamespace())) {
      breaches.add(path + " is not in namespace " + NAMESPACE);
    }
    if (schema.getDoc() == null || schema.getDoc().isBlank()) {
      breaches.add(path + " has no doc");
    }
    if (!schema.getAliases().isEmpty()) {
      breaches.add(path + " has an alias: names never change");
    }
  }

  private static void documented(Schema.Field field, String at, List<String> breaches) {
    String doc = field.doc() == null ? "" : field.doc();
    if (!doc.endsWith(".") || doc.length() < 10) {
      breaches.add(at + " needs a doc that is a sentence");
    }
    if (NUMBERS.contains(innermost(field.schema()).getType()) && !UNIT.matcher(doc).find()) {
      breaches.add(at + " is a number whose doc names no unit");
    }
  }

  private static Schema innermost(Schema schema) {
    return switch (schema.getType()) {
      case UNION -> innermost(schema.getTypes().get(schema.getTypes().size() - 1));
      case ARRAY -> innermost(schema.getElementType());
      case MAP -> innermost(schema.getValueType());
      default -> schema;
    };
  }

  /**
   * Breaches of FULL_TRANSITIVE between a schema and an earlier one: each reads what the other
   * wrote, and nothing has got another name or numeric type.
   */
  static List<String> incompatibilities(Schema current, Schema earlier) {
    List<String> breaches = new ArrayList<>();
    check(current, earlier, "can not read what the earlier one wrote", breaches);
    check(earlier, current, "can not be read by the earlier one", breaches);
    unchanged(current, earlier, current.getName(), new HashSet<>(), breaches);
    return breaches;
  }

  private static void check(Schema reader, Schema writer, String what, List<String> breaches) {
    var result = SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult();
    if (result.getCompatibility() != SchemaCompatibilityType.COMPATIBLE) {
      breaches.add(reader.getName() + " " + what + ": " + result.getIncompatibilities());
    }
  }

  /** Avro's own check lets namespaces differ and numbers widen. */
  private static void unchanged(
      Schema current, Schema earlier, String path, Set<String> seen, List<String> breaches) {
    if (current.getType() != earlier.getType()) {
      breaches.add(path + " was " + earlier.getType() + " and is " + current.getType());
      return;
    }
    switch (current.getType()) {
      case RECORD -> {
        sameName(current, earlier, path, breaches);
        if (seen.add(current.getFullName())) {
          for (Schema.Field field : earlier.getFields()) {
            Schema.Field now = current.getField(field.name());
            if (now != null) {
              unchanged(now.schema(), field.schema(), path + "." + field.name(), seen, breaches);
            }
          }
        }
      }
      case ENUM -> {
        sameName(current, earlier, path, breaches);
        if (!current.getEnumSymbols().containsAll(earlier.getEnumSymbols())) {
          breaches.add(path + " has lost a symbol");
        }
        if (!Objects.equals(current.getEnumDefault(), earlier.getEnumDefault())) {
          breaches.add(path + " has another default symbol than before");
        }
      }
      case FIXED -> sameName(current, earlier, path, breaches);
      case ARRAY ->
          unchanged(current.getElementType(), earlier.getElementType(), path, seen, breaches);
      case MAP -> unchanged(current.getValueType(), earlier.getValueType(), path, seen, breaches);
      case UNION -> {
        if (current.getTypes().size() == 2 && earlier.getTypes().size() == 2) {
          unchanged(current.getTypes().get(1), earlier.getTypes().get(1), path, seen, breaches);
        }
      }
      default -> {
        if (!Objects.equals(current.getLogicalType(), earlier.getLogicalType())) {
          breaches.add(path + " has another logical type than before");
        }
      }
    }
  }

  private static void sameName(Schema current, Schema earlier, String path, List<String> breaches) {
    if (!current.getFullName().equals(earlier.getFullName())) {
      breaches.add(path + " was " + earlier.getFullName() + " and is " + current.getFullName());
    }
  }
}
