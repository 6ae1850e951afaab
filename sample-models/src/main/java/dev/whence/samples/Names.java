package dev.whence.samples;

import java.util.HashSet;
import java.util.Locale;
import java.util.Set;

/**
 * New names, one after another: two different syllables, the first letter in upper case. None comes
 * twice, none is a word of the lexicon.
 */
final class Names {
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
      String name = syllables();
      String capitalised = name.substring(0, 1).toUpperCase(Locale.ROOT) + name.substring(1);
      if (NameSplit.of(name) == split && !lexicon.isWord(name) && taken.add(capitalised)) {
        return capitalised;
      }
    }
  }

  private String syllables() {
    String first = draw.from(lexicon.syllables());
    String second = draw.from(lexicon.syllables());
    while (second.equals(first)) {
      second = draw.from(lexicon.syllables());
    }
    return first + second;
  }
}
