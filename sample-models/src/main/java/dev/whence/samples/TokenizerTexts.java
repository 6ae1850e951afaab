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
   * Texts, half of them exercises, half dialogues.
   *
   * @param world whose names do not stand in them
   * @param seed of everything that is drawn
   * @param count of texts
   */
  public static List<String> of(World world, long seed, int count) {
    ReadingExercises exercises =
        new ReadingExercises(
            world, ReadingExercises.Options.standard(seed).withSentences(LEAST, MOST));
    List<KindShare> mix =
        QuestionOptions.training(seed).mix().stream()
            .filter(share -> share.kind().isInContext())
            .toList();
    QuestionOptions options =
        QuestionOptions.training(seed).withMix(mix, 1, 3).withSentences(LEAST, MOST);
    Questions questions =
        new Questions(
            world,
            new QuestionOptions(
                seed,
                options.split(),
                options.mix(),
                options.minQuestions(),
                options.maxQuestions(),
                0,
                options.emptyShare(),
                options.memoryContextShare(),
                options.asked(),
                options.minDocuments(),
                options.context()));
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String text =
          i % 2 == 0 ? exercises.document(i).text() : questions.dialogue(i).training().text();
      texts.add(bySyllables(world.lexicon(), text));
    }
    return texts;
  }

  private static final int LEAST = 3;
  private static final int MOST = 12;

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
