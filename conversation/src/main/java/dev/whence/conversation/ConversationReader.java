package dev.whence.conversation;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One JSON object becomes a {@link Conversation}. What the line leaves open is filled in:
 *
 * <ul>
 *   <li>{@code kind} by role: system and developer are instruction, tool is tool_output, assistant
 *       is history, the last user message is question and earlier ones are history; in a raw {@code
 *       prompt} it is unknown.
 *   <li>{@code id}: {@code m<message>.p<part>}, from 0.
 *   <li>{@code trust}: unknown. {@code attributable}: as the kind says.
 *   <li>{@code occurredAt}: {@link Instant#EPOCH}, which means unknown.
 * </ul>
 *
 * A JSON null is the same as an absent field, but for the {@code response} of a line whose {@code
 * finishReason} is tool_calls or function_call: that is empty. OpenAI's older {@code function_call}
 * is read as the one call of {@code tool_calls}, a {@code refusal} as text. Unknown fields become
 * attributes: {@code name} at the top, {@code messages[i].name} of a message, {@code
 * messages[i].content[j].name} of a part; JSON text where they are not strings; an explicit
 * attribute of the same name wins. A part whose {@code type} is not text is {@link PartKind#MEDIA}:
 * its type becomes an attribute, its payload is not carried.
 */
final class ConversationReader {
  /** Keys of records are response ids, and a DLQ's reader must be able to print them. */
  private static final Set<String> TOP =
      Set.of(
          "responseId",
          "model",
          "occurredAt",
          "messages",
          "prompt",
          "reasoning",
          "response",
          "finishReason",
          "citations",
          "tools",
          "conversationId",
          "subjectId",
          "traceparent",
          "attributes");

  private static final Set<String> MESSAGE =
      Set.of("role", "content", "name", "tool_calls", "tool_call_id");
  private static final Set<String> PART =
      Set.of("type", "kind", "id", "title", "uri", "trust", "text", "attributable", "sources");

  /** Finish reasons of answers that need no text. */
  private static final Set<String> CALLED = Set.of("tool_calls", "function_call");

  private static final String REFUSAL = "refusal";
  private static final Set<String> REFUSAL_PART =
      Stream.concat(PART.stream(), Stream.of(REFUSAL)).collect(Collectors.toUnmodifiableSet());
  private static final Set<String> CITATION = Set.of("segment", "start", "end");
  private static final Set<String> TEXT_TYPES = Set.of("text", "input_text", "output_text");

  private final ObjectNode line;
  private final boolean answered;
  private final Map<String, String> attributes = new HashMap<>();

  /** Where each part's id was first seen. */
  private final Map<String, String> idFields = new HashMap<>();

  ConversationReader(ObjectNode line, boolean answered) {
    this.line = line;
    this.answered = answered;
  }

  Conversation read() {
    String responseId = requiredText(line, "", "responseId");
    if (responseId.isEmpty() || responseId.length() > Conversation.LONGEST_ID) {
      throw new ConversationFormatException(
          "responseId",
          "has "
              + responseId.length()
              + " characters; it must have 1 to "
              + Conversation.LONGEST_ID);
    }
    List<Message> messages = messages();
    String finishReason = optionalText(line, "", "finishReason");
    boolean called = line.has("response") && CALLED.contains(finishReason);
    String response =
        answered && !called
            ? requiredText(line, "", "response")
            : optionalText(line, "", "response");
    List<Citation> citations = citations(response);
    unknownFields(line, "", TOP);
    explicitAttributes();
    return new Conversation(
        responseId,
        optionalText(line, "", "model"),
        occurredAt(),
        messages,
        optionalText(line, "", "reasoning"),
        response,
        finishReason,
        citations,
        jsonText(line, "", "tools"),
        optionalText(line, "", "conversationId"),
        optionalText(line, "", "subjectId"),
        optionalText(line, "", "traceparent"),
        attributes);
  }

  private Instant occurredAt() {
    String text = optionalText(line, "", "occurredAt");
    if (text.isEmpty()) {
      return Instant.EPOCH;
    }
    Instant at;
    try {
      at = Instant.parse(text);
    } catch (DateTimeException e) {
      throw new ConversationFormatException(
          "occurredAt", "is not a time such as 2026-11-22T10:00:00Z");
    }
    if (!Conversation.isReadableTime(at)) {
      throw new ConversationFormatException("occurredAt", "is not in the years 1 to 9999");
    }
    return at;
  }

  private List<Message> messages() {
    JsonNode prompt = field(line, "prompt");
    JsonNode messages = field(line, "messages");
    if (prompt != null && messages != null) {
      throw new ConversationFormatException(
          "prompt", "stands beside messages; a line has one of them");
    }
    if (prompt != null) {
      return List.of(Message.of(Message.RAW, parts(prompt, 0, "prompt", PartKind.UNKNOWN)));
    }
    if (messages == null) {
      throw new ConversationFormatException("messages", "is missing");
    }
    if (!messages.isArray() || messages.isEmpty()) {
      throw new ConversationFormatException("messages", "must be a list with a message in it");
    }
    int lastUser = -1;
    for (int i = 0; i < messages.size(); i++) {
      if ("user".equals(messages.get(i).path("role").textValue())) {
        lastUser = i;
      }
    }
    List<Message> read = new ArrayList<>(messages.size());
    for (int i = 0; i < messages.size(); i++) {
      read.add(message(messages.get(i), i, i == lastUser));
    }
    return read;
  }

  private Message message(JsonNode node, int index, boolean lastUser) {
    String path = "messages[" + index + "]";
    if (!node.isObject()) {
      throw new ConversationFormatException(path, "must be an object, not " + typeOf(node));
    }
    String role = requiredText(node, path, "role");
    if (role.isEmpty()) {
      throw new ConversationFormatException(path + ".role", "is empty");
    }
    if (role.equals(Message.RAW)) {
      throw new ConversationFormatException(
          path + ".role", "is raw: a prompt without a template stands in the field prompt");
    }
    Set<String> known = new HashSet<>(MESSAGE);
    String toolCalls = jsonText(node, path, "tool_calls");
    JsonNode functionCall = field(node, "function_call");
    if (toolCalls.isEmpty() && functionCall != null && functionCall.isObject()) {
      toolCalls = Json.text(toolCallsOf(functionCall));
      known.add("function_call");
    }
    JsonNode content = field(node, "content");
    JsonNode refusal = field(node, REFUSAL);
    if (content == null && refusal != null && refusal.isTextual()) {
      content = refusal;
      known.add(REFUSAL);
    }
    List<Part> parts;
    if (content != null) {
      parts = parts(content, index, path + ".content", PartKind.ofRole(role, lastUser));
    } else if (toolCalls.isEmpty()) {
      throw new ConversationFormatException(
          path + ".content", "is missing, and the message has no tool_calls");
    } else {
      parts = List.of();
    }
    unknownFields(node, path, known);
    return new Message(
        role,
        parts,
        optionalText(node, path, "name"),
        toolCalls,
        optionalText(node, path, "tool_call_id"));
  }

  /** What OpenAI's clients before tool_calls wrote, as its one call. */
  private static JsonNode toolCallsOf(JsonNode functionCall) {
    ObjectNode call = Json.newObject();
    call.put("type", "function");
    call.set("function", functionCall);
    return call.arrayNode().add(call);
  }

  private List<Part> parts(JsonNode content, int message, String path, PartKind kind) {
    if (content.isTextual()) {
      String id = uniqueId("m" + message + ".p0", path);
      return List.of(Part.of(kind, id, WellFormedText.of(content.textValue())));
    }
    if (!content.isArray()) {
      throw new ConversationFormatException(
          path, "must be a string or a list of parts, not " + typeOf(content));
    }
    List<Part> parts = new ArrayList<>(content.size());
    for (int j = 0; j < content.size(); j++) {
      parts.add(part(content.get(j), "m" + message + ".p" + j, path + "[" + j + "]", kind));
    }
    return parts;
  }

  private Part part(JsonNode node, String defaultId, String path, PartKind defaultKind) {
    if (!node.isObject()) {
      throw new ConversationFormatException(path, "must be an object, not " + typeOf(node));
    }
    String type = optionalText(node, path, "type");
    boolean refusal = type.equals(REFUSAL);
    boolean media = !type.isEmpty() && !refusal && !TEXT_TYPES.contains(type);
    PartKind kind = media ? PartKind.MEDIA : choice(node, path, "kind", defaultKind);
    String id = optionalText(node, path, "id");
    if (id.isEmpty()) {
      id = defaultId;
    }
    uniqueId(id, path + ".id");
    if (media) {
      attributes.put(path + ".type", type);
    } else {
      unknownFields(node, path, refusal ? REFUSAL_PART : PART);
    }
    String text =
        kind == PartKind.MEDIA
            ? optionalText(node, path, "text")
            : requiredText(node, path, refusal ? REFUSAL : "text");
    try {
      return new Part(
          kind,
          id,
          optionalText(node, path, "title"),
          optionalText(node, path, "uri"),
          choice(node, path, "trust", Trust.UNKNOWN),
          text,
          attributable(node, path, kind),
          sources(node, path));
    } catch (IllegalArgumentException e) {
      // Spans that do not fit the text; Part's messages hold positions only.
      throw new ConversationFormatException(path + ".sources", "do not fit: " + e.getMessage());
    }
  }

  private String uniqueId(String id, String path) {
    String earlier = idFields.putIfAbsent(id, path);
    if (earlier != null) {
      throw new ConversationFormatException(path, "is the same as " + earlier);
    }
    return id;
  }

  private static boolean attributable(JsonNode node, String path, PartKind kind) {
    JsonNode value = field(node, "attributable");
    if (value == null) {
      return kind.attributableByDefault();
    }
    if (!value.isBoolean()) {
      throw new ConversationFormatException(path + ".attributable", "must be true or false");
    }
    return value.booleanValue();
  }

  private static List<Span> sources(JsonNode node, String path) {
    JsonNode list = field(node, "sources");
    if (list == null) {
      return List.of();
    }
    String field = path + ".sources";
    if (!list.isArray()) {
      throw new ConversationFormatException(field, "must be a list of [start, end]");
    }
    List<Span> spans = new ArrayList<>(list.size());
    for (int k = 0; k < list.size(); k++) {
      JsonNode pair = list.get(k);
      if (!pair.isArray() || pair.size() != 2) {
        throw new ConversationFormatException(field + "[" + k + "]", "must be [start, end]");
      }
      spans.add(span(pair.get(0), pair.get(1), field + "[" + k + "]"));
    }
    return spans;
  }

  private List<Citation> citations(String response) {
    JsonNode list = field(line, "citations");
    if (list == null) {
      return List.of();
    }
    if (!list.isArray()) {
      throw new ConversationFormatException("citations", "must be a list");
    }
    List<Citation> citations = new ArrayList<>(list.size());
    for (int i = 0; i < list.size(); i++) {
      JsonNode node = list.get(i);
      String path = "citations[" + i + "]";
      if (!node.isObject()) {
        throw new ConversationFormatException(path, "must be an object, not " + typeOf(node));
      }
      Span span = span(node.path("start"), node.path("end"), path);
      if (span.end() > response.length()) {
        throw new ConversationFormatException(
            path,
            "ends at "
                + span.end()
                + ", after the response, which has "
                + response.length()
                + " UTF-16 code units");
      }
      citations.add(new Citation(requiredText(node, path, "segment"), span));
      unknownFields(node, path, CITATION);
    }
    return citations;
  }

  private static Span span(JsonNode start, JsonNode end, String path) {
    boolean integers =
        start.isIntegralNumber()
            && start.canConvertToInt()
            && end.isIntegralNumber()
            && end.canConvertToInt();
    if (!integers || start.intValue() < 0 || end.intValue() < start.intValue()) {
      throw new ConversationFormatException(path, "needs whole numbers 0 <= start <= end");
    }
    return new Span(start.intValue(), end.intValue());
  }

  private void explicitAttributes() {
    JsonNode node = field(line, "attributes");
    if (node == null) {
      return;
    }
    if (!node.isObject()) {
      throw new ConversationFormatException("attributes", "must be an object");
    }
    node.properties().forEach(entry -> attribute(entry.getKey(), entry.getValue()));
  }

  private void unknownFields(JsonNode node, String path, Set<String> known) {
    for (Map.Entry<String, JsonNode> entry : node.properties()) {
      if (!known.contains(entry.getKey())) {
        attribute(path(path, entry.getKey()), entry.getValue());
      }
    }
  }

  private void attribute(String name, JsonNode value) {
    if (!value.isNull()) {
      attributes.put(
          WellFormedText.of(name),
          value.isTextual() ? WellFormedText.of(value.textValue()) : Json.text(value));
    }
  }

  private static <E extends Enum<E>> E choice(
      JsonNode node, String path, String name, E defaultValue) {
    String text = optionalText(node, path, name);
    if (text.isEmpty()) {
      return defaultValue;
    }
    E[] all = defaultValue.getDeclaringClass().getEnumConstants();
    for (E each : all) {
      if (jsonName(each).equals(text)) {
        return each;
      }
    }
    throw new ConversationFormatException(
        path(path, name),
        "is none of "
            + Arrays.stream(all)
                .map(ConversationReader::jsonName)
                .collect(Collectors.joining(", ")));
  }

  private static String jsonName(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  private static String jsonText(JsonNode node, String path, String name) {
    JsonNode value = field(node, name);
    if (value == null) {
      return "";
    }
    if (!value.isArray()) {
      throw new ConversationFormatException(
          path(path, name), "must be a list, not " + typeOf(value));
    }
    return Json.text(value);
  }

  private static String requiredText(JsonNode node, String path, String name) {
    JsonNode value = field(node, name);
    if (value == null) {
      throw new ConversationFormatException(path(path, name), "is missing");
    }
    return text(value, path, name);
  }

  private static String optionalText(JsonNode node, String path, String name) {
    JsonNode value = field(node, name);
    return value == null ? "" : text(value, path, name);
  }

  private static String text(JsonNode value, String path, String name) {
    if (!value.isTextual()) {
      throw new ConversationFormatException(
          path(path, name), "must be a string, not " + typeOf(value));
    }
    return WellFormedText.of(value.textValue());
  }

  private static @Nullable JsonNode field(JsonNode node, String name) {
    JsonNode value = node.get(name);
    return value == null || value.isNull() ? null : value;
  }

  private static String path(String parent, String name) {
    return parent.isEmpty() ? name : parent + "." + name;
  }

  private static String typeOf(JsonNode node) {
    return switch (node.getNodeType()) {
      case ARRAY -> "a list";
      case OBJECT -> "an object";
      case NUMBER -> "a number";
      case BOOLEAN -> "a boolean";
      case STRING -> "a string";
      default -> "null";
    };
  }
}
