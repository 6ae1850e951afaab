package dev.whence.attribution.source;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * Sources that say nearly the same, as overlapping retrieval brings them. Leaving out one of them
 * changes little, since the others make up for it: what they are worth shows when all are left out.
 *
 * <p>Two sources are near-duplicates if the sets of their runs of three words have a Jaccard
 * similarity of at least 0.8 (Broder, 1997); shorter ones if their words are the same. Case and
 * punctuation do not count. Groups are the connected sets of such pairs.
 */
public final class Duplicates {
  private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{M}\\p{N}]+");
  private static final int RUN = 3;
  private static final double SIMILAR = 0.8;

  /** A run that more sources have makes no candidates: a table, or the same line all over. */
  private static final int COMMON = 64;

  private Duplicates() {}

  /**
   * The groups of two and more, the longest texts first.
   *
   * @param most groups that are returned
   * @return indices of the sources, in order
   */
  public static List<List<Integer>> groups(List<Source> sources, int most) {
    List<Set<String>> runs = sources.stream().map(source -> runs(source.text())).toList();
    Map<String, List<Integer>> having = new HashMap<>();
    for (int i = 0; i < runs.size(); i++) {
      for (String run : runs.get(i)) {
        having.computeIfAbsent(run, key -> new ArrayList<>()).add(i);
      }
    }
    int[] group = new int[sources.size()];
    for (int i = 0; i < group.length; i++) {
      group[i] = i;
    }
    for (int i = 0; i < group.length; i++) {
      Set<Integer> candidates = new HashSet<>();
      for (String run : runs.get(i)) {
        List<Integer> others = having.getOrDefault(run, List.of());
        if (others.size() <= COMMON) {
          candidates.addAll(others);
        }
      }
      for (int other : candidates) {
        if (other < i && areSimilar(runs.get(i), runs.get(other))) {
          group[root(group, i)] = root(group, other);
        }
      }
    }
    Map<Integer, List<Integer>> members = new HashMap<>();
    for (int i = 0; i < group.length; i++) {
      members.computeIfAbsent(root(group, i), key -> new ArrayList<>()).add(i);
    }
    return members.values().stream()
        .filter(one -> one.size() > 1)
        .sorted(
            Comparator.<List<Integer>>comparingInt(one -> -sources.get(one.get(0)).text().length())
                .thenComparingInt(one -> one.get(0)))
        .limit(most)
        .map(List::copyOf)
        .toList();
  }

  private static boolean areSimilar(Set<String> one, Set<String> other) {
    long shared = one.stream().filter(other::contains).count();
    return shared >= SIMILAR * (one.size() + other.size() - shared);
  }

  private static int root(int[] group, int i) {
    int at = i;
    while (group[at] != at) {
      group[at] = group[group[at]];
      at = group[at];
    }
    return at;
  }

  private static Set<String> runs(String text) {
    List<String> words =
        WORD.matcher(text.toLowerCase(Locale.ROOT)).results().map(MatchResult::group).toList();
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
