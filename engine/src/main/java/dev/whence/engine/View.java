package dev.whence.engine;

/**
 * A range of the trunk that a branch may see: trunk token k in [from, to) stands at position k -
 * shift.
 *
 * @param from first trunk token
 * @param to one past the last trunk token
 * @param shift how many positions the range moves down; 0 keeps it where the trunk has it
 */
public record View(int from, int to, int shift) {
  public View {
    if (from < 0 || to < from || from - shift < 0) {
      throw new IllegalArgumentException(
          "view (" + from + ", " + to + ", " + shift + ") is not a range of positions");
    }
  }

  public int length() {
    return to - from;
  }
}
