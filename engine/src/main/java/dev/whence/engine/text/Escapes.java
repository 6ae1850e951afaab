package dev.whence.engine.text;

import dev.whence.engine.text.jinja.Strings;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** The characters of a text that take more room where a template writes it inside of JSON. */
public final class Escapes {
  /** Of a text that is written as it stands. */
  public static final Escapes NONE = new Escapes(new int[0], new int[0]);

  /** Where the characters that are written longer stand in the text, ascending. */
  private final int[] longer;

  /** By how much all of them up to this one are longer. */
  private final int[] grown;

  private Escapes(int[] longer, int[] grown) {
    this.longer = longer;
    this.grown = grown;
  }

  /**
   * Of a text between the quotation marks of a JSON string.
   *
   * @param out what the filter {@code tojson} writes there is appended to it
   */
  static Escapes write(String text, StringBuilder out) {
    int[] longer = new int[16];
    int[] grown = new int[16];
    int count = 0;
    int begin = out.length();
    for (int i = 0; i < text.length(); i++) {
      Strings.inJson(text.charAt(i), out);
      int by = out.length() - begin - i - 1;
      if (by > (count == 0 ? 0 : grown[count - 1])) {
        if (count == longer.length) {
          longer = Arrays.copyOf(longer, 2 * count);
          grown = Arrays.copyOf(grown, 2 * count);
        }
        longer[count] = i;
        grown[count++] = by;
      }
    }
    return count == 0
        ? NONE
        : new Escapes(Arrays.copyOf(longer, count), Arrays.copyOf(grown, count));
  }

  /** Where a position of the text, 0 to its length, stands in what is written. */
  int position(int inText) {
    int at = Arrays.binarySearch(longer, inText);
    int before = at < 0 ? -at - 1 : at;
    return inText + (before == 0 ? 0 : grown[before - 1]);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Escapes that
        && Arrays.equals(longer, that.longer)
        && Arrays.equals(grown, that.grown);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(longer);
  }

  @Override
  public String toString() {
    return longer.length + " characters escaped";
  }
}
