package dev.whence.engine.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.Expression.Letters;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Keeps texts from the tokenizers library that its expressions would step back over too often: it
 * gives a match up after 10,000,000 steps back, by a panic that ends the process.
 *
 * <p>Expressions are bounded for a run of {@value #LONGEST_RUN} characters, those of known
 * tokenizers stay below the limit on it; and a text with a longer run of one kind of characters is
 * refused. Where an expression repeats characters of several kinds before something that may fail,
 * or where runs of a text may become others before they are cut, the bound is one on the whole
 * text.
 */
final class Backtracking {
  /** Characters of one kind in a row. */
  static final int LONGEST_RUN = 1_000_000;

  /** Oniguruma's DEFAULT_RETRY_LIMIT_IN_MATCH. */
  private static final double MOST_STEPS = 10_000_000;

  /** Of an expression, in a message. */
  private static final int MOST_SHOWN = 60;

  /** What may not stand in a message as it is. */
  private static final Pattern UNPRINTABLE =
      Pattern.compile("[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}]");

  /** Known tokenizers have up to six. */
  private static final int MOST_EXPRESSIONS = 64;

  /** How a tokenizer without expressions reads: it never steps back. */
  private static final Backtracking NONE =
      new Backtracking(Integer.MAX_VALUE, Integer.MAX_VALUE, false);

  private final int longestRun;
  private final int longestText;
  private final boolean decomposes;

  /**
   * @param decomposes whether a normal form of Unicode comes first, which may make up to eighteen
   *     characters of one
   */
  private Backtracking(int longestRun, int longestText, boolean decomposes) {
    this.longestRun = longestRun;
    this.longestText = longestText;
    this.decomposes = decomposes;
  }

  /**
   * Reads the expressions of a tokenizer.json.
   *
   * @throws EngineException of kind MODEL if one may step back too often, or is none that known
   *     tokenizers have
   */
  static Backtracking of(JsonNode tokenizer, String origin) {
    List<Cut> cutting = new ArrayList<>();
    collect(tokenizer.path("pre_tokenizer"), alters(tokenizer.path("normalizer")), cutting);
    List<String> replacing = new ArrayList<>();
    expressions(tokenizer.path("normalizer"), replacing);
    List<String> decoding = new ArrayList<>();
    expressions(tokenizer.path("decoder"), decoding);
    int count = cutting.size() + replacing.size() + decoding.size();
    if (count > MOST_EXPRESSIONS) {
      throw new EngineException(
          Kind.MODEL,
          origin + " has " + count + " expressions, more than the " + MOST_EXPRESSIONS + " read");
    }
    decoding.forEach(each -> read(each, origin + ", decoder"));
    boolean mixes = false;
    for (Cut each : cutting) {
      Expression expression = read(each.expression(), origin + ", pre_tokenizer");
      mixes |=
          expression.mixes() || (each.altered() && expression.steps(LONGEST_RUN) >= LONGEST_RUN);
    }
    for (String each : replacing) {
      mixes |= read(each, origin + ", normalizer").mixes();
    }
    if (mixes) {
      long growth =
          TextGrowth.of(tokenizer, "normalizer", origin)
              * TextGrowth.of(tokenizer, "pre_tokenizer", origin);
      return new Backtracking(
          Integer.MAX_VALUE,
          (int) (LONGEST_RUN / growth),
          decomposes(tokenizer.path("normalizer")));
    }
    boolean some = cutting.size() + replacing.size() > 0 || cuts(tokenizer.path("pre_tokenizer"));
    return some ? new Backtracking(LONGEST_RUN, Integer.MAX_VALUE, false) : NONE;
  }

  /**
   * Reads one expression.
   *
   * @param place where it stands, for messages
   * @throws EngineException as {@link #of}
   */
  static Expression read(String text, String place) {
    Expression expression;
    try {
      expression = Expression.parse(text);
    } catch (IllegalArgumentException e) {
      throw refused(text, place, e.getMessage());
    }
    if (!(expression.steps(LONGEST_RUN) <= MOST_STEPS)) {
      throw refused(
          text,
          place,
          String.format(
              Locale.ROOT,
              "could backtrack more than %,d times on a text of %,d characters, where the"
                  + " tokenizers library aborts the whole process; such a tokenizer is not loaded",
              (long) MOST_STEPS,
              LONGEST_RUN));
    }
    return expression;
  }

  private static EngineException refused(String text, String place, @Nullable String why) {
    boolean all = text.codePointCount(0, text.length()) <= MOST_SHOWN;
    String shown = all ? text : text.substring(0, text.offsetByCodePoints(0, MOST_SHOWN)) + "…";
    return new EngineException(
        Kind.MODEL,
        place
            + ": the regular expression '"
            + UNPRINTABLE.matcher(shown).replaceAll("\ufffd")
            + "' "
            + why
            + ".");
  }

  private static void expressions(JsonNode step, List<String> found) {
    JsonNode regex = step.path("pattern").path("Regex");
    if (regex.isTextual()) {
      found.add(regex.textValue());
    }
    for (JsonNode inner : TextGrowth.steps(step)) {
      expressions(inner, found);
    }
  }

  /**
   * An expression of a pre-tokenizer.
   *
   * @param altered whether what it reads may have other runs than the text
   */
  private record Cut(String expression, boolean altered) {}

  /** Finds those of a step, and says whether what comes behind it reads what was altered. */
  private static boolean collect(JsonNode step, boolean altered, List<Cut> found) {
    JsonNode regex = step.path("pattern").path("Regex");
    if (regex.isTextual()) {
      found.add(new Cut(regex.textValue(), altered));
    }
    boolean now = altered || rewrites(step);
    for (JsonNode inner : TextGrowth.steps(step)) {
      now = collect(inner, now, found);
    }
    return now;
  }

  /** Whether a normalizer may make a long run of one kind of what was none. */
  private static boolean alters(JsonNode step) {
    if (step.isMissingNode() || step.isNull()) {
      return false;
    }
    return switch (step.path("type").asText()) {
      case "Sequence" -> {
        boolean any = false;
        for (JsonNode inner : TextGrowth.steps(step)) {
          any |= alters(inner);
        }
        yield any;
      }
      case "NFC", "NFD", "Lowercase", "Prepend" -> false;
      default -> true;
    };
  }

  /** Whether a normalizer has a step that takes characters apart. */
  private static boolean decomposes(JsonNode step) {
    boolean any = step.path("type").asText().matches("NFC|NFD|NFKC|NFKD|BertNormalizer");
    for (JsonNode inner : TextGrowth.steps(step)) {
      any |= decomposes(inner);
    }
    return any;
  }

  /** Whether a step of a pre-tokenizer writes other characters in the place of those it cuts. */
  private static boolean rewrites(JsonNode step) {
    return switch (step.path("type").asText()) {
      case "ByteLevel", "Metaspace" -> true;
      default -> false;
    };
  }

  /** Whether a pre-tokenizer cuts by GPT-2's expression, which the library has in it. */
  private static boolean cuts(JsonNode step) {
    boolean any =
        step.path("type").asText().equals("ByteLevel") && step.path("use_regex").asBoolean(true);
    for (JsonNode inner : TextGrowth.steps(step)) {
      any |= cuts(inner);
    }
    return any;
  }

  /**
   * Refuses a text that the library must not be given.
   *
   * @throws EngineException of kind UNSUPPORTED
   */
  void check(String text) {
    int length = text.length();
    if (decomposes && length <= longestText) { // no form is longer than this one
      length = Normalizer.normalize(text, Normalizer.Form.NFKD).length();
    }
    if (length > longestText) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "The text has "
              + length
              + " characters; the model's tokenizer may step back over all of them, so at most "
              + longestText
              + " are read.");
    }
    if (text.length() <= longestRun) {
      return;
    }
    Letters kind = Letters.OTHERS;
    int run = 0;
    for (int at = 0; at < text.length(); run++) {
      int c = text.codePointAt(at);
      at += Character.charCount(c);
      // What Java has not heard of may be of any kind there.
      Letters next = Character.getType(c) == Character.UNASSIGNED ? kind : Letters.of(c);
      run = next == kind ? run : 0;
      kind = next;
      if (run >= longestRun) {
        throw new EngineException(
            Kind.UNSUPPORTED,
            String.format(
                Locale.ROOT,
                "The text has more than %,d %s in a row and is not read: on such a run the"
                    + " tokenizers library can abort the whole process.",
                longestRun,
                kind.words()));
      }
    }
  }
}
