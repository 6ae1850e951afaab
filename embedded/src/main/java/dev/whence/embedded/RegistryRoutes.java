package dev.whence.embedded;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.avro.Schema;
import org.jspecify.annotations.Nullable;

/**
 * The part of Confluent's REST interface that Avro serializers and clients call, over a {@link
 * SchemaStore}. Knows paths and JSON, not HTTP connections.
 */
final class RegistryRoutes {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
  private static final int MAX_SUBJECT_LENGTH = 300; // a topic's name has at most 249

  private final SchemaStore store;

  RegistryRoutes(SchemaStore store) {
    this.store = store;
  }

  /**
   * One call.
   *
   * @param method of HTTP
   * @param path decoded segments
   * @param query decoded parameters
   * @param body bytes of the request, bounded by the caller
   * @throws RegistryException for every answer but 200
   * @throws IOException if the store could not be written
   */
  JsonNode answer(String method, List<String> path, Map<String, String> query, byte[] body)
      throws IOException {
    String root = path.isEmpty() ? "" : path.get(0);
    if (method.equals("DELETE")) {
      throw RegistryException.unsupported("deleting: ids and versions stay for good");
    }
    return switch (root) {
      case "" -> NODES.objectNode();
      case "subjects" -> subjects(method, path, query, body);
      case "schemas" -> schemas(path, query);
      case "compatibility" -> compatibility(method, path, query, body);
      case "config" -> config(method, path, query, body);
      case "mode" -> mode(method);
      case "contexts" -> NODES.arrayNode().add(".");
      default -> throw RegistryException.notFound();
    };
  }

  private JsonNode subjects(
      String method, List<String> path, Map<String, String> query, byte[] body) throws IOException {
    boolean post = method.equals("POST");
    if (path.size() == 1) {
      ArrayNode names = NODES.arrayNode();
      String prefix = query.getOrDefault("subjectPrefix", "");
      store.subjects().stream().filter(name -> name.startsWith(prefix)).forEach(names::add);
      return names;
    }
    String subject = subject(path.get(1));
    if (path.size() == 2 && post) {
      store.versions(subject); // 40401 comes before a bad schema
      return view(
          store
              .find(subject, schema(body))
              .orElseThrow(() -> RegistryException.schemaNotFound("")));
    }
    if (path.size() < 3 || !path.get(2).equals("versions")) {
      throw RegistryException.notFound();
    }
    if (path.size() == 3) {
      if (post) {
        return view(store.register(subject, schema(body)));
      }
      ArrayNode versions = NODES.arrayNode();
      IntStream.rangeClosed(1, store.versions(subject)).forEach(versions::add);
      return versions;
    }
    SchemaStore.Version version = store.version(subject, version(subject, path.get(3)));
    if (path.size() == 4) {
      return view(version);
    }
    return switch (path.get(4)) {
      case "schema" -> raw(version.schema());
      case "referencedby" -> NODES.arrayNode(); // references are refused
      default -> throw RegistryException.notFound();
    };
  }

  private JsonNode schemas(List<String> path, Map<String, String> query) {
    if (path.size() == 2 && path.get(1).equals("types")) {
      return NODES.arrayNode().add("AVRO");
    }
    if (path.size() < 3 || !path.get(1).equals("ids")) {
      throw RegistryException.notFound();
    }
    int id = number(path.get(2));
    if (path.size() == 3) {
      return NODES.objectNode().put("schema", store.schema(id).toString());
    }
    return switch (path.get(3)) {
      case "schema" -> raw(store.schema(id));
      case "subjects" -> {
        ArrayNode names = NODES.arrayNode();
        store.uses(id).forEach(use -> names.add(use.subject()));
        yield names;
      }
      case "versions" -> {
        ArrayNode uses = NODES.arrayNode();
        String only = query.getOrDefault("subject", "");
        store.uses(id).stream()
            .filter(use -> only.isEmpty() || use.subject().equals(only))
            .forEach(
                use ->
                    uses.addObject().put("subject", use.subject()).put("version", use.version()));
        yield uses;
      }
      default -> throw RegistryException.notFound();
    };
  }

  /** {@code /compatibility/subjects/S/versions[/V]}. */
  private JsonNode compatibility(
      String method, List<String> path, Map<String, String> query, byte[] body) {
    if (!method.equals("POST")
        || path.size() < 4
        || !path.get(1).equals("subjects")
        || !path.get(3).equals("versions")) {
      throw RegistryException.notFound();
    }
    String subject = subject(path.get(2));
    Integer version = path.size() == 4 ? null : (Integer) version(subject, path.get(4));
    List<String> problems = store.problems(subject, schema(body), version);
    ObjectNode answer = NODES.objectNode().put("is_compatible", problems.isEmpty());
    if (Boolean.parseBoolean(query.get("verbose"))) {
      problems.forEach(answer.putArray("messages")::add);
    }
    return answer;
  }

  private JsonNode config(String method, List<String> path, Map<String, String> query, byte[] body)
      throws IOException {
    String subject = path.size() > 1 ? subject(path.get(1)) : "";
    if (method.equals("PUT")) {
      CompatibilityLevel level =
          CompatibilityLevel.named(object(body).path("compatibility").asText())
              .orElseThrow(RegistryException::invalidLevel);
      store.setLevel(subject, level);
      return NODES.objectNode().put("compatibility", level.name());
    }
    CompatibilityLevel level =
        subject.isEmpty() || Boolean.parseBoolean(query.get("defaultToGlobal"))
            ? store.level(subject).orElse(store.globalLevel())
            : store.level(subject).orElseThrow(() -> RegistryException.noSubjectLevel(subject));
    return NODES.objectNode().put("compatibilityLevel", level.name());
  }

  private static JsonNode mode(String method) {
    if (!method.equals("GET")) {
      throw RegistryException.unsupported("modes other than READWRITE");
    }
    return NODES.objectNode().put("mode", "READWRITE");
  }

  private static ObjectNode view(SchemaStore.Version version) {
    return NODES
        .objectNode()
        .put("subject", version.subject())
        .put("version", version.version())
        .put("id", version.id())
        .put("schema", version.schema().toString());
  }

  private static JsonNode raw(Schema schema) {
    try {
      return JSON.readTree(schema.toString());
    } catch (JsonProcessingException e) {
      return TextNode.valueOf(schema.toString());
    }
  }

  private static String subject(String name) {
    if (name.isEmpty()
        || name.length() > MAX_SUBJECT_LENGTH
        || name.chars().anyMatch(Character::isISOControl)) {
      throw RegistryException.invalidSubject();
    }
    return name;
  }

  /** A version's number; "latest" and -1 are the last. */
  private int version(String subject, String text) {
    if (text.equals("latest") || text.equals("-1")) {
      return store.versions(subject);
    }
    int version = number(text);
    if (version < 1) {
      throw RegistryException.invalidVersion(text.substring(0, Math.min(20, text.length())));
    }
    return version;
  }

  /** 0 for what is not a positive int. */
  private static int number(String text) {
    return text.matches("[1-9][0-9]{0,8}") ? Integer.parseInt(text) : 0;
  }

  private static Schema schema(byte[] body) {
    JsonNode request = object(body);
    String type = request.path("schemaType").asText("AVRO");
    if (!type.equals("AVRO") && !type.equals("null")) {
      throw RegistryException.invalidSchema("this embedded registry keeps only AVRO schemas");
    }
    if (!request.path("references").isEmpty()) {
      throw RegistryException.invalidSchema(
          "this embedded registry does not resolve references; write the schema out in full");
    }
    String text = request.path("schema").asText();
    if (text.isEmpty()) {
      throw RegistryException.invalidSchema("the field 'schema' is missing or empty");
    }
    try {
      return new Schema.Parser().parse(text);
    } catch (
        RuntimeException e) { // Avro: SchemaParseException, AvroTypeException, NullPointerException
      throw RegistryException.invalidSchema(String.valueOf(e.getMessage()));
    }
  }

  private static JsonNode object(byte[] body) {
    @Nullable JsonNode parsed;
    try {
      parsed = JSON.readTree(body);
    } catch (IOException e) {
      throw new RegistryException(400, 400, "The body of the request is not JSON");
    }
    if (parsed == null || !parsed.isObject()) {
      throw new RegistryException(400, 400, "The body of the request is not a JSON object");
    }
    return parsed;
  }
}
