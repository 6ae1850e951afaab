package dev.whence.samples;

import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** What a reader finds in a sentence, without knowing how it was made. */
final class Says {
  private static final Pattern SLOT = Pattern.compile("\\{.}");

  private Says() {}

  /** Whether words stand in a text as whole words, whatever the case of their first letter. */
  static boolean word(String text, String words) {
    return Pattern.compile(
            "(?<!\\p{L})(?i:"
                + Pattern.quote(words.substring(0, 1))
                + ")"
                + Pattern.quote(words.substring(1))
                + "(?!\\p{L})")
        .matcher(text)
        .find();
  }

  static boolean both(String text, String one, String other) {
    return word(text, one) && word(text, other);
  }

  /** A template with anything in its slots. */
  static Pattern filled(String template) {
    return Pattern.compile(
        Arrays.stream(SLOT.split(template, -1))
            .map(piece -> "\\Q" + piece.replaceFirst(" a $", " a\\\\En? \\\\Q") + "\\E")
            .collect(Collectors.joining("\\w[\\w ]*")));
  }
}
