package dev.whence.attribution.source;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Sources that say nearly the same, as overlapping retrieval brings them. Leaving out one of them
 * changes little, since the others make up for it: what they are worth shows when all are left out.
 *
 * <p>Two sources are near-duplicates if the sets of their runs of three words have a Jaccard
 * similarity of at least 0.8 (Broder, 1997); shorter ones if their words are the same. Case and
 * punctuation do not count; {@link Words} says what a word is where there are no spaces. Groups are
 * the connected sets of such pairs, of any size.
 *
 * <p>Sources with equal sets are one to begin with, so a sentence that stands in a thousand chunks
 * costs no comparisons. Of the others, those are compared that share a run among the rarest of
 * each: sets so similar must share one of the first n - ceil(0.8 n) + 1 in any fixed order (the
 * prefix filter of Chaudhuri, Ganti and Kaushik, 2006). Comparisons are bounded all the same; where
 * the bound ends them, {@link Groups#complete} is false, and a group may be missing or be too
 * small.
 */
public final class Duplicates {
  private static final int RUN = 3;
  private static final double SIMILAR = 0.8;

  /** Look-ups that comparing may take, about a second: thousands of sources all alike. */
  private static final long MOST_LOOKUPS = 50_000_000;

  /**
   * What was found.
   *
   * @param groups of two and more sources, by their indices in order; the longest texts first
   * @param complete whether all candidates were compared
   * @param cut whether there are more groups than were asked for
   */
  public record Groups(List<List<Integer>> groups, boolean complete, boolean cut) {
    public Groups {
      groups = groups.stream().map(List::copyOf).toList();
    }
  }

  private final List<Source> sources;
  private final long mostLookups;

  /** The group that each source is in, as a forest. */
  private final int[] parent;

  private long lookups;

  private Duplicates(List<Source> sources, long mostLookups) {
    this.sources = sources;
    this.mostLookups = mostLookups;
    this.parent = new int[sources.size()];
    for (int i = 0; i < parent.length; i++) {
      parent[i] = i;
    }
  }

  /**
   * Finds the groups.
   *
   * @param most groups that are returned
   */
  public static Groups groups(List<Source> sources, int most) {
    return groups(sources, most, MOST_LOOKUPS);
  }

  static Groups groups(List<Source> sources, int most, long mostLookups) {
    Duplicates duplicates = new Duplicates(sources, mostLookups);
    boolean complete = duplicates.join();
    List<List<Integer>> all = duplicates.joined();
    return new Groups(all.stream().limit(most).toList(), complete, all.size() > most);
  }

  /** Joins what is similar; false if that took too long. */
  private boolean join() {
    Map<Set<String>, Integer> first = new HashMap<>();
    Map<String, Integer> frequency = new HashMap<>();
    List<Set<String>> runs = new ArrayList<>();
    List<Integer> distinct = new ArrayList<>();
    for (int i = 0; i < sources.size(); i++) {
      Set<String> own = runs(sources.get(i).text());
      runs.add(own);
      Integer same = own.isEmpty() ? null : first.putIfAbsent(own, i);
      if (same != null) {
        parent[i] = same;
      } else if (!own.isEmpty()) {
        distinct.add(i);
        own.forEach(run -> frequency.merge(run, 1, Integer::sum));
      }
    }
    Comparator<String> rarestFirst =
        Comparator.<String>comparingInt(run -> frequency.getOrDefault(run, 0))
            .thenComparing(Comparator.naturalOrder());
    Map<String, List<Integer>> having = new HashMap<>();
    for (int i : distinct) {
      Set<String> own = runs.get(i);
      Set<Integer> compared = new HashSet<>();
      for (String run : own.stream().sorted(rarestFirst).limit(prefix(own.size())).toList()) {
        List<Integer> others = having.computeIfAbsent(run, key -> new ArrayList<>());
        for (int other : others) {
          lookups++;
          if (root(i) != root(other) && compared.add(other) && areSimilar(own, runs.get(other))) {
            parent[root(i)] = root(other);
          }
          if (lookups > mostLookups) {
            return false;
          }
        }
        others.add(i);
      }
    }
    return true;
  }

  private static int prefix(int size) {
    return size - (int) Math.ceil(SIMILAR * size) + 1;
  }

  /** Whether the Jaccard similarity is high enough; reads no more than it takes to know. */
  private boolean areSimilar(Set<String> one, Set<String> other) {
    Set<String> fewer = one.size() <= other.size() ? one : other;
    Set<String> more = one.size() <= other.size() ? other : one;
    // shared >= 0.8 (|one| + |other| - shared)
    int needed = (int) Math.ceil(SIMILAR * (one.size() + other.size()) / (1 + SIMILAR) - 1e-9);
    int missing = fewer.size() - needed;
    for (String run : fewer) {
      if (missing < 0) {
        return false;
      }
      lookups++;
      missing -= more.contains(run) ? 0 : 1;
    }
    return missing >= 0;
  }

  private List<List<Integer>> joined() {
    Map<Integer, List<Integer>> members = new HashMap<>();
    for (int i = 0; i < parent.length; i++) {
      members.computeIfAbsent(root(i), key -> new ArrayList<>()).add(i);
    }
    return members.values().stream()
        .filter(one -> one.size() > 1)
        .sorted(
            Comparator.<List<Integer>>comparingInt(one -> -sources.get(one.get(0)).text().length())
                .thenComparingInt(one -> one.get(0)))
        .toList();
  }

  private int root(int i) {
    int at = i;
    while (parent[at] != at) {
      parent[at] = parent[parent[at]];
      at = parent[at];
    }
    return at;
  }

  private static Set<String> runs(String text) {
    List<String> words = Words.of(text);
    Set<String> runs = new HashSet<>();
    if (words.size() < RUN) {
      if (!words.isEmpty()) {
        runs.add(String.join(" ", words));
      }
      return runs;
    }
    for (int i = 0; i + RUN <= words.size(); i++) {
      runs.add(String.join(" ", words.subList(i, i + RUN)));
    }
    return runs;
  }
}
