package dev.whence.attribution.method;

import dev.whence.attribution.source.Source;
import dev.whence.attribution.source.WhiteSpace;
import dev.whence.attribution.tokens.TokenizedPrompt;
import dev.whence.attribution.tokens.TokenizedResponse;
import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * What a method is given: C, r, the sources s_i, and what "no attributable context" means.
 *
 * @param prompt C, as text and tokens
 * @param response r, as tokens and statements; at least one token
 * @param sources in order of the prompt, disjoint
 * @param context what is deleted for L(no attributable context); sorted, disjoint
 * @param duplicates groups of sources that say nearly the same, see {@link
 *     dev.whence.attribution.source.Duplicates}
 * @param prior what somebody else says of the sources, for methods that start from it
 */
public record ScoringTask(
    TokenizedPrompt prompt,
    TokenizedResponse response,
    List<Source> sources,
    List<Span> context,
    List<List<Integer>> duplicates,
    Optional<Prior> prior) {
  public ScoringTask {
    sources = List.copyOf(sources);
    context = List.copyOf(context);
    duplicates = List.copyOf(duplicates);
    if (response.length() == 0) {
      throw new IllegalArgumentException("the response has no token to score");
    }
  }

  public ScoringTask(
      TokenizedPrompt prompt,
      TokenizedResponse response,
      List<Source> sources,
      List<Span> context,
      List<List<Integer>> duplicates) {
    this(prompt, response, sources, context, duplicates, Optional.empty());
  }

  public ScoringTask withPrior(Prior scores) {
    return new ScoringTask(prompt, response, sources, context, duplicates, Optional.of(scores));
  }

  /** For scores of single sources only. */
  public ScoringTask withoutDuplicates() {
    return withDuplicates(List.of());
  }

  public ScoringTask withDuplicates(List<List<Integer>> groups) {
    return new ScoringTask(prompt, response, sources, context, groups, prior);
  }

  /** For scores of the response only: the reasoning in the prompt is conditioned on, no more. */
  public ScoringTask withoutReasoning() {
    return new ScoringTask(
        prompt.withoutReasoning(), response, sources, context, duplicates, prior);
  }

  Prior requirePrior() {
    return prior.orElseThrow(
        () -> new IllegalStateException("the method needs a proxy, the task was read without one"));
  }

  /**
   * The first token whose log-probability is wanted: that of the reasoning in the prompt, else of
   * the response.
   */
  int scoredFrom() {
    return prompt.scoredFrom();
  }

  /** How many tokens' log-probabilities are wanted. */
  public int scored() {
    return length() - scoredFrom();
  }

  /** Prompt and response, the trunk's length T. */
  public int length() {
    return prompt.length() + response.length();
  }

  /**
   * For each token of prompt and response the index of the source that its first visible character
   * stands in (or its first one, where none is visible); the number of sources where that is none.
   */
  int[] sourceOfToken() {
    int[] sourceOf = new int[length()];
    Arrays.fill(sourceOf, sources.size());
    Encoding encoding = prompt.encoding();
    int next = 0;
    for (int t = 0; t < encoding.length(); t++) {
      int end = encoding.ends()[t];
      int visible = WhiteSpace.firstVisible(prompt.text(), encoding.starts()[t], end);
      int at = visible < end ? visible : encoding.starts()[t];
      while (next < sources.size() && sources.get(next).rendered().end() <= at) {
        next++;
      }
      if (next < sources.size() && sources.get(next).rendered().start() <= at) {
        sourceOf[t] = next;
      }
    }
    return sourceOf;
  }

  /** Tokens of prompt and response in one array. */
  int[] tokens() {
    return concatenate(prompt.encoding().ids(), response.ids());
  }

  /**
   * The task with a prompt from which some sources are left out for good: C, and what "no
   * attributable context" means, are those of the shorter prompt. Its near-duplicates are not
   * known.
   *
   * @param leftOut their indices
   */
  public ScoringTask without(Set<Integer> leftOut) {
    List<Span> removed = new ArrayList<>();
    List<Integer> kept = new ArrayList<>();
    for (int i = 0; i < sources.size(); i++) {
      if (!leftOut.contains(i)) {
        kept.add(i);
      } else if (!sources.get(i).rendered().isEmpty()) {
        removed.add(sources.get(i).rendered());
      }
    }
    ScoringTask shorter = pruned(removed, kept);
    List<Span> left = new ArrayList<>();
    int next = 0;
    int gone = 0;
    for (Span span : context) { // a source lies inside one of these
      int start = span.start() - gone;
      while (next < removed.size() && removed.get(next).start() < span.end()) {
        gone += removed.get(next++).length();
      }
      if (span.end() - gone > start) {
        left.add(new Span(start, span.end() - gone));
      }
    }
    return new ScoringTask(shorter.prompt, response, shorter.sources, left, List.of());
  }

  /**
   * The task with a shorter prompt and fewer sources. What "no attributable context" means is not
   * known of it.
   *
   * @param removed spans of the prompt that are gone; sorted, disjoint
   * @param kept indices of sources outside of them, in order
   */
  ScoringTask pruned(List<Span> removed, List<Integer> kept) {
    List<Source> left = new ArrayList<>();
    int gone = 0;
    int next = 0;
    for (int index : kept) {
      Source source = sources.get(index);
      while (next < removed.size() && removed.get(next).end() <= source.rendered().start()) {
        gone += removed.get(next++).length();
      }
      left.add(source.withRendered(source.rendered().shift(-gone)));
    }
    return new ScoringTask(prompt.pruned(removed), response, left, List.of(), List.of());
  }

  private static int[] concatenate(int[] first, int[] second) {
    int[] all = new int[first.length + second.length];
    System.arraycopy(first, 0, all, 0, first.length);
    System.arraycopy(second, 0, all, first.length, second.length);
    return all;
  }
}
