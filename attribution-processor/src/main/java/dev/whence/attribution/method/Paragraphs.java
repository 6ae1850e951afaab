package dev.whence.attribution.method;

import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** The sources of a task by the paragraph that they stand in. */
final class Paragraphs {
  private final ScoringTask task;
  private final List<List<Integer>> sources;

  private Paragraphs(ScoringTask task, List<List<Integer>> sources) {
    this.task = task;
    this.sources = sources;
  }

  static Paragraphs of(ScoringTask task) {
    List<List<Integer>> paragraphs = new ArrayList<>();
    int last = -1;
    for (int i = 0; i < task.sources().size(); i++) {
      int paragraph = task.sources().get(i).paragraph();
      if (paragraph != last) {
        paragraphs.add(new ArrayList<>());
        last = paragraph;
      }
      paragraphs.get(paragraphs.size() - 1).add(i);
    }
    return new Paragraphs(task, paragraphs);
  }

  int count() {
    return sources.size();
  }

  /** Indices of the sources of a paragraph, in order. */
  List<Integer> sources(int paragraph) {
    return sources.get(paragraph);
  }

  /** What is deleted to remove a paragraph. */
  List<Span> spans(int paragraph) {
    return sources.get(paragraph).stream()
        .map(i -> task.sources().get(i).rendered())
        .filter(span -> !span.isEmpty())
        .toList();
  }

  /** What each paragraph's reading leaves out. */
  List<List<Span>> cuts() {
    return IntStream.range(0, count()).mapToObj(this::spans).toList();
  }

  int tokens(int paragraph) {
    return spans(paragraph).stream().mapToInt(task.prompt()::tokensIn).sum();
  }

  /**
   * The paragraphs with the largest total tau; of equal ones the first.
   *
   * @param taus by paragraph and statement
   */
  boolean[] top(List<double[]> taus, int keep) {
    return first(keep, Comparator.comparingDouble(p -> -Arrays.stream(taus.get(p)).sum()));
  }

  /** Those whose sources cost most to score one by one; a single source is scored already. */
  boolean[] dearest(int keep) {
    return first(keep, Comparator.comparingLong(p -> -weight(p)));
  }

  private long weight(int paragraph) {
    int size = sources.get(paragraph).size();
    return size == 1 ? 0 : (long) size * tokens(paragraph);
  }

  private boolean[] first(int keep, Comparator<Integer> order) {
    boolean[] kept = new boolean[count()];
    IntStream.range(0, kept.length).boxed().sorted(order).limit(keep).forEach(p -> kept[p] = true);
    return kept;
  }
}
