package dev.whence.engine.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The tokenizer that a GGUF file embeds, as the tokenizer.json that means the same.
 *
 * <p>{@code gpt2} is byte-level BPE with merges; {@code tokenizer.ggml.pre} names how text is cut
 * before it, and a name that is not known here is refused. {@code llama} is SentencePiece BPE with
 * byte fallback; its merges are all pairs of pieces that join to a piece, best score first, as
 * transformers' converter of SentencePiece models makes them. The cutting rules are those of
 * llama.cpp (llama-vocab.cpp) and of the Hugging Face originals, which agree.
 */
public final class GgufTokenizer {
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

  private static final String GPT2_CUT =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  private static final String LLAMA3_CUT =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
          + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String QWEN2_CUT = LLAMA3_CUT.replace("\\p{N}{1,3}", "\\p{N}");
  private static final String DEFAULT_PUNCTUATION = "[\\p{P}\\$\\+<=>\\^~\\|]+";

  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;
  private static final int UNKNOWN = 2;

  /**
   * What the file's metadata say.
   *
   * @param model {@code tokenizer.ggml.model}
   * @param pre {@code tokenizer.ggml.pre}, or empty
   * @param tokens by id
   * @param types by id: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte; empty if
   *     the file has none
   * @param scores by id; empty if the file has none
   * @param merges "left right", best first; empty if the file has none
   * @param spacePrefix whether a space is put before the text (SentencePiece)
   */
  @SuppressWarnings("ArrayRecordComponent") // passed on once, compared nowhere
  public record Vocabulary(
      String model,
      String pre,
      List<String> tokens,
      long[] types,
      double[] scores,
      List<String> merges,
      boolean spacePrefix) {}

  /** More than any published vocabulary has: the largest have 262,144 tokens. */
  private static final int MAX_TOKENS = 1 << 20;

  private static final int MAX_MERGES = 4 << 20;
  private static final int MAX_TOKEN_CHARACTERS = 512;

  /**
   * Most characters hashed to find the pairs that join to a piece, over all pieces: a piece of n
   * characters takes n squared. Llama's 32,000 pieces take about 2 million.
   */
  private static final long MAX_PAIR_CHARACTERS = 1L << 28;

  private GgufTokenizer() {}

  /**
   * Writes the tokenizer.json.
   *
   * @throws EngineException of kind MODEL if the kind of tokenizer is not supported or its lists
   *     contradict each other
   */
  public static ObjectNode toJson(Vocabulary vocabulary, String origin) {
    int n = vocabulary.tokens().size();
    if (n == 0) {
      throw new EngineException(Kind.MODEL, origin + " has no tokenizer.ggml.tokens");
    }
    if (vocabulary.types().length != 0 && vocabulary.types().length != n) {
      throw new EngineException(
          Kind.MODEL,
          origin + " has " + n + " tokens, but " + vocabulary.types().length + " token types");
    }
    bound(n, MAX_TOKENS, "tokens", origin);
    bound(vocabulary.merges().size(), MAX_MERGES, "merges", origin);
    Map<String, Integer> ids = new HashMap<>();
    for (int id = 0; id < n; id++) {
      if (vocabulary.tokens().get(id).length() > MAX_TOKEN_CHARACTERS) {
        throw new EngineException(
            Kind.MODEL,
            origin + ": token " + id + " is over " + MAX_TOKEN_CHARACTERS + " characters");
      }
      if (ids.put(vocabulary.tokens().get(id), id) != null) {
        throw new EngineException(
            Kind.MODEL, origin + " has the same token twice, the second time with id " + id);
      }
    }
    ObjectNode json = JSON.objectNode();
    json.put("version", "1.0");
    json.set("added_tokens", addedTokens(vocabulary));
    switch (vocabulary.model()) {
      case "gpt2" -> byteLevel(json, vocabulary, ids, origin);
      case "llama" -> sentencePiece(json, vocabulary, ids, origin);
      default ->
          throw new EngineException(
              Kind.MODEL,
              origin
                  + ": tokenizer.ggml.model '"
                  + shown(vocabulary.model())
                  + "' is not supported; gpt2 and llama are");
    }
    return json;
  }

  /**
   * With the tokens that end an answer as special ones, whatever their type in the file: llama.cpp
   * neither says nor reads them as text. Apart from {@link #toJson}, which names the file's
   * content.
   */
  public static ObjectNode withEnds(ObjectNode json, Collection<Integer> endTokens) {
    ArrayNode added = JSON.arrayNode();
    Set<Integer> missing = new TreeSet<>(endTokens);
    for (JsonNode token : json.path("added_tokens")) {
      int id = token.path("id").intValue();
      added.add(missing.remove(id) ? added(id, token.path("content").asText(), true) : token);
    }
    for (Map.Entry<String, JsonNode> token : json.path("model").path("vocab").properties()) {
      if (missing.remove(token.getValue().intValue())) {
        added.add(added(token.getValue().intValue(), token.getKey(), true));
      }
    }
    ObjectNode marked = json.objectNode();
    marked.setAll(json);
    marked.set("added_tokens", added);
    return marked;
  }

  private static void bound(long count, long most, String what, String origin) {
    if (count > most) {
      throw new EngineException(
          Kind.MODEL, origin + ": the tokenizer has over " + most + " " + what);
    }
  }

  private static ArrayNode addedTokens(Vocabulary vocabulary) {
    ArrayNode added = JSON.arrayNode();
    for (int id = 0; id < vocabulary.types().length; id++) {
      long type = vocabulary.types()[id];
      if (type == CONTROL || type == USER_DEFINED || type == UNKNOWN) {
        added.add(added(id, vocabulary.tokens().get(id), type != USER_DEFINED));
      }
    }
    return added;
  }

  private static ObjectNode added(int id, String content, boolean special) {
    return JSON.objectNode()
        .put("id", id)
        .put("content", content)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", special);
  }

  private static void byteLevel(
      ObjectNode json, Vocabulary vocabulary, Map<String, Integer> ids, String origin) {
    ArrayNode merges = JSON.arrayNode();
    for (String merge : vocabulary.merges()) {
      int space = merge.indexOf(' ', 1);
      if (space < 0 || merge.indexOf(' ', space + 1) >= 0) {
        throw new EngineException(Kind.MODEL, origin + ": a merge is not two tokens");
      }
      addMerge(merges, ids, merge.substring(0, space), merge.substring(space + 1), origin);
    }
    if (merges.isEmpty()) {
      throw new EngineException(Kind.MODEL, origin + " has no tokenizer.ggml.merges");
    }
    boolean ignoreMerges = false;
    ArrayNode steps = JSON.arrayNode();
    boolean cutAfterwards = false;
    switch (vocabulary.pre()) {
      case "gpt-2", "olmo", "mpt" -> cutAfterwards = true;
      case "smollm" -> {
        steps.addObject().put("type", "Digits").put("individual_digits", true);
        cutAfterwards = true;
      }
      case "llama-bpe", "llama3", "llama-v3" -> {
        steps.add(cut(LLAMA3_CUT));
        ignoreMerges = true;
      }
      case "qwen2" -> {
        json.putObject("normalizer").put("type", "NFC");
        steps.add(cut(QWEN2_CUT));
      }
      case "default" -> {
        steps.add(cut(DEFAULT_PUNCTUATION));
        steps.add(cut(GPT2_CUT));
        steps.add(cut("\\p{N}+"));
        steps.add(cut("[0-9][0-9][0-9]"));
      }
      default ->
          throw new EngineException(
              Kind.MODEL,
              origin
                  + ": tokenizer.ggml.pre '"
                  + shown(vocabulary.pre())
                  + "' is not supported; gpt-2, olmo, mpt, smollm, llama-bpe, qwen2 and default are");
    }
    steps
        .addObject()
        .put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", false)
        .put("use_regex", cutAfterwards);
    json.putObject("pre_tokenizer").put("type", "Sequence").set("pretokenizers", steps);
    json.putObject("decoder")
        .put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", false)
        .put("use_regex", true);
    ObjectNode model = model(json, ids, merges);
    model.putNull("unk_token");
    model.put("byte_fallback", false);
    model.put("ignore_merges", ignoreMerges);
  }

  private static ObjectNode cut(String regex) {
    ObjectNode step = JSON.objectNode().put("type", "Split");
    step.putObject("pattern").put("Regex", regex);
    return step.put("behavior", "Isolated").put("invert", false);
  }

  private static void addMerge(
      ArrayNode merges, Map<String, Integer> ids, String left, String right, String origin) {
    if (!ids.containsKey(left) || !ids.containsKey(right) || !ids.containsKey(left + right)) {
      throw new EngineException(
          Kind.MODEL, origin + ": a merge joins or yields what is not a token");
    }
    merges.addArray().add(left).add(right);
  }

  private static ObjectNode model(ObjectNode json, Map<String, Integer> ids, ArrayNode merges) {
    ObjectNode model = json.putObject("model");
    model.put("type", "BPE").putNull("dropout");
    model.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
    ObjectNode vocab = model.putObject("vocab");
    ids.entrySet().stream()
        .sorted(Map.Entry.comparingByValue())
        .forEach(entry -> vocab.put(entry.getKey(), entry.getValue()));
    model.set("merges", merges);
    return model;
  }

  private static void sentencePiece(
      ObjectNode json, Vocabulary vocabulary, Map<String, Integer> ids, String origin) {
    if (vocabulary.scores().length != vocabulary.tokens().size()) {
      throw new EngineException(
          Kind.MODEL, origin + ": tokenizer.ggml.scores does not have one score per token");
    }
    record Merge(String left, String right, double score) {}
    List<Merge> all = new ArrayList<>();
    long pairs = 0;
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      String piece = vocabulary.tokens().get(id);
      pairs += (long) piece.length() * piece.length();
      bound(pairs, MAX_PAIR_CHARACTERS, "characters in the pairs of its pieces", origin);
      List<Merge> own = new ArrayList<>();
      for (int at = 1; at < piece.length(); at++) {
        String left = piece.substring(0, at);
        String right = piece.substring(at);
        if (ids.containsKey(left) && ids.containsKey(right)) {
          own.add(new Merge(left, right, vocabulary.scores()[id]));
        }
      }
      own.sort(
          Comparator.<Merge>comparingInt(merge -> ids.getOrDefault(merge.left(), 0))
              .thenComparingInt(merge -> ids.getOrDefault(merge.right(), 0)));
      all.addAll(own);
      bound(all.size(), MAX_MERGES, "merges", origin);
    }
    // Python's sorted(reverse=True) is stable, and counts code points.
    all.sort(
        Comparator.comparingDouble(Merge::score)
            .thenComparingInt(merge -> codePoints(merge.left()))
            .thenComparingInt(merge -> codePoints(merge.right()))
            .reversed());
    ArrayNode merges = JSON.arrayNode();
    all.forEach(merge -> merges.addArray().add(merge.left()).add(merge.right()));

    ArrayNode normalizers = JSON.arrayNode();
    if (vocabulary.spacePrefix()) {
      normalizers.addObject().put("type", "Prepend").put("prepend", "\u2581");
    }
    ObjectNode replace = normalizers.addObject().put("type", "Replace");
    replace.putObject("pattern").put("String", " ");
    replace.put("content", "\u2581");
    json.putObject("normalizer").put("type", "Sequence").set("normalizers", normalizers);
    json.putNull("pre_tokenizer");
    ArrayNode decoders = JSON.arrayNode();
    ObjectNode back = decoders.addObject().put("type", "Replace");
    back.putObject("pattern").put("String", "\u2581");
    back.put("content", " ");
    decoders.addObject().put("type", "ByteFallback");
    decoders.addObject().put("type", "Fuse");
    if (vocabulary.spacePrefix()) {
      decoders.addObject().put("type", "Strip").put("content", " ").put("start", 1).put("stop", 0);
    }
    json.putObject("decoder").put("type", "Sequence").set("decoders", decoders);
    ObjectNode model = model(json, ids, merges);
    int unknown = -1;
    for (int id = 0; id < vocabulary.types().length && unknown < 0; id++) {
      unknown = vocabulary.types()[id] == UNKNOWN ? id : -1;
    }
    if (unknown >= 0) {
      model.put("unk_token", vocabulary.tokens().get(unknown));
    } else {
      model.putNull("unk_token");
    }
    model.put("fuse_unk", true);
    model.put("byte_fallback", true);
    model.put("ignore_merges", false);
  }

  private static int codePoints(String text) {
    return text.codePointCount(0, text.length());
  }

  private static String shown(String name) {
    return (name.length() > 60 ? name.substring(0, 60) + "..." : name)
        .replaceAll("\\p{Cntrl}", "?");
  }
}
