package dev.whence.samples;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.Span;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Questions as JSON Lines, one response a line, in the format that every command reads. What is
 * true of a question stands in its attributes:
 *
 * <ul>
 *   <li>{@code kind}: see {@link Kind}, as in {@code TWO_HOP}
 *   <li>{@code expected}: the right response, with its full stop
 *   <li>{@code fact}: id of the fact that is asked for
 *   <li>{@code sentences}: how many the context has
 *   <li>{@code truth}, {@code overridden}: JSON lists of {@code {"segment", "start", "end",
 *       "sentence"}}: the part's id, the sentence's characters in the part's text, its index in the
 *       context
 * </ul>
 */
public final class QuestionLines {
  /** Names of attributes. */
  public static final String KIND = "kind";

  public static final String EXPECTED = "expected";
  public static final String FACT = "fact";
  public static final String SENTENCES = "sentences";
  public static final String TRUTH = "truth";
  public static final String OVERRIDDEN = "overridden";

  private static final ObjectMapper JSON = new ObjectMapper();

  private QuestionLines() {}

  /** The line of a question, not answered yet, without a line break. */
  public static String unanswered(Question question) {
    return ConversationCodec.write(question.conversation());
  }

  /** The line of a question with its right response, without a line break. */
  public static String answered(Question question) {
    return ConversationCodec.write(question.answered());
  }

  /**
   * Writes a file, one line a question.
   *
   * @param answered whether with the right responses, or to be answered
   */
  public static void write(Path file, Iterable<Question> questions, boolean answered)
      throws IOException {
    try (Writer out = Files.newBufferedWriter(file, StandardCharsets.UTF_8)) {
      for (Question question : questions) {
        out.write(answered ? answered(question) : unanswered(question));
        out.write('\n');
      }
    }
  }

  /**
   * The sentences that matter, of a conversation that was written here.
   *
   * @throws IllegalArgumentException if it has no such attribute
   */
  public static List<Evidence> truth(Conversation conversation) {
    return evidence(conversation, TRUTH);
  }

  /** The sentences that would answer if those of {@link #truth} were not there. */
  public static List<Evidence> overridden(Conversation conversation) {
    return evidence(conversation, OVERRIDDEN);
  }

  static Map<String, String> attributes(Question question) {
    return Map.of(
        KIND, question.kind().name(),
        EXPECTED, question.response(),
        FACT, question.fact(),
        SENTENCES, Integer.toString(question.sentences()),
        TRUTH, text(question.truth()),
        OVERRIDDEN, text(question.overridden()));
  }

  private static String text(List<Evidence> evidence) {
    ArrayNode list = JSON.createArrayNode();
    for (Evidence one : evidence) {
      list.addObject()
          .put("segment", one.part())
          .put("start", one.span().start())
          .put("end", one.span().end())
          .put("sentence", one.sentence());
    }
    return list.toString();
  }

  private static List<Evidence> evidence(Conversation conversation, String attribute) {
    String text = conversation.attributes().get(attribute);
    if (text == null) {
      throw new IllegalArgumentException(
          "response " + conversation.responseId() + " has no attribute '" + attribute + "'");
    }
    List<Evidence> evidence = new ArrayList<>();
    try {
      for (JsonNode one : JSON.readTree(text)) {
        evidence.add(
            new Evidence(
                one.path("segment").asText(),
                new Span(one.path("start").asInt(), one.path("end").asInt()),
                one.path("sentence").asInt()));
      }
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(
          "the attribute '"
              + attribute
              + "' of response "
              + conversation.responseId()
              + " is not JSON",
          e);
    }
    return evidence;
  }
}
