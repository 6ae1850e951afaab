package dev.whence.engine.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.kernel.TorchRuntime;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The Hugging Face tokenizers library behind {@link Tokenizer}.
 *
 * <p>It is given a tokenizer.json without post-processor, truncation and padding: whatever special
 * tokens a prompt has stand in its text, and offsets are not trimmed. Its offsets count code
 * points; they come out here in UTF-16 code units, made to cover the text: characters that the
 * normaliser drops belong to the token after them (marks, which it may have composed with the
 * letter before them, and what is at the end: to the token before), and tokens that share a
 * character share one range.
 *
 * <p>Unpaired surrogates, which no UTF-8 transport can carry, are encoded as U+FFFD.
 */
public final class NativeTokenizer implements Tokenizer {
  private static final Logger LOG = LoggerFactory.getLogger(NativeTokenizer.class);

  /** Ids are below it; the largest vocabularies have some two million. */
  public static final int MAX_IDS = 1 << 22;

  /** The library compares each with all before it. */
  private static final int MOST_ADDED = 1 << 16;

  /** Of an added token; known ones have some 100. */
  private static final int MOST_CHARACTERS = 1 << 16;

  private final HuggingFaceTokenizer tokenizer;
  private final Optional<SpacePrefix> spacePrefix;

  /** The same without the space before a text, if there is one. */
  private final @Nullable HuggingFaceTokenizer withoutPrefix;

  private final Backtracking backtracking;
  private final Map<String, Integer> addedIds;
  private final Set<Integer> special;
  private final Map<String, Integer> vocabulary;
  private final int size;
  private final int longest;

  private NativeTokenizer(
      HuggingFaceTokenizer tokenizer,
      Optional<SpacePrefix> spacePrefix,
      @Nullable HuggingFaceTokenizer withoutPrefix,
      Backtracking backtracking,
      Map<String, Integer> vocabulary,
      Map<String, Integer> addedIds,
      Set<Integer> special,
      int size,
      int longest) {
    this.tokenizer = tokenizer;
    this.spacePrefix = spacePrefix;
    this.withoutPrefix = withoutPrefix;
    this.backtracking = backtracking;
    this.vocabulary = vocabulary;
    this.addedIds = addedIds;
    this.special = special;
    this.size = size;
    this.longest = longest;
  }

  /**
   * Builds a tokenizer.
   *
   * @param json a tokenizer.json; not modified
   * @param origin where it came from, for messages
   * @throws EngineException of kind MODEL if the library refuses it, or could be brought to end the
   *     process by it; of kind ENVIRONMENT if the native library can not be loaded
   */
  public static NativeTokenizer of(JsonNode json, String origin) {
    if (!(json instanceof ObjectNode object)) {
      throw new EngineException(Kind.MODEL, origin + " is not a JSON object");
    }
    Map<String, Integer> added = new HashMap<>();
    Set<Integer> special = new HashSet<>();
    int size = 0;
    if (object.path("added_tokens").size() > MOST_ADDED) {
      throw new EngineException(Kind.MODEL, origin + " adds more than " + MOST_ADDED + " tokens");
    }
    TextGrowth.check(object, origin);
    if (stripsBehind(object.path("decoder"))) {
      throw new EngineException(
          Kind.MODEL,
          origin
              + ": its decoder strips what is behind a token, which ends the process where a token"
              + " is shorter; no known one does");
    }
    Backtracking backtracking = Backtracking.of(object, origin);
    for (JsonNode token : object.path("added_tokens")) {
      JsonNode id = token.path("id");
      String content = token.path("content").asText("");
      if (!isId(id) || content.isEmpty()) {
        throw new EngineException(
            Kind.MODEL,
            origin + ": an added token has no content, or no id from 0 to " + (MAX_IDS - 1));
      }
      if (content.length() > MOST_CHARACTERS) {
        throw new EngineException(
            Kind.MODEL,
            origin + ": an added token has more than " + MOST_CHARACTERS + " characters");
      }
      added.put(content, id.intValue());
      if (token.path("special").asBoolean()) {
        special.add(id.intValue());
      }
      size = Math.max(size, id.intValue() + 1);
    }
    Map<String, Integer> vocabulary = new HashMap<>();
    JsonNode vocab = object.path("model").path("vocab");
    if (vocab.isObject()) {
      for (Map.Entry<String, JsonNode> entry : vocab.properties()) {
        size = Math.max(size, put(vocabulary, entry.getKey(), entry.getValue(), origin) + 1);
      }
    } else if (vocab.isArray()) {
      int id = 0;
      for (JsonNode entry : vocab) {
        vocabulary.putIfAbsent(entry.path(0).asText(), id++);
      }
      size = Math.max(size, id);
    } else {
      throw new EngineException(Kind.MODEL, origin + " has no model.vocab");
    }
    ObjectNode bare = object.objectNode();
    bare.setAll(object);
    bare.putNull("post_processor");
    bare.putNull("truncation");
    bare.putNull("padding");
    Optional<SpacePrefix> spacePrefix = SpacePrefix.of(object);
    HuggingFaceTokenizer whole = library(bare, origin);
    boolean complete = false;
    try {
      asTheLibraryHasThem(whole, backtracking, added, special, origin);
      complete = true;
    } finally {
      if (!complete) {
        whole.close();
      }
    }
    return new NativeTokenizer(
        whole,
        spacePrefix,
        spacePrefix.isPresent() ? withoutPrefix(whole, bare, origin) : null,
        backtracking,
        vocabulary,
        added,
        special,
        size,
        LongestToken.of(object));
  }

  private static boolean stripsBehind(JsonNode decoder) {
    boolean any =
        decoder.path("type").asText().equals("Strip")
            && !decoder.path("stop").asText("0").equals("0");
    for (JsonNode step : TextGrowth.steps(decoder)) {
      any |= stripsBehind(step);
    }
    return any;
  }

  /**
   * The library numbers an added token that is not in the vocabulary by itself, whatever id the
   * file gives it: where the file leaves a gap the two differ, and transformers reads what the
   * library says, too.
   */
  private static void asTheLibraryHasThem(
      HuggingFaceTokenizer whole,
      Backtracking backtracking,
      Map<String, Integer> added,
      Set<Integer> special,
      String origin) {
    Set<Integer> moved = new HashSet<>();
    for (Map.Entry<String, Integer> token : added.entrySet()) {
      long[] read;
      try {
        backtracking.check(token.getKey());
        read = byTheLibrary(whole, token.getKey()).getIds();
      } catch (EngineException e) {
        throw new EngineException(
            Kind.MODEL, origin + ": one of its added tokens can not be read. " + e.getMessage(), e);
      }
      int written = token.getValue();
      if (read.length == 1 && read[0] != written) {
        int id = Math.toIntExact(read[0]);
        LOG.warn(
            "{}: the added token '{}' has the id {} there, and {} in the tokenizers library, which"
                + " counts",
            origin,
            token.getKey(),
            written,
            id);
        token.setValue(id);
        if (special.remove(written)) {
          moved.add(id);
        }
      }
    }
    special.addAll(moved);
  }

  private static HuggingFaceTokenizer withoutPrefix(
      HuggingFaceTokenizer whole, ObjectNode json, String origin) {
    HuggingFaceTokenizer bare = null;
    try {
      bare = library(SpacePrefix.removed(json), origin);
      return bare;
    } finally {
      if (bare == null) {
        whole.close();
      }
    }
  }

  private static int put(
      Map<String, Integer> vocabulary, String token, JsonNode id, String origin) {
    if (!isId(id)) {
      throw new EngineException(
          Kind.MODEL, origin + ": a token's id is not an integer from 0 to " + (MAX_IDS - 1));
    }
    vocabulary.put(token, id.intValue());
    return id.intValue();
  }

  private static boolean isId(JsonNode id) {
    return id.isInt() && id.intValue() >= 0 && id.intValue() < MAX_IDS;
  }

  private static HuggingFaceTokenizer library(ObjectNode json, String origin) {
    Map<String, String> options =
        Map.of(
            "addSpecialTokens", "false",
            "truncation", "false",
            "padding", "false");
    TorchRuntime.keepSilent(); // the library's loader reports its use unless told not to
    byte[] bytes = json.toString().getBytes(StandardCharsets.UTF_8);
    try {
      return HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(bytes), options);
    } catch (ai.djl.engine.EngineException | UnsatisfiedLinkError e) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          "the native tokenizers library can not be loaded (it is unpacked under ~/.djl.ai, or"
              + " under the directory that DJL_CACHE_DIR names): "
              + e.getMessage(),
          e);
    } catch (IOException | RuntimeException e) {
      throw new EngineException(
          Kind.MODEL, origin + " is not a tokenizer that can be loaded: " + e.getMessage(), e);
    }
  }

  /**
   * @throws EngineException of kind UNSUPPORTED if the library could step back over the text too
   *     often, see {@link Backtracking}
   */
  @Override
  public Encoding encode(String text) {
    return encode(tokenizer, text);
  }

  @Override
  public Encoding encodeContinuation(String prompt, String text) {
    boolean bare = spacePrefix.isPresent() && !spacePrefix.get().standsBetween(prompt, text);
    return encode(bare && withoutPrefix != null ? withoutPrefix : tokenizer, text);
  }

  private Encoding encode(HuggingFaceTokenizer tokenizer, String text) {
    backtracking.check(text);
    String whole = withoutLoneSurrogates(text);
    ai.djl.huggingface.tokenizers.Encoding encoding = byTheLibrary(tokenizer, whole);
    long[] longs = encoding.getIds();
    int[] ids = new int[longs.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = Math.toIntExact(longs[i]);
    }
    return spans(whole, ids, encoding.getCharTokenSpans());
  }

  /**
   * What the library says of a text, or that it says nothing: where a model has no token for it.
   */
  private static ai.djl.huggingface.tokenizers.Encoding byTheLibrary(
      HuggingFaceTokenizer tokenizer, String text) {
    try {
      return tokenizer.encode(text, false, false);
    } catch (RuntimeException e) { // all that its native part throws
      throw new EngineException(
          Kind.UNSUPPORTED,
          "The model's tokenizer can not read the text: " + e.getMessage() + ".",
          e);
    }
  }

  /** Code points to UTF-16, overlaps joined, gaps closed. */
  private static Encoding spans(String text, int[] ids, CharSpan[] spans) {
    int n = ids.length;
    int[] units = utf16Positions(text);
    // Groups of tokens that share a range, as a stack: a token that reaches back joins them.
    int[] first = new int[n];
    int[] starts = new int[n];
    int[] ends = new int[n];
    int groups = 0;
    for (int i = 0; i < n; i++) {
      int covered = groups == 0 ? 0 : ends[groups - 1];
      CharSpan span = spans[i];
      int start = span == null ? covered : units[span.getStart()];
      int end = Math.max(covered, span == null ? covered : units[span.getEnd()]);
      int group = groups;
      while (group > 0 && start < ends[group - 1]) {
        group--;
        start = Math.min(start, starts[group]);
      }
      if (group == groups) {
        first[group] = i;
        // what lies between was dropped by the normaliser, or composed with the letter before
        int marks = group == 0 ? covered : endOfMarks(text, covered, start);
        if (group > 0) {
          ends[group - 1] = marks;
        }
        start = marks;
      }
      starts[group] = start;
      ends[group] = end;
      groups = group + 1;
    }
    if (groups > 0) {
      ends[groups - 1] = text.length();
    }
    int[] tokenStarts = new int[n];
    int[] tokenEnds = new int[n];
    for (int group = 0; group < groups; group++) {
      int next = group + 1 < groups ? first[group + 1] : n;
      for (int i = first[group]; i < next; i++) {
        tokenStarts[i] = starts[group];
        tokenEnds[i] = ends[group];
      }
    }
    return new Encoding(ids, tokenStarts, tokenEnds);
  }

  /** The end of the combining marks that a range of the text begins with. */
  private static int endOfMarks(String text, int from, int to) {
    int at = from;
    while (at < to) {
      int type = Character.getType(text.codePointAt(at));
      if (type != Character.NON_SPACING_MARK
          && type != Character.COMBINING_SPACING_MARK
          && type != Character.ENCLOSING_MARK) {
        break;
      }
      at += Character.charCount(text.codePointAt(at));
    }
    return at;
  }

  /** Position in UTF-16 code units of each code point, and of the end. */
  private static int[] utf16Positions(String text) {
    int[] positions = new int[text.codePointCount(0, text.length()) + 1];
    int at = 0;
    for (int i = 0; i < positions.length - 1; i++) {
      positions[i] = at;
      at += Character.charCount(text.codePointAt(at));
    }
    positions[positions.length - 1] = at;
    return positions;
  }

  private static String withoutLoneSurrogates(String text) {
    StringBuilder clean = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isSurrogate(c)) {
        if (Character.isHighSurrogate(c)
            && i + 1 < text.length()
            && Character.isLowSurrogate(text.charAt(i + 1))) {
          i++;
        } else {
          clean = clean == null ? new StringBuilder(text) : clean;
          clean.setCharAt(i, '\uFFFD');
        }
      }
    }
    return clean == null ? text : clean.toString();
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    long[] longs = new long[ids.length];
    for (int i = 0; i < ids.length; i++) {
      longs[i] = ids[i];
    }
    return tokenizer.decode(longs, skipSpecialTokens);
  }

  @Override
  public int vocabularySize() {
    return size;
  }

  @Override
  public int longestToken() {
    return longest;
  }

  @Override
  public boolean isSpecial(int id) {
    return special.contains(id);
  }

  @Override
  public int idOf(String token) {
    Integer id = addedIds.get(token);
    return id != null ? id : vocabulary.getOrDefault(token, -1);
  }

  @Override
  public void close() {
    tokenizer.close();
    if (withoutPrefix != null) {
      withoutPrefix.close();
    }
  }
}
