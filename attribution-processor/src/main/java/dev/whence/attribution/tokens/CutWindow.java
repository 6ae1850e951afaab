package dev.whence.attribution.tokens;

import dev.whence.conversation.Span;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.Tokenizer;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * Tokenises only the surroundings of cuts, for tokenizers where that gives the same tokens as
 * tokenising everything.
 *
 * <p>A window reaches {@link #MARGIN} tokens to both sides of what is cut, from the first cut to
 * the last with all that is kept between them. Its tokens replace those of the full prompt between
 * two junctions, one on each side, where window and prompt agree on {@link #AGREEMENT} tokens to
 * the left and to the right, with the same offsets. Byte-pair encodings make that sound: a sequence
 * of tokens is the encoding of its text if every pair of neighbours is the encoding of theirs, and
 * each pair of the spliced sequence stands in one of the two encodings; a pre-tokenizer scans from
 * left to right and is in step again where its cuts agree. Without such junctions the window grows
 * until it is the whole text.
 *
 * <p>Nothing in the interface of a tokenizer promises that it is such an encoding. So before the
 * first window a tokenizer is put to the test on a text of many scripts, with cuts everywhere in
 * it, and if any one of them comes out differently, windows are never used for it.
 */
public final class CutWindow {
  private static final int MARGIN = 32;
  private static final int AGREEMENT = 4;

  /** Of the cuts of the probe, so many have to give a window, else it has proved nothing. */
  private static final double FEWEST_FORMED = 0.5;

  /** From so many characters on a few cuts gain what the test costs. */
  private static final int WORTHWHILE_AT_ONCE = 8_000;

  /** Below so many characters a window is hardly shorter than the whole. */
  private static final int WORTHWHILE = 2_000;

  /** So many cuts of texts between the two cost what the test does, some .4 s. */
  private static final int CUTS_BEFORE = 100;

  /** What is known of a tokenizer is known to all who read with it. */
  private static final Map<Tokenizer, CutWindow> KNOWN =
      Collections.synchronizedMap(new WeakHashMap<>());

  /** Each line has what breaks naive windows: digits, runs of spaces, marks, scripts, emoji. */
  private static final String PROBE =
      """
      The 2nd prize, $1,234,567.89, wasn't theirs.  It's 3.14159265358979 or so...\n\n
      \tindent    spaces \n \n\n mixed\r\n\r\nline ends.[12] Next (see "quotes")!?\n
      東京は日本の首都です。人口は約1400万人。你好,世界!中文没有空格。
      ประเทศไทย ภาษาไทยไม่มีช่องว่างระหว่างคำ हिन्दी में वाक्य। दूसरा वाक्य है।
      العربية لغة جميلة. هل تفهم؟ naïve façade Straße ÅÄÖ e\u0301 \u00a0 nbsp
      👍🏽 👩‍👩‍👧‍👦 🇩🇪🇫🇷 𝒳𝒴𝒵 x_y-z/w\\v http://a.b/c?d=e&f=1#g <b>tags</b> {"k": [1, 2]}
      aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 11111111111111111111111111 ______________________
      Supercalifragilisticexpialidocious; antidisestablishmentarianism? Yes. No. I'll we're
      """;

  private final int threshold;
  private final int thresholdAtOnce;
  private final AtomicInteger cutsBefore = new AtomicInteger();
  private volatile @Nullable Boolean local;

  /** Windows for texts that are long enough to gain by them. */
  public static CutWindow of(Tokenizer tokenizer) {
    return KNOWN.computeIfAbsent(
        tokenizer, unknown -> new CutWindow(WORTHWHILE, WORTHWHILE_AT_ONCE));
  }

  /** Windows for texts of so many characters, from the first on. */
  CutWindow(int threshold) {
    this(threshold, threshold);
  }

  private CutWindow(int threshold, int thresholdAtOnce) {
    this.threshold = threshold;
    this.thresholdAtOnce = thresholdAtOnce;
  }

  /**
   * Whether the next cut, of a text of so many characters, is to have a window; counts the cuts.
   */
  boolean nextIsWorthwhile(int characters) {
    return characters >= thresholdAtOnce
        || (characters >= threshold
            && (local != null || cutsBefore.incrementAndGet() > CUTS_BEFORE));
  }

  /**
   * The tokens of a text without some spans, or null if they have to be computed from the whole
   * text.
   *
   * @param full encoding of {@code text}
   * @param cuts at least one, sorted and disjoint
   */
  int @Nullable [] cut(Tokenizer tokenizer, String text, Encoding full, List<Span> cuts) {
    return tested(tokenizer) ? splice(tokenizer, text, full, cuts) : null;
  }

  private boolean tested(Tokenizer tokenizer) {
    Boolean known = local;
    if (known == null) {
      synchronized (this) {
        known = local;
        if (known == null) {
          known = isLocal(tokenizer);
          local = known;
        }
      }
    }
    return known;
  }

  /** Has a tokenizer tested before its first cut: for measurements, of which none is to pay it. */
  public static void settle(Tokenizer tokenizer) {
    boolean unused = of(tokenizer).tested(tokenizer);
  }

  /**
   * Tries cuts of a few lengths all over the probe text. A tokenizer is local if no window gives
   * other tokens than the whole text, and enough windows were formed to say so.
   */
  static boolean isLocal(Tokenizer tokenizer) {
    int tried = 0;
    int formed = 0;
    String probe = PROBE + PROBE;
    Encoding full = tokenizer.encode(probe);
    int[] lengths = {1, 7, 40};
    for (int start = 0; start < PROBE.length(); start += 3) {
      int length = lengths[(start / 3) % lengths.length];
      int from = onBoundary(probe, start + PROBE.length() / 2);
      int to = onBoundary(probe, Math.min(from + length, probe.length()));
      int[] windowed = splice(tokenizer, probe, full, List.of(new Span(from, to)));
      int[] whole = tokenizer.encode(probe.substring(0, from) + probe.substring(to)).ids();
      tried++;
      if (windowed != null) {
        if (!Arrays.equals(windowed, whole)) {
          return false;
        }
        formed++;
      }
    }
    return formed >= tried * FEWEST_FORMED;
  }

  private static int onBoundary(String text, int at) {
    return at > 0 && at < text.length() && Character.isLowSurrogate(text.charAt(at)) ? at + 1 : at;
  }

  private static int @Nullable [] splice(
      Tokenizer tokenizer, String text, Encoding full, List<Span> cuts) {
    int tokens = full.length();
    int start = cuts.get(0).start();
    int end = cuts.get(cuts.size() - 1).end();
    String between = without(text, start, end, cuts);
    int left = TokenizedPrompt.firstAtOrAfter(full.starts(), start);
    int right = TokenizedPrompt.firstAtOrAfter(full.starts(), end);
    for (int margin = MARGIN; ; margin *= 2) {
      int first = Math.max(0, left - margin);
      int last = Math.min(tokens, right + margin);
      while (first > 0 && full.starts()[first] < full.ends()[first - 1]) {
        first--;
      }
      while (last < tokens && full.starts()[last] < full.ends()[last - 1]) {
        last++;
      }
      if (first == 0 && last == tokens) {
        return null;
      }
      int from = first == 0 ? 0 : full.starts()[first];
      int to = last == tokens ? text.length() : full.starts()[last];
      Encoding window =
          tokenizer.encode(text.substring(from, start) + between + text.substring(end, to));
      int removed = end - start - between.length();
      Junction head =
          first == 0
              ? new Junction(0, 0)
              : junction(full, window, first, left, from, Integer.MIN_VALUE, start - from);
      Junction tail =
          last == tokens
              ? new Junction(tokens, window.length())
              : junction(
                  full,
                  window,
                  right,
                  last,
                  from + removed,
                  end - removed - from,
                  Integer.MAX_VALUE);
      if (head != null && tail != null && head.window() <= tail.window()) {
        return spliced(full.ids(), window.ids(), head, tail);
      }
    }
  }

  /** A range of the text without the cuts in it. */
  static String without(String text, int from, int to, List<Span> cuts) {
    StringBuilder kept = new StringBuilder(to - from);
    int at = from;
    for (Span cut : cuts) {
      kept.append(text, at, cut.start());
      at = cut.end();
    }
    return kept.append(text, at, to).toString();
  }

  /** The same place in both encodings. */
  private record Junction(int full, int window) {}

  /**
   * A token of the prompt in [from, to) around which the window has the same tokens.
   *
   * @param offset where the window's text stands in the prompt's, on this side of the cut
   * @param low all agreeing tokens of the window start at or after this position of the window
   * @param high and end at or before this one
   */
  private static @Nullable Junction junction(
      Encoding full, Encoding window, int from, int to, int offset, int low, int high) {
    for (int at = from + AGREEMENT; at + AGREEMENT <= to; at++) {
      int inWindow = TokenizedPrompt.firstAtOrAfter(window.starts(), full.starts()[at] - offset);
      if (agrees(full, window, at, inWindow, offset, low, high)) {
        return new Junction(at, inWindow);
      }
    }
    return null;
  }

  private static boolean agrees(
      Encoding full, Encoding window, int at, int inWindow, int offset, int low, int high) {
    if (inWindow < AGREEMENT || inWindow + AGREEMENT > window.length()) {
      return false;
    }
    for (int k = -AGREEMENT; k < AGREEMENT; k++) {
      int w = inWindow + k;
      if (full.ids()[at + k] != window.ids()[w]
          || full.starts()[at + k] - offset != window.starts()[w]
          || full.ends()[at + k] - offset != window.ends()[w]
          || window.starts()[w] < low
          || window.ends()[w] > high) {
        return false;
      }
    }
    // Not between tokens that share a character: there the index found need not be the same place.
    return full.starts()[at] >= full.ends()[at - 1];
  }

  private static int[] spliced(int[] full, int[] window, Junction head, Junction tail) {
    int middle = tail.window() - head.window();
    int[] ids = new int[head.full() + middle + full.length - tail.full()];
    System.arraycopy(full, 0, ids, 0, head.full());
    System.arraycopy(window, head.window(), ids, head.full(), middle);
    System.arraycopy(full, tail.full(), ids, head.full() + middle, full.length - tail.full());
    return ids;
  }
}
