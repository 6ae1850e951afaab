package dev.whence.attribution.method;

import dev.whence.attribution.method.ContextScores.SourceTau;
import dev.whence.conversation.Span;
import java.util.ArrayList;
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

  /**
   * Whether all text is one paragraph's, of several sources: it is the one that would be looked
   * into, whatever its score, and of the prompt there may be nothing left without it.
   */
  boolean isSingle() {
    List<List<Span>> written = cuts().stream().filter(spans -> !spans.isEmpty()).toList();
    return written.size() == 1 && written.get(0).size() > 1;
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

  private boolean isRendered(int source) {
    return !task.sources().get(source).rendered().isEmpty();
  }

  /** What each paragraph's reading leaves out. */
  List<List<Span>> cuts() {
    return IntStream.range(0, count()).mapToObj(this::spans).toList();
  }

  int tokens(int paragraph) {
    return spans(paragraph).stream().mapToInt(task.prompt()::tokensIn).sum();
  }

  /**
   * Gives each source what is known of it once its paragraph is scored: in a paragraph of one
   * source the paragraph's score, in one that is not among the K largest an equal share of it.
   * Sources of which the prompt has nothing, since its template left them out, have no part in
   * that: their score is 0.
   *
   * @param whole scores of the paragraphs, in order
   * @param keep K
   * @param spread method of a score that is a share
   * @param taus is written to, by source
   */
  Open divide(List<SourceTau> whole, int keep, String spread, SourceTau[] taus) {
    List<Integer> kept = SourceTau.top(whole, keep);
    List<Integer> sources = new ArrayList<>();
    List<Span> others = new ArrayList<>();
    for (int p = 0; p < count(); p++) {
      SourceTau nothing = whole.get(p).nothing();
      sources(p).forEach(source -> taus[source] = nothing);
      List<Integer> members = sources(p).stream().filter(this::isRendered).toList();
      if (members.size() == 1) {
        taus[members.get(0)] = whole.get(p);
      } else if (kept.contains(p)) {
        sources.addAll(members);
      } else {
        SourceTau share = whole.get(p).share(members.size(), spread);
        members.forEach(source -> taus[source] = share);
      }
      if (!kept.contains(p)) {
        others.addAll(spans(p));
      }
    }
    return new Open(sources, others);
  }

  /**
   * What is left to be scored.
   *
   * @param sources indices of those whose paragraph was kept
   * @param others spans of the paragraphs that were not
   */
  record Open(List<Integer> sources, List<Span> others) {
    List<List<Span>> cuts(ScoringTask task) {
      List<List<Span>> cuts = TrunkReadings.cuts(task);
      return sources.stream().map(cuts::get).toList();
    }

    /** Writes their scores. */
    void fill(SourceTau[] taus, List<SourceTau> scored) {
      for (int i = 0; i < scored.size(); i++) {
        taus[sources.get(i)] = scored.get(i);
      }
    }
  }

  /** What {@link #divide} would leave open at most: the K whose sources cost most one by one. */
  Open dearest(int keep) {
    List<Integer> kept =
        IntStream.range(0, count())
            .boxed()
            .sorted(Comparator.comparingLong(p -> -weight(p)))
            .limit(keep)
            .toList();
    List<Integer> open = new ArrayList<>();
    List<Span> others = new ArrayList<>();
    for (int p = 0; p < count(); p++) {
      if (!kept.contains(p)) {
        others.addAll(spans(p));
      } else if (sources(p).size() > 1) {
        open.addAll(sources(p));
      }
    }
    return new Open(open, others);
  }

  /** A single source is scored with its paragraph. */
  private long weight(int paragraph) {
    int size = sources.get(paragraph).size();
    return size == 1 ? 0 : (long) size * tokens(paragraph);
  }
}
