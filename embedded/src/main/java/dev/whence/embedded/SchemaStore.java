package dev.whence.embedded;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.avro.Schema;
import org.jspecify.annotations.Nullable;

/**
 * Schemas with their ids, subjects with their versions, and compatibility levels, kept in a {@link
 * SchemaJournal}.
 *
 * <p>As in Confluent's registry, an id names a schema text, whatever the subject: the same text
 * under two subjects has one id, and texts that differ only in documentation have two. Ids count up
 * from 1 and, as nothing is ever deleted, are never used again. Thread-safe.
 */
final class SchemaStore implements AutoCloseable {
  private final SchemaJournal journal;
  private final List<Schema> schemas = new ArrayList<>();
  private final Map<String, Integer> idByText = new HashMap<>();
  private final SortedMap<String, List<Integer>> subjects = new TreeMap<>();
  private final Map<String, CompatibilityLevel> levels = new HashMap<>();
  private CompatibilityLevel global = CompatibilityLevel.BACKWARD;

  private SchemaStore(SchemaJournal journal) {
    this.journal = journal;
  }

  /** A version of a subject. */
  record Version(String subject, int version, int id, Schema schema) {}

  static SchemaStore open(Path file) throws IOException {
    SchemaJournal.Opened opened = SchemaJournal.open(file);
    SchemaStore store = new SchemaStore(opened.journal());
    try {
      int line = 0;
      for (JsonNode entry : opened.entries()) {
        line++;
        if (!store.replay(entry)) {
          throw new IOException(
              "line " + line + " of " + file + " does not fit the lines before it");
        }
      }
      return store;
    } catch (IOException | RuntimeException e) {
      store.close();
      throw e;
    }
  }

  private synchronized boolean replay(JsonNode entry) {
    String subject = entry.path("subject").asText();
    if (entry.has("compatibility")) {
      Optional<CompatibilityLevel> level =
          CompatibilityLevel.named(entry.path("compatibility").asText());
      level.ifPresent(found -> remember(subject, found));
      return level.isPresent();
    }
    try {
      Schema schema = new Schema.Parser().parse(entry.path("schema").asText());
      Version version = next(subject, schema);
      remember(version);
      return version.id() == entry.path("id").asInt()
          && version.version() == entry.path("version").asInt();
    } catch (RuntimeException e) { // not a schema: Avro throws more than it declares
      return false;
    }
  }

  /**
   * The subject's version that has this schema, new if there was none.
   *
   * @throws RegistryException 409 if it is incompatible with earlier versions
   * @throws IOException if it could not be written down; it does not exist then
   */
  synchronized Version register(String subject, Schema schema) throws IOException {
    Optional<Version> known = find(subject, schema);
    if (known.isPresent()) {
      return known.get();
    }
    List<String> problems = problems(subject, schema, null);
    if (!problems.isEmpty()) {
      throw new RegistryException(
          409,
          409,
          "Schema being registered is incompatible with an earlier schema for subject \""
              + subject
              + "\": "
              + problems.get(0));
    }
    Version version = next(subject, schema);
    ObjectNode entry = JsonNodeFactory.instance.objectNode();
    entry.put("subject", subject).put("version", version.version()).put("id", version.id());
    journal.append(entry.put("schema", schema.toString()));
    remember(version);
    return version;
  }

  private Version next(String subject, Schema schema) {
    int version = subjects.getOrDefault(subject, List.of()).size() + 1;
    int id = idByText.getOrDefault(schema.toString(), schemas.size() + 1);
    return new Version(subject, version, id, schema);
  }

  private void remember(Version version) {
    if (version.id() > schemas.size()) {
      schemas.add(version.schema());
      idByText.put(version.schema().toString(), version.id());
    }
    subjects.computeIfAbsent(version.subject(), s -> new ArrayList<>()).add(version.id());
  }

  /** The subject's version that has this schema. */
  synchronized Optional<Version> find(String subject, Schema schema) {
    Integer id = idByText.get(schema.toString());
    int at = id == null ? -1 : subjects.getOrDefault(subject, List.of()).indexOf(id);
    return at < 0 ? Optional.empty() : Optional.of(version(subject, at + 1));
  }

  /**
   * What keeps a schema from being compatible.
   *
   * @param version to compare with, or null for those that the subject's level asks for
   */
  synchronized List<String> problems(String subject, Schema schema, @Nullable Integer version) {
    List<Schema> earlier =
        version == null
            ? subjects.getOrDefault(subject, List.of()).stream().map(this::schema).toList()
            : List.of(version(subject, version).schema());
    return levels.getOrDefault(subject, global).problems(schema, earlier);
  }

  /**
   * @throws RegistryException 40403
   */
  synchronized Schema schema(int id) {
    if (id < 1 || id > schemas.size()) {
      throw RegistryException.schemaNotFound(id + " ");
    }
    return schemas.get(id - 1);
  }

  /** All versions that use a schema. */
  synchronized List<Version> uses(int id) {
    Schema schema = schema(id);
    return subjects.keySet().stream().flatMap(s -> find(s, schema).stream()).toList();
  }

  synchronized List<String> subjects() {
    return List.copyOf(subjects.keySet());
  }

  /**
   * How many versions a subject has; they are numbered from 1.
   *
   * @throws RegistryException 40401
   */
  synchronized int versions(String subject) {
    List<Integer> ids = subjects.get(subject);
    if (ids == null) {
      throw RegistryException.subjectNotFound(subject);
    }
    return ids.size();
  }

  /**
   * @throws RegistryException 40401 or 40402
   */
  synchronized Version version(String subject, int version) {
    if (version < 1 || version > versions(subject)) {
      throw RegistryException.versionNotFound(version);
    }
    List<Integer> ids = subjects.getOrDefault(subject, List.of());
    int id = ids.get(version - 1);
    return new Version(subject, version, id, schema(id));
  }

  synchronized CompatibilityLevel globalLevel() {
    return global;
  }

  synchronized Optional<CompatibilityLevel> level(String subject) {
    return Optional.ofNullable(levels.get(subject));
  }

  /**
   * @param subject or the empty string for the global level
   * @throws IOException if it could not be written down; nothing changes then
   */
  synchronized void setLevel(String subject, CompatibilityLevel level) throws IOException {
    ObjectNode entry = JsonNodeFactory.instance.objectNode();
    journal.append(entry.put("subject", subject).put("compatibility", level.name()));
    remember(subject, level);
  }

  private void remember(String subject, CompatibilityLevel level) {
    if (subject.isEmpty()) {
      global = level;
    } else {
      levels.put(subject, level);
    }
  }

  @Override
  public synchronized void close() throws IOException {
    journal.close();
  }
}
