package dev.whence.engine.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.whence.conversation.BoundedJson;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Message;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A conversation as the values that a template sees: role, content, and name, tool_calls and
 * tool_call_id where there are any. The content of a message without parts that has tool calls is
 * none.
 *
 * <p>As in vLLM: arguments of tool calls that are JSON in a string are given as values, arguments
 * that are missing or empty as an empty map, an empty list of tool calls not at all, and what an
 * assistant thought in an earlier turn as reasoning and as reasoning_content, whichever of the two
 * fields it stands in.
 */
final class TemplateMessages {
  /** What {@link #word} makes. */
  private static final Pattern MARKER = Pattern.compile("whencemarker[0-9]{1,9}q");

  private static final int MAX_NESTING = 50;

  private static final int MAX_DIGITS = 1000;

  private static final ObjectMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(MAX_NESTING)
                          .maxNumberLength(MAX_DIGITS)
                          .maxTokenCount(BoundedJson.MAX_TOKENS)
                          .build())
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /** Reads token by token, and makes nothing of them. */
  private static final JsonFactory UNBOUNDED =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(Integer.MAX_VALUE)
                  .maxNumberLength(Integer.MAX_VALUE)
                  .build())
          .build();

  /** Fields of an assistant's message that hold what it thought, the newer name first. */
  private static final List<String> THOUGHTS = List.of("reasoning", "reasoning_content");

  private final List<Message> messages;

  /** What an assistant's message was thought before, by message. */
  private final List<@Nullable String> thoughts = new ArrayList<>();

  private final List<@Nullable Object> toolCalls = new ArrayList<>();
  private final @Nullable Object tools;

  TemplateMessages(Conversation conversation) {
    this.messages = conversation.messages();
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      Object calls =
          message.toolCalls().isEmpty() ? null : calls(value(message.toolCalls(), "tool_calls"));
      toolCalls.add(calls instanceof List<?> list && list.isEmpty() ? null : calls);
      thoughts.add(message.role().equals("assistant") ? thought(conversation, i) : null);
    }
    this.tools = conversation.tools().isEmpty() ? null : value(conversation.tools(), "tools");
  }

  @Nullable Object tools() {
    return tools;
  }

  List<Map<String, @Nullable Object>> values() {
    List<String> contents = new ArrayList<>();
    for (Message message : messages) {
      contents.add(message.content());
    }
    return withContents(contents);
  }

  /** The same messages with other contents; an empty content stays empty. */
  List<Map<String, @Nullable Object>> withContents(List<String> contents) {
    List<Map<String, @Nullable Object>> values = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      Map<String, @Nullable Object> value = new LinkedHashMap<>();
      value.put("role", message.role());
      Object calls = toolCalls.get(i);
      boolean none = message.parts().isEmpty() && calls != null;
      value.put("content", none ? null : contents.get(i));
      if (!message.name().isEmpty()) {
        value.put("name", message.name());
      }
      if (calls != null) {
        value.put("tool_calls", calls);
      }
      String thought = thoughts.get(i);
      if (thought != null) {
        THOUGHTS.forEach(name -> value.put(name, thought));
      }
      if (!message.toolCallId().isEmpty()) {
        value.put("tool_call_id", message.toolCallId());
      }
      values.add(value);
    }
    return values;
  }

  /** A field of a message that whence has none for is an attribute of the conversation. */
  private static @Nullable String thought(Conversation conversation, int message) {
    return THOUGHTS.stream()
        .map(name -> conversation.attributes().get("messages[" + message + "]." + name))
        .filter(Objects::nonNull)
        .findFirst()
        .orElse(null);
  }

  /** One word for each message that no message contains; empty where the content is. */
  List<String> markers() {
    Set<String> taken = new HashSet<>();
    for (Message message : messages) {
      Matcher matcher = MARKER.matcher(message.content());
      while (matcher.find()) {
        taken.add(matcher.group());
      }
    }
    int number = 0;
    while (taken.contains(word(number))) {
      number++;
    }
    List<String> markers = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      markers.add(messages.get(i).content().isEmpty() ? "" : word(number) + i + "x");
    }
    return markers;
  }

  private static String word(int number) {
    return "whencemarker" + number + "q";
  }

  private static @Nullable Object calls(@Nullable Object calls) {
    if (!(calls instanceof List<?> list)) {
      return calls;
    }
    for (Object call : list) {
      if (call instanceof Map<?, ?> map && map.get("function") instanceof Map<?, ?> function) {
        parseArguments(function);
      }
    }
    return calls;
  }

  @SuppressWarnings("unchecked") // made by convert below: string keys
  private static void parseArguments(Map<?, ?> function) {
    Object written = function.get("arguments");
    Map<String, @Nullable Object> changed = (Map<String, @Nullable Object>) function;
    if (written == null || written.equals("")) {
      changed.put("arguments", new LinkedHashMap<String, @Nullable Object>());
    } else if (written instanceof String json) {
      try {
        JsonNode read = JSON.readTree(json);
        if (!read.isMissingNode()) { // white space alone
          changed.put("arguments", convert(read));
        }
      } catch (StreamConstraintsException e) {
        if (isJson(json)) {
          throw beyond("arguments of a tool call");
        }
      } catch (JsonProcessingException e) {
        // Not JSON: the template gets the string that the model wrote.
      }
    }
  }

  private static @Nullable Object value(String json, String what) {
    try {
      return convert(JSON.readTree(json));
    } catch (StreamConstraintsException e) {
      throw beyond(what + " of a prompt");
    } catch (JsonProcessingException e) {
      throw new EngineException(Kind.UNSUPPORTED, "the " + what + " of a prompt are not JSON");
    }
  }

  /** Whether a text is JSON, however deep and however long its numbers. */
  private static boolean isJson(String json) {
    try (JsonParser parser = UNBOUNDED.createParser(json)) {
      int roots = 0;
      for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
        boolean ends = token.isScalarValue() || token.isStructEnd();
        roots += ends && parser.getParsingContext().inRoot() ? 1 : 0;
      }
      return roots == 1;
    } catch (IOException e) {
      return false;
    }
  }

  /** The parser's own message may quote the record. */
  private static EngineException beyond(String what) {
    return new EngineException(
        Kind.UNSUPPORTED,
        "the "
            + what
            + " go past a limit: "
            + MAX_NESTING
            + " levels, numbers of "
            + MAX_DIGITS
            + " digits, "
            + BoundedJson.MAX_TOKENS
            + " names, values and brackets");
  }

  private static @Nullable Object convert(JsonNode node) {
    if (node.isObject()) {
      Map<String, @Nullable Object> map = new LinkedHashMap<>();
      node.properties().forEach(entry -> map.put(entry.getKey(), convert(entry.getValue())));
      return map;
    }
    if (node.isArray()) {
      List<@Nullable Object> list = new ArrayList<>();
      node.forEach(item -> list.add(convert(item)));
      return list;
    }
    if (node.isTextual()) {
      return node.textValue();
    }
    if (node.isBoolean()) {
      return node.booleanValue();
    }
    if (node.isIntegralNumber()) {
      return node.canConvertToLong() ? (Object) node.longValue() : node.bigIntegerValue();
    }
    return node.isNumber() ? (Object) node.doubleValue() : null;
  }
}
