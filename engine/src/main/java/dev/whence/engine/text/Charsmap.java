package dev.whence.engine.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Base64;
import java.util.BitSet;
import java.util.Deque;

/**
 * The normalizer that SentencePiece compiles into a model (precompiled_charsmap), read as the
 * tokenizers library reads it, which ends the process where it is damaged:
 *
 * <pre>
 *   u32   bytes of the trie
 *   u32*  a double array (darts-clone): of a unit, bits 0 to 7 and 31 are the label, bit 8 says
 *         that a value follows, the others give the offset of its children
 *   ...   replacements in UTF-8, each up to a zero; values are positions there
 * </pre>
 */
final class Charsmap {
  /** Those of T5 and XLM-R have 240 KB. */
  private static final int MOST_BYTES = 4 << 20;

  private static final int LABEL = 0x8000_00ff;
  private static final int VALUE = 0x7fff_ffff;

  private final String origin;
  private final int[] units;
  private final byte[] replacements;

  private Charsmap(String origin, int[] units, byte[] replacements) {
    this.origin = origin;
    this.units = units;
    this.replacements = replacements;
  }

  /**
   * Characters of the longest replacement.
   *
   * @throws EngineException of kind MODEL if it is damaged, or far larger than known ones
   */
  static int longest(JsonNode base64, String origin) {
    byte[] bytes = bytes(base64, origin);
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    long trie = bytes.length < Integer.BYTES ? -1 : Integer.toUnsignedLong(in.getInt());
    if (trie < Integer.BYTES || trie > in.remaining()) {
      throw damaged(origin);
    }
    int[] units = new int[(int) (trie / Integer.BYTES)];
    for (int i = 0; i < units.length; i++) {
      units[i] = in.getInt();
    }
    byte[] replacements = Arrays.copyOfRange(bytes, in.position(), bytes.length);
    CharBuffer text;
    try {
      text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(replacements));
    } catch (CharacterCodingException e) {
      throw damaged(origin);
    }
    new Charsmap(origin, units, replacements).check();
    int longest = 0;
    int begin = 0;
    for (int i = 0; i <= text.length(); i++) {
      if (i == text.length() || text.charAt(i) == 0) {
        longest = Math.max(longest, i - begin);
        begin = i + 1;
      }
    }
    return longest;
  }

  private static byte[] bytes(JsonNode base64, String origin) {
    String text = base64.asText();
    if (text.length() > MOST_BYTES / 3 * 4) {
      throw new EngineException(
          Kind.MODEL, origin + ": its precompiled_charsmap has more than " + MOST_BYTES + " bytes");
    }
    try {
      byte[] bytes = Base64.getDecoder().decode(text);
      if (base64.isTextual() && Base64.getEncoder().encodeToString(bytes).equals(text)) {
        return bytes;
      }
    } catch (IllegalArgumentException e) {
      // is said below
    }
    throw damaged(origin);
  }

  private static EngineException damaged(String origin) {
    return new EngineException(Kind.MODEL, origin + ": its precompiled_charsmap is damaged");
  }

  /** Goes every way that some text could take through the trie. */
  private void check() {
    BitSet seen = new BitSet(units.length);
    Deque<Integer> open = new ArrayDeque<>();
    go(0, seen, open);
    while (!open.isEmpty()) {
      int node = open.pop();
      for (int c = 1; c < 256; c++) {
        int child = inside(node ^ c);
        if ((units[child] & LABEL) == c) {
          int next = go(child, seen, open);
          if ((units[child] >> 8 & 1) == 1) {
            checkValue(units[next] & VALUE);
          }
        }
      }
    }
  }

  /** From a unit to where its children are. */
  private int go(int unit, BitSet seen, Deque<Integer> open) {
    long offset = (long) (units[unit] >>> 10) << ((units[unit] & 1 << 9) >> 6);
    int next = inside(unit ^ offset);
    if (!seen.get(next)) {
      seen.set(next);
      open.push(next);
    }
    return next;
  }

  private int inside(long unit) {
    if (unit >= units.length) {
      throw damaged(origin);
    }
    return (int) unit;
  }

  private void checkValue(int position) {
    boolean inside = position <= replacements.length;
    boolean within =
        inside && position < replacements.length && (replacements[position] & 0xc0) == 0x80;
    if (!inside || within) {
      throw damaged(origin);
    }
  }
}
