package dev.whence.attribution;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import dev.whence.attribution.source.Partitioner;
import dev.whence.attribution.source.WhiteSpace;
import dev.whence.conversation.Citation;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.Part;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Citations that a response makes by marks in its text, for records that declare none.
 *
 * <p>A mark is {@code [2]}, {@code [1, 3]} or {@code [1][3]}, where n is the n-th retrieved
 * document or tool output of the prompt, from 1; or {@code [doc-7]}, the id of such a part or its
 * title if no other has the same. An id wins over a number, a number over a title. A mark of which
 * any name means no document is none: {@code [0, 1]} is an interval.
 *
 * <p>A mark may stand before a full stop or behind it ("It rains. [1] It pours. [2]"), where a
 * sentence's boundary lies before the mark: so what it speaks of is what stands before it in its
 * paragraph, but in a line that begins with a mark and goes on ("[1] It rains."), where it is what
 * follows.
 *
 * <p>Nothing is read from tool calls and JSON, from code (between back quotes, or an index: {@code
 * a[1] = 2}), and from the list of references at the end (the last lines, as far as each begins
 * with a mark).
 */
final class CitationMarks {
  private static final JsonFactory JSON = new JsonFactory();

  /** Bounded, so that an open bracket costs no reading to the end of the response. */
  private static final Pattern MARK = Pattern.compile("\\[([^\\[\\]\\n`]{1,256})\\]");

  private static final Pattern CODE =
      Pattern.compile("(?s)```.*?(?:```|\\z)|~~~.*?(?:~~~|\\z)|`[^`\\n]{1,1000}`");

  /** A line of a list of references. */
  private static final Pattern REFERENCE =
      Pattern.compile("(?s)\\s*(?:[-*]\\s+)?\\[[^\\[\\]\\n]{1,256}\\].*");

  private static final Pattern LINK = Pattern.compile("\\((?:https?:|#|/)");

  private static final Pattern LIST_MARKER = Pattern.compile("\\s*(?:[-\u2022]|\\d{1,3}[.)])");

  private static final Pattern SEPARATOR = Pattern.compile("\\s*[,;]\\s*");

  private CitationMarks() {}

  /**
   * The citations, in order of the response; each touches the statement that its mark speaks of.
   */
  static List<Citation> in(Conversation conversation) {
    String response = conversation.response();
    if (response.indexOf('[') < 0
        || TaskReader.TOOL_CALL_REASONS.contains(conversation.finishReason())) {
      return List.of();
    }
    Map<String, String> segments = segments(conversation);
    if (segments.isEmpty() || isJson(response)) {
      return List.of();
    }
    String text = withoutCode(response.substring(0, beforeReferences(response)));
    List<Citation> citations = new ArrayList<>();
    Subjects subjects = new Subjects(response);
    Matcher matcher = MARK.matcher(text);
    while (matcher.find()) {
      if (isIndex(text, matcher.start(), matcher.end())) {
        continue;
      }
      List<String> cited = cited(matcher.group(1), segments);
      if (!cited.isEmpty()) {
        Span subject = subjects.of(new Span(matcher.start(), matcher.end()));
        cited.forEach(segment -> citations.add(new Citation(segment, subject)));
      }
    }
    return citations;
  }

  /** What marks speak of; they are asked about in their order, which takes one pass. */
  private static final class Subjects {
    private final String text;
    private int lineEnd = -1;
    private boolean follows;
    private int markEnd;
    private Optional<Span> before = Optional.empty();

    Subjects(String text) {
      this.text = text;
    }

    Span of(Span mark) {
      if (mark.start() > lineEnd) {
        int start = text.lastIndexOf('\n', mark.start()) + 1;
        int end = text.indexOf('\n', mark.end());
        lineEnd = end < 0 ? text.length() : end;
        follows = beginsLine(start, mark.start()) && goesOn(mark.end(), lineEnd);
      }
      Span subject = follows ? mark : behind(mark);
      before = Optional.of(subject);
      markEnd = mark.end();
      return subject;
    }

    private boolean beginsLine(int start, int mark) {
      int end = begin(start, mark, Subjects::isAround);
      return end == start || LIST_MARKER.matcher(text.substring(start, end)).matches();
    }

    private boolean goesOn(int from, int to) {
      return MARK.matcher(text.substring(from, to))
          .replaceAll("")
          .chars()
          .anyMatch(Character::isLetterOrDigit);
    }

    /** The last character of what stands before a mark, or what the mark beside it speaks of. */
    private Span behind(Span mark) {
      boolean besideAMark =
          before.isPresent()
              && begin(markEnd, mark.start(), c -> isAround(c) || isBetween(c)) == markEnd;
      int begin = besideAMark ? markEnd : begin(markEnd, mark.start(), Subjects::isAround);
      if (Partitioner.isParagraphBreak(text, begin, mark.start())) {
        return mark;
      }
      return begin > markEnd ? new Span(begin - 1, begin) : before.orElse(mark);
    }

    /**
     * Where the run of some characters begins that ends at {@code to}, at {@code least} or later.
     */
    private int begin(int least, int to, IntPredicate some) {
      int begin = to;
      while (begin > least && some.test(text.charAt(begin - 1))) {
        begin--;
      }
      return begin;
    }

    /** What stands between two marks of one statement: "It rains. ([1], [2])". */
    private static boolean isBetween(int c) {
      return c == ',' || c == ';' || c == ')' || c == ']' || c == '-' || c == '\u2013';
    }

    /** White space, and what a mark may be put in: "It rains. ([1])", "It rains. **[1]**". */
    private static boolean isAround(int c) {
      return WhiteSpace.isWhite((char) c) || c == '(' || c == '*' || c == '_';
    }
  }

  /** The segments that a mark names, or none if it names anything else. */
  private static List<String> cited(String mark, Map<String, String> segments) {
    String whole = segments.get(mark.strip());
    if (whole != null) {
      return List.of(whole); // a title may have commas
    }
    List<String> cited = new ArrayList<>();
    for (String name : SEPARATOR.split(mark.strip(), -1)) {
      String segment = segments.get(name);
      if (segment == null) {
        return List.of();
      }
      cited.add(segment);
    }
    return cited;
  }

  /** Ids of the documents by what a mark may call them. */
  private static Map<String, String> segments(Conversation conversation) {
    List<Part> documents =
        conversation
            .parts()
            .filter(
                part -> part.kind() == PartKind.RETRIEVED || part.kind() == PartKind.TOOL_OUTPUT)
            .toList();
    Map<String, Optional<String>> titled = new HashMap<>();
    for (Part document : documents) {
      String title = document.title().strip();
      if (!title.isEmpty()) {
        titled.merge(title, Optional.of(document.id()), (one, other) -> Optional.empty());
      }
    }
    Map<String, String> segments = new HashMap<>();
    titled.forEach((title, id) -> id.ifPresent(only -> segments.put(title, only)));
    for (int i = 0; i < documents.size(); i++) {
      segments.put(String.valueOf(i + 1), documents.get(i).id());
    }
    documents.forEach(document -> segments.put(document.id(), document.id()));
    return segments;
  }

  private static boolean isJson(String response) {
    String text = response.strip();
    if (!text.startsWith("{") && !text.startsWith("[")) {
      return false;
    }
    try (JsonParser parser = JSON.createParser(text)) {
      while (parser.nextToken() != null) {
        parser.skipChildren();
      }
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  /** The response with blocks and words of code as spaces, so that positions stay. */
  private static String withoutCode(String response) {
    char[] text = response.toCharArray();
    Matcher matcher = CODE.matcher(response);
    while (matcher.find()) {
      Arrays.fill(text, matcher.start(), matcher.end(), ' ');
    }
    return new String(text);
  }

  /** Whether a bracket after a name goes on as an expression does: "a[1] = 2", "a[1].b". */
  private static boolean isIndex(String text, int start, int end) {
    if (start == 0 || !Character.isJavaIdentifierPart(text.charAt(start - 1))) {
      return false;
    }
    String after = text.substring(end, Math.min(end + 3, text.length()));
    return (after.startsWith("(") && !LINK.matcher(text).region(end, text.length()).lookingAt())
        || after.matches("(?s)\\.[A-Za-z_].?")
        || after.stripLeading().matches("(?s)[=+].*|\\*(?:[^*].*)?");
  }

  /** Where the list of references at the end begins, if there is text before it. */
  private static int beforeReferences(String response) {
    int cut = response.length();
    int end = response.length();
    while (end >= 0) {
      int start = response.lastIndexOf('\n', end - 1) + 1;
      String line = response.substring(start, end);
      if (!line.isBlank()) {
        if (!REFERENCE.matcher(line).matches()) {
          return cut;
        }
        cut = start;
      }
      end = start - 1;
    }
    return response.length();
  }
}
