package dev.whence.engine.text;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Splits at angle brackets: what looks like a tag is a special token. */
final class WordTokenizer implements Tokenizer {
  private static final Pattern PIECE = Pattern.compile("<[^<>\\s]*>|[^<]+|<");

  private final Map<String, Integer> ids = new HashMap<>();
  private final List<String> tokens = new ArrayList<>();

  @Override
  public Encoding encode(String text) {
    List<Integer> found = new ArrayList<>();
    Matcher matcher = PIECE.matcher(text);
    while (matcher.find()) {
      found.add(
          ids.computeIfAbsent(
              matcher.group(),
              token -> {
                tokens.add(token);
                return tokens.size() - 1;
              }));
    }
    int[] array = found.stream().mapToInt(Integer::intValue).toArray();
    return new Encoding(array, new int[array.length], new int[array.length]);
  }

  @Override
  public String decode(int[] wanted, boolean skipSpecialTokens) {
    StringBuilder text = new StringBuilder();
    for (int id : wanted) {
      text.append(tokens.get(id));
    }
    return text.toString();
  }

  @Override
  public int vocabularySize() {
    return tokens.size();
  }

  @Override
  public boolean isSpecial(int id) {
    return tokens.get(id).startsWith("<") && tokens.get(id).endsWith(">");
  }

  @Override
  public int idOf(String token) {
    return ids.getOrDefault(token, -1);
  }

  @Override
  public void close() {}
}
