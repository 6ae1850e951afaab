package dev.whence.engine.text;

import dev.whence.conversation.Message;
import dev.whence.conversation.Part;
import dev.whence.conversation.Span;
import dev.whence.engine.text.jinja.Strings;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Finds each part's text in a rendered prompt.
 *
 * <p>The contents of messages are placed first. If the skeleton (the rendering with a marker for
 * each content), with the contents put in place of the markers, whole or trimmed or without a
 * thought, as they stand or as a JSON string has them, yields exactly the rendered text, that is
 * where they are, whatever order the template chose; and a content whose marker is nowhere is one
 * that the template leaves out. A template may also write other things depending on contents; then
 * they are searched for in order, and taken if there is only one way to place them all.
 */
final class SegmentFinder {
  /** A segment that is not in the text as it stands, or in more than one place. */
  static final class NotFound extends Exception {
    private static final long serialVersionUID = 1L;

    NotFound(String message) {
      super(message);
    }
  }

  /** [kept.start, kept.end) of a content as a template may write it. */
  private record Writing(Span kept, String text, boolean json) {
    static final Writing NOTHING = new Writing(new Span(0, 0), "", false);
  }

  /** Where a content stands, at a position of the text. */
  private record Place(Writing writing, int at) {
    static final Place NOWHERE = new Place(Writing.NOTHING, 0);
  }

  private SegmentFinder() {}

  /** The parts with text, in the order of the rendered text. */
  static List<RenderedPrompt.Segment> find(
      List<Message> messages, String text, Optional<String> skeleton, List<String> markers)
      throws NotFound {
    Optional<Place[]> bySkeleton =
        skeleton.flatMap(found -> bySkeleton(messages, text, found, markers));
    Place[] places = bySkeleton.isPresent() ? bySkeleton.get() : bySearch(messages, text);
    List<RenderedPrompt.Segment> segments = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      place(messages.get(i), i, places[i], segments);
    }
    // A template may move a message: Mistral's writes the system message into the last user turn.
    segments.sort(Comparator.comparingInt(segment -> segment.rendered().start()));
    return segments;
  }

  /** The parts of a message that stands there. */
  private static void place(
      Message message, int index, Place place, List<RenderedPrompt.Segment> segments) {
    Span kept = place.writing().kept();
    int at = place.at();
    int start = 0;
    for (Part part : message.parts()) {
      int end = start + part.text().length();
      if (!part.text().isEmpty()) {
        int from = Math.min(Math.max(start, kept.start()), kept.end());
        int to = Math.min(Math.max(end, kept.start()), kept.end());
        Span inPart = new Span(clamp(from - start, part), clamp(to - start, part));
        StringBuilder written = new StringBuilder(inPart.in(part.text()));
        Escapes escapes = Escapes.NONE;
        if (place.writing().json()) {
          written.setLength(0);
          escapes = Escapes.write(inPart.in(part.text()), written);
        }
        Span rendered = new Span(at, at + written.length());
        segments.add(new RenderedPrompt.Segment(part, index, inPart, rendered, escapes));
        at = rendered.end();
      }
      start = end;
    }
  }

  /** A part that was trimmed away altogether keeps an empty range at its nearer end. */
  private static int clamp(int position, Part part) {
    return Math.min(Math.max(position, 0), part.text().length());
  }

  private static Optional<Place[]> bySkeleton(
      List<Message> messages, String text, String skeleton, List<String> markers) {
    Place[] places = new Place[messages.size()];
    Arrays.fill(places, Place.NOWHERE);
    int[] at = new int[messages.size()];
    List<Integer> order = inOrder(markers, skeleton, at);
    if (order == null) {
      return Optional.empty();
    }
    int inText = 0;
    int inSkeleton = 0;
    for (int rank = 0; rank < order.size(); rank++) {
      int i = order.get(rank);
      String before = skeleton.substring(inSkeleton, at[i]);
      if (!text.startsWith(before, inText)) {
        return Optional.empty();
      }
      inText += before.length();
      inSkeleton = at[i] + markers.get(i).length();
      int next = rank + 1 < order.size() ? at[order.get(rank + 1)] : skeleton.length();
      String after = skeleton.substring(inSkeleton, next);
      boolean last = rank + 1 == order.size();
      Place place = null;
      for (Writing writing : writings(messages.get(i).content())) {
        int end = inText + writing.text().length();
        if (text.startsWith(writing.text(), inText)
            && text.startsWith(after, end)
            && (!last || end + after.length() == text.length())) {
          place = new Place(writing, inText);
          inText = end;
          break;
        }
      }
      if (place == null) {
        return Optional.empty();
      }
      places[i] = place;
    }
    if (order.isEmpty() && !text.equals(skeleton)) {
      return Optional.empty();
    }
    placeOmitted(order, places);
    return Optional.of(places);
  }

  /** What the template writes nowhere stands, empty, where the message before it ends. */
  private static void placeOmitted(List<Integer> written, Place[] places) {
    Set<Integer> known = new HashSet<>(written);
    int end = 0;
    for (int i = 0; i < places.length; i++) {
      if (known.contains(i)) {
        end = places[i].at() + places[i].writing().text().length();
      } else {
        places[i] = new Place(Writing.NOTHING, end);
      }
    }
  }

  /**
   * The messages whose markers stand in the skeleton, in its order; null if one stands there twice.
   * The skeleton is read once, since a record may hold a hundred thousand messages.
   *
   * @param at receives the position of each marker
   */
  private static @Nullable List<Integer> inOrder(List<String> markers, String skeleton, int[] at) {
    Map<String, Integer> messageOf = new HashMap<>();
    Set<Integer> lengths = new TreeSet<>();
    String common = null;
    for (int i = 0; i < markers.size(); i++) {
      String marker = markers.get(i);
      if (!marker.isEmpty()) {
        messageOf.put(marker, i);
        lengths.add(marker.length());
        common = common == null ? marker : commonPrefix(common, marker);
      }
    }
    List<Integer> order = new ArrayList<>();
    if (common == null) {
      return order;
    }
    boolean[] seen = new boolean[at.length];
    for (int from = skeleton.indexOf(common);
        from >= 0;
        from = skeleton.indexOf(common, from + 1)) {
      for (int length : lengths) {
        Integer i =
            from + length > skeleton.length()
                ? null
                : messageOf.get(skeleton.substring(from, from + length));
        if (i != null) {
          if (seen[i]) {
            return null;
          }
          seen[i] = true;
          at[i] = from;
          order.add(i);
        }
      }
    }
    return order;
  }

  private static String commonPrefix(String one, String other) {
    int length = 0;
    while (length < Math.min(one.length(), other.length())
        && one.charAt(length) == other.charAt(length)) {
      length++;
    }
    return one.substring(0, length);
  }

  private static Place[] bySearch(List<Message> messages, String text) throws NotFound {
    int n = messages.size();
    Search search = new Search(text);
    Place[] first = new Place[n];
    Arrays.fill(first, Place.NOWHERE);
    Place[] last = first.clone();
    int from = 0;
    for (int i : IntStream.range(0, n).toArray()) {
      Writing writing =
          messages.get(i).content().isEmpty()
              ? Writing.NOTHING
              : writtenAnywhere(messages.get(i), search, from);
      int at = search.first(writing.text(), from);
      first[i] = new Place(writing, at);
      from = at + writing.text().length();
    }
    int to = text.length();
    for (int i = n - 1; i >= 0; i--) {
      if (messages.get(i).content().isEmpty()) {
        last[i] = first[i];
        continue;
      }
      int at = search.last(first[i].writing().text(), to);
      last[i] = new Place(first[i].writing(), at);
      to = at;
      if (at != first[i].at()) {
        throw new NotFound(
            "leaves open where segment '"
                + firstId(messages.get(i))
                + "' stands: its text is in the prompt more than once, and the template writes"
                + " other text depending on it");
      }
    }
    return first;
  }

  private static Writing writtenAnywhere(Message message, Search search, int from) throws NotFound {
    for (Writing writing : writings(message.content())) {
      if (search.first(writing.text(), from) >= 0) {
        return writing;
      }
    }
    throw new NotFound(
        "does not keep segment '" + firstId(message) + "' as it stands, or moves or drops it");
  }

  private static String firstId(Message message) {
    return message.parts().stream()
        .filter(part -> !part.text().isBlank())
        .findFirst()
        .or(() -> message.parts().stream().findFirst())
        .map(Part::id)
        .orElse("");
  }

  /**
   * Looks for contents in a text. Together the searches of a prompt may read so many characters for
   * each of its own.
   */
  private static final class Search {
    private static final long READINGS = 256;

    private final String text;
    private long left;

    Search(String text) {
      this.text = text;
      this.left = READINGS * (text.length() + 1024L);
    }

    /** First position at or after {@code from}, or -1. */
    int first(String wanted, int from) throws NotFound {
      return find(wanted, from, text.length(), false);
    }

    /** Last position of which the end is at or before {@code to}, or -1. */
    int last(String wanted, int to) throws NotFound {
      return find(wanted, 0, to, true);
    }

    private int find(String wanted, int from, int to, boolean backwards) throws NotFound {
      if (wanted.length() > to - from) {
        return -1;
      }
      spend(wanted.length());
      int at = Strings.find(text, wanted, from, to, backwards);
      spend(at < 0 ? to - from : backwards ? to - at : at + wanted.length() - from);
      return at;
    }

    private void spend(int characters) throws NotFound {
      left -= characters;
      if (left < 0) {
        throw new NotFound(
            "writes other text depending on the contents of so many messages that finding them"
                + " would take too long");
      }
    }
  }

  /** As it stands, then as a JSON string has it where that differs; one by one as they are read. */
  private static Iterable<Writing> writings(String content) {
    return () ->
        Stream.of(false, true)
            .flatMap(json -> kept(content).stream().map(kept -> writing(content, kept, json)))
            .filter(writing -> !writing.json() || writing.text().length() > writing.kept().length())
            .iterator();
  }

  private static Writing writing(String content, Span kept, boolean json) {
    String text = kept.in(content);
    if (json) {
      StringBuilder out = new StringBuilder();
      Escapes.write(text, out);
      text = out.toString();
    }
    return new Writing(kept, text, json);
  }

  /** All of it, or what stands behind a thought, trimmed or not. */
  private static Set<Span> kept(String content) {
    Set<Span> kept = new LinkedHashSet<>();
    trimmed(content, 0, kept);
    int thought = content.lastIndexOf(ChatTemplate.CLOSES_REASONING);
    if (thought >= 0) {
      int answer = thought + ChatTemplate.CLOSES_REASONING.length();
      trimmed(content, answer, kept);
      while (content.startsWith("\n", answer)) {
        answer++;
      }
      kept.add(new Span(answer, content.length()));
    }
    return kept;
  }

  /** From a position on: whole, trimmed on both sides, on the left only, on the right only. */
  private static void trimmed(String content, int from, Set<Span> kept) {
    String text = content.substring(from);
    int n = content.length();
    int left = n - Strings.strip(text, true, false).length();
    int right = from + Strings.strip(text, false, true).length();
    kept.add(new Span(from, n));
    if (right == from) {
      kept.add(new Span(from, from));
    } else {
      kept.add(new Span(left, right));
      kept.add(new Span(left, n));
      kept.add(new Span(from, right));
    }
  }
}
