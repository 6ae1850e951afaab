package dev.whence.attribution.toy;

import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A byte-level byte-pair encoding of a few hundred tokens, trained on a text of a few lines: real
 * enough to have merges across sentence ends, tokens inside characters and special tokens.
 */
public final class ToyTokenizer implements Tokenizer {
  /** Llama 3's pre-tokenizer: digits in threes, line breaks with the punctuation before them. */
  public static final String LLAMA3 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
          + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  /** GPT-2's. */
  public static final String GPT2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

  /** None: merges anywhere, as in SentencePiece models. */
  public static final String NONE = "(?s).+";

  private static final String CORPUS =
      """
      The cat sat on the mat. The dog sat on the log.

      The cat saw the dog. It ran.

      Paris is the capital of France. Berlin is the capital of Germany.

      Question: Where is the cat? Answer: The cat is on the mat.

      In 1999 there were 100 dogs, 200 cats and 1000 birds. Isn't it? It's so.

      """;

  private static final List<String> SPECIAL = List.of("<s>", "<|user|>", "<|end|>");
  private static final int SPECIAL_FROM = 256;
  private static final int MERGE_FROM = SPECIAL_FROM + SPECIAL.size();

  private final Pattern words;
  private final String prefix;
  private final Map<Long, Integer> merges = new LinkedHashMap<>();
  private final List<byte[]> bytes = new ArrayList<>();

  public ToyTokenizer(String preTokenizer, int mergeCount) {
    this(preTokenizer, mergeCount, "");
  }

  /** With a prefix that is put before every encoded text, as SentencePiece's space. */
  public ToyTokenizer(String preTokenizer, int mergeCount, String prefix) {
    this.words = Pattern.compile(preTokenizer);
    this.prefix = prefix;
    for (int i = 0; i < SPECIAL_FROM; i++) {
      bytes.add(new byte[] {(byte) i});
    }
    SPECIAL.forEach(token -> bytes.add(token.getBytes(StandardCharsets.UTF_8)));
    train(mergeCount);
  }

  private void train(int mergeCount) {
    List<List<Integer>> pieces = new ArrayList<>();
    Matcher matcher = words.matcher(CORPUS);
    while (matcher.find()) {
      List<Integer> piece = new ArrayList<>();
      for (byte b : matcher.group().getBytes(StandardCharsets.UTF_8)) {
        piece.add(b & 0xff);
      }
      pieces.add(piece);
    }
    for (int n = 0; n < mergeCount; n++) {
      Map<Long, Integer> counts = new HashMap<>();
      for (List<Integer> piece : pieces) {
        for (int i = 1; i < piece.size(); i++) {
          counts.merge(pair(piece.get(i - 1), piece.get(i)), 1, Integer::sum);
        }
      }
      long best =
          counts.entrySet().stream()
              .max(
                  Map.Entry.<Long, Integer>comparingByValue()
                      .thenComparing(Map.Entry.comparingByKey()))
              .map(Map.Entry::getKey)
              .orElse(-1L);
      if (best < 0) {
        return;
      }
      int left = (int) (best >> 32);
      int right = (int) best;
      int id = bytes.size();
      merges.put(best, id);
      byte[] joined =
          Arrays.copyOf(bytes.get(left), bytes.get(left).length + bytes.get(right).length);
      System.arraycopy(
          bytes.get(right), 0, joined, bytes.get(left).length, bytes.get(right).length);
      bytes.add(joined);
      pieces.forEach(piece -> apply(piece, left, right, id));
    }
  }

  private static void apply(List<Integer> piece, int left, int right, int id) {
    for (int i = 0; i + 1 < piece.size(); i++) {
      if (piece.get(i) == left && piece.get(i + 1) == right) {
        piece.set(i, id);
        piece.remove(i + 1);
      }
    }
  }

  private static long pair(int left, int right) {
    return ((long) left << 32) | right;
  }

  @Override
  public Encoding encode(String text) {
    Output output = new Output();
    boolean first = true;
    int at = 0;
    while (at < text.length()) {
      int special = text.length();
      String found = "";
      for (String token : SPECIAL) {
        int where = text.indexOf(token, at);
        if (where >= 0 && where < special) {
          special = where;
          found = token;
        }
      }
      Matcher matcher = words.matcher(text).region(at, special);
      matcher.useTransparentBounds(false);
      while (matcher.find()) {
        output.word(
            (first ? prefix : "") + matcher.group(), matcher.start(), first ? prefix.length() : 0);
        first = false;
      }
      if (!found.isEmpty()) {
        output.token(idOf(found), special, special + found.length());
        first = false;
      }
      at = special + found.length();
    }
    return output.encoding();
  }

  private final class Output {
    final List<Integer> ids = new ArrayList<>();
    final List<Integer> starts = new ArrayList<>();
    final List<Integer> ends = new ArrayList<>();

    void token(int id, int start, int end) {
      ids.add(id);
      starts.add(start);
      ends.add(end);
    }

    void word(String word, int start, int added) {
      List<Integer> piece = new ArrayList<>();
      List<Integer> characterStart = new ArrayList<>();
      List<Integer> characterEnd = new ArrayList<>();
      for (int i = 0; i < word.length(); i += Character.charCount(word.codePointAt(i))) {
        String character = word.substring(i, i + Character.charCount(word.codePointAt(i)));
        for (byte b : character.getBytes(StandardCharsets.UTF_8)) {
          piece.add(b & 0xff);
          characterStart.add(start + Math.max(0, i - added));
          characterEnd.add(start + Math.max(0, i + character.length() - added));
        }
      }
      boolean merged = true;
      while (merged) {
        merged = false;
        int best = Integer.MAX_VALUE;
        for (int i = 1; i < piece.size(); i++) {
          best = Math.min(best, merges.getOrDefault(pair(piece.get(i - 1), piece.get(i)), best));
        }
        for (int i = 0; best < Integer.MAX_VALUE && i + 1 < piece.size(); i++) {
          if (merges.getOrDefault(pair(piece.get(i), piece.get(i + 1)), -1) == best) {
            piece.set(i, best);
            piece.remove(i + 1);
            characterStart.remove(i + 1);
            characterEnd.remove(i);
            merged = true;
          }
        }
      }
      for (int i = 0; i < piece.size(); i++) {
        token(piece.get(i), characterStart.get(i), characterEnd.get(i));
      }
    }

    Encoding encoding() {
      return new Encoding(ints(ids), ints(starts), ints(ends));
    }

    private static int[] ints(List<Integer> values) {
      return values.stream().mapToInt(Integer::intValue).toArray();
    }
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int id : ids) {
      if (!skipSpecialTokens || !isSpecial(id)) {
        out.writeBytes(bytes.get(id));
      }
    }
    return out.toString(StandardCharsets.UTF_8);
  }

  @Override
  public int vocabularySize() {
    return bytes.size();
  }

  @Override
  public boolean isSpecial(int id) {
    return id >= SPECIAL_FROM && id < MERGE_FROM;
  }

  @Override
  public int idOf(String token) {
    int special = SPECIAL.indexOf(token);
    if (special >= 0) {
      return SPECIAL_FROM + special;
    }
    byte[] wanted = token.getBytes(StandardCharsets.UTF_8);
    for (int i = 0; i < bytes.size(); i++) {
      if (Arrays.equals(bytes.get(i), wanted)) {
        return i;
      }
    }
    return -1;
  }

  @Override
  public void close() {}
}
