package dev.whence.attribution.toy;

import dev.whence.engine.text.Encoding;

/** One token for each character, which remembers how much of it was asked at once. */
public final class WatchedTokenizer extends ForwardingTokenizer {
  private final int longest;
  private int characters;
  private int largest;

  /**
   * @param longest what it says of its tokens
   */
  public WatchedTokenizer(int longest) {
    super(new ToyTokenizer(ToyTokenizer.LLAMA3, 0));
    this.longest = longest;
  }

  /** Characters of all texts that were encoded. */
  public int characters() {
    return characters;
  }

  /** Characters of the longest of them. */
  public int largest() {
    return largest;
  }

  @Override
  public Encoding encode(String text) {
    characters += text.length();
    largest = Math.max(largest, text.length());
    int[] starts = new int[text.length()];
    int[] ends = new int[text.length()];
    for (int i = 0; i < starts.length; i++) {
      starts[i] = i;
      ends[i] = i + 1;
    }
    return new Encoding(new int[text.length()], starts, ends);
  }

  @Override
  public int longestToken() {
    return longest;
  }
}
