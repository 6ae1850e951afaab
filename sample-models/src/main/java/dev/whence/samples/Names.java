package dev.whence.samples;

import java.util.HashSet;
import java.util.Locale;
import java.util.Set;

/**
 * New names, one after another: two or three syllables, half of the names each, no syllable twice
 * in a row, the first letter in upper case. None comes twice, none is a word of the lexicon.
 */
final class Names {
  private static final double THREE_SYLLABLES = 0.5;

  private final Draw draw;
  private final Lexicon lexicon;
  private final NameSplit split;
  private final Set<String> taken;

  /**
   * @param split which names it may give
   * @param avoid names that it does not give
   */
  Names(Draw draw, Lexicon lexicon, NameSplit split, Set<String> avoid) {
    this.draw = draw;
    this.lexicon = lexicon;
    this.split = split;
    this.taken = new HashSet<>(avoid);
  }

  String next() {
    while (true) {
      String name = syllables(draw.chance(THREE_SYLLABLES) ? 3 : 2);
      String capitalised = name.substring(0, 1).toUpperCase(Locale.ROOT) + name.substring(1);
      if (NameSplit.of(name) == split && !lexicon.isWord(name) && taken.add(capitalised)) {
        return capitalised;
      }
    }
  }

  private String syllables(int count) {
    StringBuilder name = new StringBuilder();
    String last = "";
    for (int i = 0; i < count; i++) {
      String next = draw.from(lexicon.syllables());
      while (next.equals(last)) {
        next = draw.from(lexicon.syllables());
      }
      name.append(next);
      last = next;
    }
    return name.toString();
  }
}
