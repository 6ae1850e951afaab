package dev.whence.attribution;

import dev.whence.attribution.method.ScoringTask;
import dev.whence.attribution.source.Bm25;
import dev.whence.attribution.source.PromptReading;
import dev.whence.attribution.source.Source;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.PartKind;
import dev.whence.conversation.Span;
import dev.whence.engine.text.RenderedPrompt.Segment;
import java.util.Collection;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;

/**
 * The model's window, and what is left out of a prompt that is past it ({@link
 * OverWindow#DROP_SOURCES}).
 *
 * @param tokens the most that prompt and response may have together
 */
record ContextWindow(int tokens) {
  /**
   * A prompt from which sources were left out.
   *
   * @param task what is left of it
   * @param leftOut the others, in order of the prompt
   * @param sizes one sentence that says how many they are, and why
   */
  record Fitted(ScoringTask task, List<SourcePlace> leftOut, String sizes) {
    Fitted {
      leftOut = List.copyOf(leftOut);
    }
  }

  boolean holds(int promptTokens, int responseTokens) {
    return (long) promptTokens + responseTokens <= tokens;
  }

  NotScorableException tooLong(int promptTokens, int responseTokens) {
    return new NotScorableException(
        Refusal.PROMPT_TOO_LONG, sizes(promptTokens, responseTokens) + ".");
  }

  private String sizes(int promptTokens, int responseTokens) {
    return String.format(
        Locale.ROOT,
        "The prompt of %d tokens and the response of %d do not fit into the model's window of %d"
            + " tokens",
        promptTokens,
        responseTokens,
        tokens);
  }

  /**
   * Leaves sources out of a prompt until the rest fits.
   *
   * @param task of the whole prompt
   * @param reading that its sources come from
   * @throws NotScorableException if the rest does not fit either
   */
  Fitted fit(ScoringTask task, PromptReading reading, Conversation conversation)
      throws NotScorableException {
    List<Integer> order = leastRelevantFirst(task, reading, conversation);
    Set<Integer> leftOut = new TreeSet<>();
    ScoringTask rest = task;
    int next = 0;
    int rounds = 0;
    while (!holds(rest.prompt().length(), rest.response().length())) {
      if (next == order.size()) {
        throw new NotScorableException(
            Refusal.PROMPT_TOO_LONG,
            String.format(
                Locale.ROOT,
                "%s, not even without the %d of its %d sources that may be left out.",
                sizes(task.prompt().length(), task.response().length()),
                leftOut.size(),
                task.sources().size()));
      }
      // How many tokens a removal frees is an estimate: what is left is tokenised anew. Where the
      // estimate is too good, each round takes twice as much: no more rounds than bits.
      long missing = (long) (rest.length() - tokens) << rounds++;
      for (long freed = 0; next < order.size() && freed < missing; next++) {
        int source = order.get(next);
        leftOut.add(source);
        freed += task.prompt().tokensIn(task.sources().get(source).rendered());
      }
      rest = task.without(leftOut);
    }
    if (rest.prompt().length() == 0) {
      throw new NotScorableException(
          Refusal.PROMPT_TOO_LONG,
          sizes(task.prompt().length(), task.response().length())
              + ", and without its sources nothing is left of the prompt.");
    }
    String sizes =
        String.format(
            Locale.ROOT,
            "%s: %d of %d sources were left out.",
            sizes(task.prompt().length(), task.response().length()),
            leftOut.size(),
            task.sources().size());
    return new Fitted(rest, places(task, leftOut), sizes);
  }

  /** The same for sources that somebody else has left out. */
  static ScoringTask without(ScoringTask task, Collection<SourcePlace> places) {
    Set<SourcePlace> gone = Set.copyOf(places);
    Set<Integer> leftOut = new TreeSet<>();
    for (int i = 0; i < task.sources().size(); i++) {
      if (gone.contains(SourcePlace.of(task.sources().get(i)))) {
        leftOut.add(i);
      }
    }
    return leftOut.isEmpty() ? task : task.without(leftOut);
  }

  private static List<SourcePlace> places(ScoringTask task, Set<Integer> sources) {
    return sources.stream().map(i -> SourcePlace.of(task.sources().get(i))).toList();
  }

  private static List<Integer> leastRelevantFirst(
      ScoringTask task, PromptReading reading, Conversation conversation) {
    List<Source> sources = task.sources();
    double[] scores =
        Bm25.scores(
            sources.stream().map(Source::text).toList(),
            question(reading) + " " + conversation.reasoning() + " " + conversation.response());
    return IntStream.range(0, sources.size())
        .filter(i -> !reading.asked().contains(i) && !sources.get(i).rendered().isEmpty())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> scores[i]))
        .toList();
  }

  /** The question parts without what is context in them. */
  private static String question(PromptReading reading) {
    StringBuilder question = new StringBuilder();
    String prompt = reading.prompt().text();
    Iterator<Source> sources = reading.sources().iterator();
    Span next = next(sources);
    for (Segment segment : reading.prompt().segments()) {
      int at = segment.rendered().start();
      int end = segment.rendered().end();
      boolean asks = segment.part().kind() == PartKind.QUESTION;
      while (next.start() < end) {
        if (asks) {
          question.append(prompt, at, Math.max(at, next.start())).append(' ');
        }
        at = Math.max(at, next.end());
        next = next(sources);
      }
      if (asks) {
        question.append(prompt, Math.min(at, end), end).append(' ');
      }
    }
    return question.toString();
  }

  private static Span next(Iterator<Source> sources) {
    return sources.hasNext()
        ? sources.next().rendered()
        : new Span(Integer.MAX_VALUE, Integer.MAX_VALUE);
  }
}
