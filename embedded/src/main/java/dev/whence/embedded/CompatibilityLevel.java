package dev.whence.embedded;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.Incompatibility;

/** What a new schema of a subject owes to the earlier ones. */
enum CompatibilityLevel {
  NONE(false, false, false),
  BACKWARD(true, false, false),
  BACKWARD_TRANSITIVE(true, false, true),
  FORWARD(false, true, false),
  FORWARD_TRANSITIVE(false, true, true),
  FULL(true, true, false),
  FULL_TRANSITIVE(true, true, true);

  private final boolean newReadsOld;
  private final boolean oldReadsNew;
  private final boolean transitive;

  CompatibilityLevel(boolean newReadsOld, boolean oldReadsNew, boolean transitive) {
    this.newReadsOld = newReadsOld;
    this.oldReadsNew = oldReadsNew;
    this.transitive = transitive;
  }

  static Optional<CompatibilityLevel> named(String name) {
    for (CompatibilityLevel level : values()) {
      if (level.name().equals(name.toUpperCase(Locale.ROOT))) {
        return Optional.of(level);
      }
    }
    return Optional.empty();
  }

  /**
   * Avro's own resolution rules, in the directions and over the versions that the level asks for.
   *
   * @param candidate the new schema
   * @param earlier versions of the subject, oldest first
   * @return what is wrong, one line each; empty if compatible
   */
  List<String> problems(Schema candidate, List<Schema> earlier) {
    List<Schema> owed =
        transitive || earlier.isEmpty()
            ? earlier
            : earlier.subList(earlier.size() - 1, earlier.size());
    for (int i = owed.size() - 1; i >= 0; i--) { // as Confluent: the latest is looked at first
      Schema old = owed.get(i);
      if (newReadsOld) {
        List<String> problems = problems("the new schema can not read the old one", candidate, old);
        if (!problems.isEmpty()) {
          return problems;
        }
      }
      if (oldReadsNew) {
        List<String> problems = problems("the old schema can not read the new one", old, candidate);
        if (!problems.isEmpty()) {
          return problems;
        }
      }
    }
    return List.of();
  }

  private static List<String> problems(String direction, Schema reader, Schema writer) {
    return SchemaCompatibility.checkReaderWriterCompatibility(reader, writer)
        .getResult()
        .getIncompatibilities()
        .stream()
        .map(found -> direction + ": " + describe(found))
        .toList();
  }

  private static String describe(Incompatibility found) {
    return found.getType() + " at " + found.getLocation() + " (" + found.getMessage() + ")";
  }
}
