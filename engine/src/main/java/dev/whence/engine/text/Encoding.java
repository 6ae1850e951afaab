package dev.whence.engine.text;

/**
 * Tokens of a text with the characters each came from.
 *
 * @param ids token ids
 * @param starts first UTF-16 code unit of each token
 * @param ends one past its last code unit; tokens of one character (byte fallback, emoji) share the
 *     whole character's range, so ranges of neighbours may be equal but never cut a character
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record Encoding(int[] ids, int[] starts, int[] ends) {
  public int length() {
    return ids.length;
  }
}
