package dev.whence.attribution.source;

import static dev.whence.attribution.source.WhiteSpace.firstVisible;
import static dev.whence.attribution.source.WhiteSpace.isWhite;

import com.ibm.icu.text.BreakIterator;
import com.ibm.icu.util.ULocale;
import dev.whence.conversation.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Cuts a text into paragraphs and sentences, in any script. Used for the sources of a prompt and
 * for the statements of a response.
 *
 * <p>A <em>paragraph break</em> is a run of white space with at least two line breaks (or a U+2029)
 * in it; it belongs to no paragraph and is never part of a source. A sentence owns the white space
 * after it inside its paragraph, so that removing it leaves no double space; white space before the
 * first sentence belongs to none. The spans of a partition are sorted, disjoint and not empty, hold
 * at least one character that is not white space each, and cover everything but paragraph breaks
 * and leading white space.
 *
 * <p>Sentence boundaries are those of Unicode Standard Annex 29 as ICU4J implements them, with five
 * adjustments that retrieved text needs:
 *
 * <ol>
 *   <li>UAX 29 ends a sentence at every line break. Here it does not where the text is
 *       hard-wrapped: the next line begins with a lower-case letter and the line before it has no
 *       terminator.
 *   <li>A reference mark after a terminator ("fact.[3] Next") stays with its sentence.
 *   <li>A list marker ("1. ", "- ") and a piece of punctuation alone are no sentences; they belong
 *       to what follows them.
 *   <li>Thai and Lao end clauses with a space rather than with a mark: a space between two letters
 *       of these scripts is a boundary.
 *   <li>Abbreviations and initials ("Dr. Smith", "J. K. Rowling", "U.S. Army") do not end a
 *       sentence. ICU's own filter for that is not used: it matches inside words, so that with
 *       "no." on its list "He plays piano. She sings." is one sentence, and CLDR's English list
 *       holds "In.", "To." and "Joe." but not "Dr.".
 * </ol>
 *
 * <p>Not thread-safe: break iterators keep state.
 */
public final class Partitioner {
  /** Words that a full stop shortens rather than a sentence ends; initials are seen without. */
  private static final Set<String> ABBREVIATIONS =
      Set.of(
          // English
          "Mr.",
          "Mrs.",
          "Ms.",
          "Dr.",
          "Prof.",
          "Rev.",
          "Hon.",
          "Gen.",
          "Sen.",
          "Rep.",
          "Gov.",
          "Pres.",
          "Lt.",
          "Col.",
          "Sgt.",
          "Capt.",
          "Maj.",
          "Cmdr.",
          "Adm.",
          "St.",
          "Mt.",
          "Ft.",
          "Jr.",
          "Sr.",
          "Inc.",
          "Ltd.",
          "Co.",
          "Corp.",
          "Bros.",
          "Dept.",
          "Univ.",
          "Ph.D.",
          "Ave.",
          "Blvd.",
          "Rd.",
          "al.",
          "etc.",
          "vs.",
          "cf.",
          "viz.",
          "ca.",
          "approx.",
          "est.",
          "Fig.",
          "Figs.",
          "fig.",
          "figs.",
          "Eq.",
          "Eqs.",
          "eq.",
          "Sec.",
          "sec.",
          "No.",
          "Nos.",
          "Vol.",
          "vol.",
          "vols.",
          "pp.",
          "p.",
          "Ch.",
          "ch.",
          "ed.",
          "eds.",
          "Jan.",
          "Feb.",
          "Mar.",
          "Apr.",
          "Jun.",
          "Jul.",
          "Aug.",
          "Sep.",
          "Sept.",
          "Oct.",
          "Nov.",
          "Dec.",
          // German, French, Spanish, Portuguese, Italian
          "bzw.",
          "ggf.",
          "vgl.",
          "Nr.",
          "Str.",
          "usw.",
          "evtl.",
          "Hr.",
          "Fr.",
          "Jh.",
          "geb.",
          "Abs.",
          "Mio.",
          "Mrd.",
          "inkl.",
          "Mme.",
          "Mlle.",
          "env.",
          "Sra.",
          "Srta.",
          "Dra.",
          "Sres.",
          "Avda.",
          "Av.",
          "pág.",
          "núm.",
          "Exmo.",
          "Sig.",
          "dott.",
          "pag.");

  /** Times of day end sentences as often as not; there UAX 29 decides by what follows. */
  private static final Set<String> TIMES = Set.of("a.m.", "p.m.", "A.M.", "P.M.", "I.");

  /** Initials, and words of single letters: "J.", "J.K.", "U.S.", "e.g.", "z.B.". */
  private static final Pattern INITIALS = Pattern.compile("\\p{Lu}\\.|(\\p{L}\\.){2,}");

  /**
   * A word of more letters and stops is no abbreviation. Room for initials of eight letters, and
   * for every known abbreviation. Without a bound each boundary of a text like "..A..A" would look
   * back to the text's beginning.
   */
  private static final int LONGEST_ABBREVIATION = 16;

  private static final int LONGEST_LIST_NUMBER = 3;

  private final BreakIterator sentences;

  public Partitioner() {
    sentences = BreakIterator.getSentenceInstance(ULocale.ROOT);
  }

  /** The paragraphs of a text, without the breaks between them. */
  public List<Span> paragraphs(String text) {
    List<Span> paragraphs = new ArrayList<>();
    int start = firstVisible(text, 0, text.length());
    int at = start;
    while (at < text.length()) {
      if (!isWhite(text.charAt(at))) {
        at++;
        continue;
      }
      int end = firstVisible(text, at, text.length());
      if (isParagraphBreak(text, at, end)) {
        paragraphs.add(new Span(start, at));
        start = end;
      }
      at = end;
    }
    if (start < text.length()) {
      paragraphs.add(new Span(start, text.length()));
    }
    return paragraphs;
  }

  /** The sentences of a text, paragraph by paragraph. */
  public List<Span> sentences(String text) {
    List<Span> all = new ArrayList<>();
    for (Span paragraph : paragraphs(text)) {
      for (Span sentence : sentencesOfParagraph(paragraph.in(text))) {
        all.add(sentence.shift(paragraph.start()));
      }
    }
    return all;
  }

  private List<Span> sentencesOfParagraph(String paragraph) {
    List<Integer> boundaries = new ArrayList<>();
    sentences.setText(masked(paragraph));
    for (int at = sentences.first(); at != BreakIterator.DONE; at = sentences.next()) {
      if (at == paragraph.length() || !endsInAbbreviation(paragraph, at)) {
        boundaries.add(at);
      }
    }
    List<Span> pieces = new ArrayList<>();
    for (int i = 1; i < boundaries.size(); i++) {
      addClauses(paragraph, boundaries.get(i - 1), boundaries.get(i), pieces);
    }
    return joinFragments(paragraph, pieces);
  }

  /** Whether the last word before a boundary is an abbreviation and the line goes on after it. */
  private static boolean endsInAbbreviation(String text, int boundary) {
    int end = lastVisible(text, boundary) + 1;
    for (int i = end; i < boundary; i++) {
      if (isLineBreak(text.charAt(i))) {
        return false;
      }
    }
    int start = end;
    while (start > 0
        && (Character.isLetter(text.charAt(start - 1)) || text.charAt(start - 1) == '.')) {
      start--;
      if (end - start > LONGEST_ABBREVIATION) {
        return false;
      }
    }
    String word = text.substring(start, end);
    return ABBREVIATIONS.contains(word)
        || (INITIALS.matcher(word).matches() && !TIMES.contains(word));
  }

  /**
   * The text that boundaries are looked for in: of the same length, with line breaks of
   * hard-wrapped text as spaces and reference marks after a terminator as closing brackets, which
   * UAX 29 keeps with the sentence.
   */
  private static String masked(String text) {
    char[] chars = text.toCharArray();
    for (int i = 0; i < chars.length; i++) {
      if (isLineBreak(chars[i])) {
        int next = firstVisible(text, i, text.length());
        int before = lastVisible(text, i);
        if (next < text.length()
            && Character.isLowerCase(text.codePointAt(next))
            && before >= 0
            && !isTerminator(text.charAt(before))) {
          chars[i] = ' ';
        }
      } else if (chars[i] == '[' && i > 0 && isTerminatorOrMark(text.charAt(i - 1), chars[i - 1])) {
        int end = endOfReferenceMark(text, i);
        for (int k = i; k < end; k++) {
          chars[k] = ')';
        }
      }
    }
    return new String(chars);
  }

  private static boolean isTerminatorOrMark(char original, char masked) {
    return isTerminator(original) || (original == ']' && masked == ')');
  }

  /** One past "[12]" or "[a]" that starts at {@code from}; {@code from} if there is none. */
  private static int endOfReferenceMark(String text, int from) {
    int at = from + 1;
    while (at < text.length()
        && at - from <= LONGEST_LIST_NUMBER
        && Character.isLetterOrDigit(text.charAt(at))) {
      at++;
    }
    return at > from + 1 && at < text.length() && text.charAt(at) == ']' ? at + 1 : from;
  }

  /** Adds a piece, cut after white space that stands between two Thai or Lao letters. */
  private static void addClauses(String text, int from, int to, List<Span> pieces) {
    int start = from;
    int at = from;
    while (at < to) {
      if (!isWhite(text.charAt(at))) {
        at++;
        continue;
      }
      int end = firstVisible(text, at, to);
      if (at > start && end < to && endsInClauseScript(text.charAt(at - 1), text.charAt(end))) {
        pieces.add(new Span(start, end));
        start = end;
      }
      at = end;
    }
    if (start < to) {
      pieces.add(new Span(start, to));
    }
  }

  private static boolean endsInClauseScript(char before, char after) {
    return isThaiOrLao(before) && isThaiOrLao(after);
  }

  private static boolean isThaiOrLao(char c) {
    return (c >= '\u0E01' && c <= '\u0E4E') || (c >= '\u0E81' && c <= '\u0ECD');
  }

  /**
   * Gives list markers and lone punctuation to the piece after them, the last one to the piece
   * before.
   */
  private static List<Span> joinFragments(String text, List<Span> pieces) {
    List<Span> joined = new ArrayList<>();
    int start = -1;
    for (Span piece : pieces) {
      int from = start < 0 ? piece.start() : start;
      if (isFragment(text, piece)) {
        start = from;
      } else {
        joined.add(new Span(from, piece.end()));
        start = -1;
      }
    }
    if (start >= 0) {
      int end = pieces.get(pieces.size() - 1).end();
      if (joined.isEmpty()) {
        joined.add(new Span(start, end));
      } else {
        Span last = joined.remove(joined.size() - 1);
        joined.add(new Span(last.start(), end));
      }
    }
    return joined;
  }

  /** Whether a piece has no letter and no symbol of its own, and at most a short number. */
  private static boolean isFragment(String text, Span piece) {
    int digits = 0;
    boolean endsLine = false;
    int at = piece.start();
    while (at < piece.end()) {
      int codePoint = text.codePointAt(at);
      if (Character.isLetter(codePoint) || Character.isSupplementaryCodePoint(codePoint)) {
        return false;
      }
      digits += Character.isDigit(codePoint) ? 1 : 0;
      endsLine |=
          codePoint < Character.MIN_SUPPLEMENTARY_CODE_POINT && isLineBreak((char) codePoint);
      at += Character.charCount(codePoint);
    }
    return digits == 0 || (digits <= LONGEST_LIST_NUMBER && !endsLine);
  }

  /** Whether characters [from, to), white space above all, have a paragraph break among them. */
  public static boolean isParagraphBreak(String text, int from, int to) {
    int lines = 0;
    for (int i = from; i < to; i++) {
      char c = text.charAt(i);
      if (c == '\u2029') {
        return true;
      }
      boolean secondHalf = c == '\n' && i > from && text.charAt(i - 1) == '\r';
      lines += isLineBreak(c) && !secondHalf ? 1 : 0;
    }
    return lines >= 2;
  }

  private static boolean isLineBreak(char c) {
    return c == '\n' || c == '\r' || c == '\u0085' || c == '\u2028' || c == '\u2029';
  }

  private static boolean isTerminator(char c) {
    return c == '.'
        || c == '!'
        || c == '?'
        || c == ':'
        || c == ';'
        || c == '\u2026'
        || c == '\u3002'
        || c == '\uFF01'
        || c == '\uFF1F'
        || c == '\u061F'
        || c == '\u0964'
        || c == '\u0965';
  }

  private static int lastVisible(String text, int before) {
    int at = before - 1;
    while (at >= 0 && isWhite(text.charAt(at))) {
      at--;
    }
    return at;
  }
}
