package dev.whence.samples;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Byte-level byte pair encoding, learnt from texts (Sennrich, Haddow and Birch 2016, on bytes as in
 * GPT-2), as files that the Hugging Face tokenizers library and this project's engine read.
 *
 * <p>Texts are split into words by a pattern; a word's bytes are its first symbols; then, again and
 * again, the pair of neighbouring symbols that is most frequent becomes one symbol, of equals the
 * pair with the lower ids. Ids: {@code <|endoftext|>} 0, {@code <|im_start|>} 1, {@code <|im_end|>}
 * 2, the 256 bytes in the order of the characters that stand for them, then merges in the order in
 * which they were learnt: as the library's own trainer numbers and merges them.
 *
 * <p>No token is put before a text. The chat template is that of {@link ChatMl}.
 */
public final class BytePairEncoding {
  /** How GPT-2 splits: a word with the space before it. */
  public static final String GPT2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

  /**
   * A lower-case word with the space before it, all else apart: so a name has the same tokens at
   * the beginning of a text and inside a sentence.
   */
  public static final String NAMES_APART = " ?\\p{Ll}+|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}]|\\s";

  private static final List<String> SPECIAL = List.of(ChatMl.END_OF_TEXT, ChatMl.START, ChatMl.END);
  private static final Pattern SPECIAL_TOKENS =
      Pattern.compile(SPECIAL.stream().map(Pattern::quote).collect(Collectors.joining("|")));
  private static final int BYTES = 256;
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private final String pattern;
  private final List<String> vocabulary;
  private final List<String> merges;

  private BytePairEncoding(String pattern, List<String> vocabulary, List<String> merges) {
    this.pattern = pattern;
    this.vocabulary = List.copyOf(vocabulary);
    this.merges = List.copyOf(merges);
  }

  /**
   * A text to learn from.
   *
   * @param text special tokens written out in it teach nothing
   * @param times how often it counts, from 1 on
   */
  public record Text(String text, long times) {
    public Text {
      if (times < 1) {
        throw new IllegalArgumentException("a text counts at least once, not " + times);
      }
    }
  }

  /**
   * Learns an encoding.
   *
   * @param vocabularySize in tokens, special tokens and bytes included; at least 259
   * @param pattern splits texts into words: a regular expression that Java and Oniguruma read
   *     alike, for example {@link #NAMES_APART}
   * @throws IllegalArgumentException if the texts have too few pairs for so many tokens
   */
  public static BytePairEncoding train(List<Text> texts, int vocabularySize, String pattern) {
    if (vocabularySize < SPECIAL.size() + BYTES) {
      throw new IllegalArgumentException(
          "a vocabulary has at least "
              + (SPECIAL.size() + BYTES)
              + " tokens, not "
              + vocabularySize);
    }
    Map<String, Integer> ids = new LinkedHashMap<>();
    SPECIAL.forEach(token -> ids.put(token, ids.size()));
    symbols().stream().sorted().forEach(symbol -> ids.put(symbol, ids.size()));
    List<String> vocabulary = new ArrayList<>(ids.keySet());
    List<Word> words = new ArrayList<>();
    words(texts, pattern).forEach((word, times) -> words.add(new Word(bytes(word, ids), times)));

    Map<Pair, Long> counts = new HashMap<>();
    words.forEach(word -> word.count(counts, 1));
    List<String> merges = new ArrayList<>();
    while (vocabulary.size() < vocabularySize) {
      Pair best = best(counts, vocabularySize, vocabulary.size());
      String left = vocabulary.get(best.left());
      String right = vocabulary.get(best.right());
      Integer known = ids.get(left + right);
      int merged = known == null ? vocabulary.size() : known;
      if (known == null) {
        ids.put(left + right, merged);
        vocabulary.add(left + right);
      }
      merges.add(left + " " + right);
      for (Word word : words) {
        if (word.has(best)) {
          word.count(counts, -1);
          word.merge(best, merged);
          word.count(counts, 1);
        }
      }
      counts.remove(best);
    }
    return new BytePairEncoding(pattern, vocabulary, merges);
  }

  private static Pair best(Map<Pair, Long> counts, int wanted, int have) {
    Pair best = null;
    long most = 0;
    for (Map.Entry<Pair, Long> entry : counts.entrySet()) {
      long count = entry.getValue();
      if (count > most || (count == most && best != null && entry.getKey().compareTo(best) < 0)) {
        best = entry.getKey();
        most = count;
      }
    }
    if (best == null) {
      throw new IllegalArgumentException(
          "the texts have pairs for "
              + have
              + " tokens only, not for "
              + wanted
              + ": give more texts or a smaller vocabulary");
    }
    return best;
  }

  private record Pair(int left, int right) implements Comparable<Pair> {
    @Override
    public int compareTo(Pair other) {
      return left != other.left
          ? Integer.compare(left, other.left)
          : Integer.compare(right, other.right);
    }
  }

  /** A word as symbols, and how often it stands in the texts. */
  private static final class Word {
    private int[] symbols;
    private final long times;

    Word(int[] symbols, long times) {
      this.symbols = symbols;
      this.times = times;
    }

    void count(Map<Pair, Long> counts, int sign) {
      for (int i = 1; i < symbols.length; i++) {
        Pair pair = new Pair(symbols[i - 1], symbols[i]);
        if (counts.merge(pair, sign * times, Long::sum) == 0) {
          counts.remove(pair);
        }
      }
    }

    boolean has(Pair pair) {
      for (int i = 1; i < symbols.length; i++) {
        if (symbols[i - 1] == pair.left() && symbols[i] == pair.right()) {
          return true;
        }
      }
      return false;
    }

    /** From left to right. */
    void merge(Pair pair, int merged) {
      int[] shorter = new int[symbols.length];
      int length = 0;
      for (int i = 0; i < symbols.length; i++) {
        boolean found =
            i + 1 < symbols.length && symbols[i] == pair.left() && symbols[i + 1] == pair.right();
        shorter[length++] = found ? merged : symbols[i];
        i += found ? 1 : 0;
      }
      symbols = Arrays.copyOf(shorter, length);
    }
  }

  private static Map<String, Long> words(List<Text> texts, String pattern) {
    // Unicode's idea of white space, as Oniguruma has it.
    Pattern split = Pattern.compile(pattern, Pattern.UNICODE_CHARACTER_CLASS);
    Map<String, Long> words = new LinkedHashMap<>();
    for (Text text : texts) {
      for (String plain : SPECIAL_TOKENS.split(text.text(), -1)) {
        int end = 0;
        Matcher matcher = split.matcher(plain);
        while (matcher.find()) {
          add(words, plain.substring(end, matcher.start()), text.times());
          add(words, matcher.group(), text.times());
          end = matcher.end();
        }
        add(words, plain.substring(end), text.times());
      }
    }
    return words;
  }

  private static void add(Map<String, Long> words, String word, long times) {
    if (!word.isEmpty()) {
      words.merge(word, times, Long::sum);
    }
  }

  private static int[] bytes(String word, Map<String, Integer> ids) {
    List<String> symbols = symbols();
    byte[] utf8 = word.getBytes(StandardCharsets.UTF_8);
    int[] bytes = new int[utf8.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = ids.getOrDefault(symbols.get(utf8[i] & 0xFF), -1);
    }
    return bytes;
  }

  /**
   * The character that stands for each byte: itself where it is visible in Latin-1, else the next
   * one from U+0100 on.
   */
  private static List<String> symbols() {
    List<String> symbols = new ArrayList<>(BYTES);
    int hidden = 0;
    for (int b = 0; b < BYTES; b++) {
      boolean visible = (b > ' ' && b <= '~') || (b > 0xA0 && b != 0xAD);
      symbols.add(Character.toString(visible ? b : BYTES + hidden++));
    }
    return symbols;
  }

  /** Tokens by id, as tokenizer.json writes them: a character for each byte. */
  public List<String> vocabulary() {
    return vocabulary;
  }

  /** In the order in which they were learnt: two tokens with a space between them. */
  public List<String> merges() {
    return merges;
  }

  /** The content of tokenizer.json. */
  public ObjectNode tokenizer() {
    ObjectNode root = JSON.createObjectNode().put("version", "1.0");
    root.putNull("truncation").putNull("padding");
    ArrayNode added = root.putArray("added_tokens");
    for (int id = 0; id < SPECIAL.size(); id++) {
      special(added.addObject().put("id", id), SPECIAL.get(id));
    }
    root.putNull("normalizer");
    ArrayNode steps =
        root.putObject("pre_tokenizer").put("type", "Sequence").putArray("pretokenizers");
    ObjectNode split = steps.addObject().put("type", "Split");
    split.putObject("pattern").put("Regex", pattern);
    split.put("behavior", "Isolated").put("invert", false);
    byteLevel(steps.addObject());
    root.putNull("post_processor");
    byteLevel(root.putObject("decoder"));
    ObjectNode model = root.putObject("model").put("type", "BPE");
    model.putNull("dropout").putNull("unk_token");
    model.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
    model.put("fuse_unk", false).put("byte_fallback", false).put("ignore_merges", false);
    ObjectNode vocab = model.putObject("vocab");
    for (int id = 0; id < vocabulary.size(); id++) {
      vocab.put(vocabulary.get(id), id);
    }
    merges.forEach(model.putArray("merges")::add);
    return root;
  }

  /**
   * The content of tokenizer_config.json.
   *
   * @param window tokens that the model reads at most
   */
  public static ObjectNode tokenizerConfig(int window) {
    ObjectNode root = JSON.createObjectNode();
    ObjectNode added = root.putObject("added_tokens_decoder");
    for (int id = 0; id < SPECIAL.size(); id++) {
      special(added.putObject(Integer.toString(id)), SPECIAL.get(id));
    }
    return root.put("add_bos_token", false)
        .put("chat_template", ChatMl.TEMPLATE)
        .put("clean_up_tokenization_spaces", false)
        .put("eos_token", ChatMl.END)
        .put("model_max_length", window)
        .put("pad_token", ChatMl.END_OF_TEXT)
        .put("tokenizer_class", "PreTrainedTokenizerFast");
  }

  private static void special(ObjectNode node, String content) {
    node.put("content", content)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", true);
  }

  private static void byteLevel(ObjectNode node) {
    node.put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", false)
        .put("use_regex", false);
  }

  /**
   * Writes tokenizer.json and tokenizer_config.json.
   *
   * @param directory of a model; made if it is not there
   * @param window tokens that the model reads at most
   */
  public void write(Path directory, int window) throws IOException {
    Files.createDirectories(directory);
    write(directory.resolve("tokenizer.json"), tokenizer());
    write(directory.resolve("tokenizer_config.json"), tokenizerConfig(window));
  }

  private static void write(Path file, ObjectNode content) throws IOException {
    // Line feeds on every operating system: the files are compared by digest.
    String text = JSON.writeValueAsString(content).replace("\r\n", "\n");
    Files.writeString(file, text + "\n", StandardCharsets.UTF_8);
  }
}
