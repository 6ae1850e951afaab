package dev.whence.conversation;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** Bounded JSON: numbers keep their digits, names are unique, nothing follows the value. */
final class Json {
  static final int MAX_LINE_LENGTH = 64 << 20;
  static final int MAX_STRING_LENGTH = 16 << 20;
  static final int MAX_NESTING = BoundedJson.MAX_NESTING;
  static final int MAX_NUMBER_LENGTH = 400;
  static final int MAX_NAME_LENGTH = 4096;
  static final int MAX_TOKENS = BoundedJson.MAX_TOKENS;

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxDocumentLength(MAX_LINE_LENGTH)
                          .maxStringLength(MAX_STRING_LENGTH)
                          .maxNestingDepth(MAX_NESTING)
                          .maxNumberLength(MAX_NUMBER_LENGTH)
                          .maxNameLength(MAX_NAME_LENGTH)
                          .maxTokenCount(MAX_TOKENS)
                          .build())
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
          .build();

  private Json() {}

  static JsonNode parse(String text) throws JsonProcessingException {
    return MAPPER.readTree(text);
  }

  /** The object that the line is. Parser messages quote the input, so none of them is passed on. */
  static ObjectNode object(String line) {
    if (line.length() > MAX_LINE_LENGTH) {
      throw new ConversationFormatException(
          "the line",
          "has " + line.length() + " characters; at most " + MAX_LINE_LENGTH + " are read");
    }
    JsonNode root;
    try {
      root = parse(line);
    } catch (StreamConstraintsException e) {
      throw new ConversationFormatException(
          "the line",
          "goes past a limit"
              + at(e)
              + ": strings of "
              + MAX_STRING_LENGTH
              + " characters, names of "
              + MAX_NAME_LENGTH
              + ", numbers of "
              + MAX_NUMBER_LENGTH
              + " digits, "
              + MAX_NESTING
              + " levels, "
              + MAX_TOKENS
              + " tokens");
    } catch (JsonProcessingException e) {
      throw new ConversationFormatException(
          "the line", "is not valid JSON, or names a field twice" + at(e));
    }
    if (root instanceof ObjectNode object) {
      return object;
    }
    throw new ConversationFormatException(
        "the line", root.isMissingNode() ? "is empty" : "is not a JSON object");
  }

  static ObjectNode newObject() {
    return MAPPER.createObjectNode();
  }

  /** JSON text, compact, without half surrogate pairs. */
  static String text(JsonNode node) {
    try {
      return WellFormedText.of(MAPPER.writeValueAsString(node));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a JSON tree can not be written", e);
    }
  }

  private static String at(JsonProcessingException e) {
    JsonLocation where = e.getLocation();
    return where == null || where.getColumnNr() < 1 ? "" : " at column " + where.getColumnNr();
  }
}
