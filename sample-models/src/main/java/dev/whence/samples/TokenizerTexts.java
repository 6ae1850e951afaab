package dev.whence.samples;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Texts to learn a tokenizer from: reading exercises and dialogues about throw-away worlds, so that
 * no name of the world that models learn becomes a token of its own.
 *
 * <p>The syllables of a name stand on lines of their own. So no merge goes over the boundary of two
 * syllables, and all names, seen or not, fall into tokens of whole syllables.
 */
public final class TokenizerTexts {
  private static final Pattern CAPITALISED = Pattern.compile("[A-Z][a-z]+");

  private TokenizerTexts() {}

  /**
   * Which texts.
   *
   * @param seed of everything that is drawn
   * @param count of texts, half exercises, half dialogues
   * @param minSentences of a context
   * @param maxSentences of a context
   * @param syllableTimes how often each syllable counts by itself, small and with a capital, so
   *     that syllables are merged before anything else; 0 for not at all
   */
  public record Options(
      long seed, int count, int minSentences, int maxSentences, long syllableTimes) {
    public Options {
      if (count < 0 || syllableTimes < 0) {
        throw new IllegalArgumentException(
            "counts are not negative: " + count + ", " + syllableTimes);
      }
    }

    public static Options standard(long seed) {
      return new Options(seed, 6000, 3, 12, 20_000);
    }
  }

  /**
   * Texts to learn from.
   *
   * @param world whose names do not stand in them
   */
  public static List<BytePairEncoding.Text> of(World world, Options options) {
    List<BytePairEncoding.Text> texts = new ArrayList<>();
    for (String syllable :
        options.syllableTimes() == 0 ? List.<String>of() : world.lexicon().syllables()) {
      String capitalised =
          syllable.substring(0, 1).toUpperCase(Locale.ROOT) + syllable.substring(1);
      texts.add(new BytePairEncoding.Text(syllable, options.syllableTimes()));
      texts.add(new BytePairEncoding.Text(capitalised, options.syllableTimes()));
    }
    int least = options.minSentences();
    int most = options.maxSentences();
    long seed = options.seed();
    ReadingExercises exercises =
        new ReadingExercises(
            world, ReadingExercises.Options.standard(seed).withSentences(least, most));
    QuestionOptions training = QuestionOptions.training(seed);
    List<KindShare> mix =
        training.mix().stream().filter(share -> share.kind().isInContext()).toList();
    Questions dialogues =
        new Questions(
            world, training.withMix(mix, 1, 3).withSentences(least, most).withMemory(0, true, 1));
    for (int i = 0; i < options.count(); i++) {
      String text =
          i % 2 == 0 ? exercises.document(i).text() : dialogues.dialogue(i).training().text();
      texts.add(new BytePairEncoding.Text(bySyllables(world.lexicon(), text), 1));
    }
    return texts;
  }

  /** The text with a line break between the syllables of each name. */
  static String bySyllables(Lexicon lexicon, String text) {
    return CAPITALISED
        .matcher(text)
        .replaceAll(
            name -> {
              List<String> syllables = syllables(lexicon, name.group());
              return syllables.isEmpty() ? name.group() : String.join("\n", syllables);
            });
  }

  /** The two or three syllables of a name as written, or none if it is not made of syllables. */
  static List<String> syllables(Lexicon lexicon, String name) {
    List<String> lower = split(lexicon, name.toLowerCase(Locale.ROOT), 3);
    List<String> written = new ArrayList<>();
    int at = 0;
    for (String syllable : lower) {
      written.add(name.substring(at, at + syllable.length()));
      at += syllable.length();
    }
    return written.size() < 2 ? List.of() : written;
  }

  private static List<String> split(Lexicon lexicon, String rest, int most) {
    if (most == 0) {
      return List.of();
    }
    for (String syllable : lexicon.syllables()) {
      if (rest.equals(syllable)) {
        return List.of(syllable);
      }
      if (rest.startsWith(syllable)) {
        List<String> after = split(lexicon, rest.substring(syllable.length()), most - 1);
        if (!after.isEmpty()) {
          List<String> all = new ArrayList<>(List.of(syllable));
          all.addAll(after);
          return all;
        }
      }
    }
    return List.of();
  }
}
