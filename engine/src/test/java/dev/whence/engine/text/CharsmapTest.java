package dev.whence.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.TextNode;
import dev.whence.engine.EngineException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Charsmaps made by hand: one unit for each character of a pattern, in blocks of 256. */
class CharsmapTest {
  private static final int BLOCK = 256;

  /** Of one entry: {@code e} becomes what stands at a position of the replacements. */
  static String base64(String replacements, int position, Consumer<int[]> damage) {
    int[] units = new int[3 * BLOCK];
    units[0] = BLOCK << 10; // the root's children are in the second block
    int child = BLOCK ^ 'e';
    units[child] = (child ^ (2 * BLOCK)) << 10 | 1 << 8 | 'e';
    units[2 * BLOCK] = 1 << 31 | position;
    damage.accept(units);
    byte[] text = replacements.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(Integer.BYTES * (1 + units.length) + text.length)
            .order(ByteOrder.LITTLE_ENDIAN);
    bytes.putInt(Integer.BYTES * units.length);
    for (int unit : units) {
      bytes.putInt(unit);
    }
    return Base64.getEncoder().encodeToString(bytes.put(text).array());
  }

  private static int longest(String base64) {
    return Charsmap.longest(TextNode.valueOf(base64), "tokenizer.json");
  }

  @Test
  void theLongestReplacementIsFound() {
    assertThat(longest(base64("ab\0abcdé\0x", 3, units -> {}))).isEqualTo(5);
    assertThat(longest(base64("", 0, units -> {}))).isZero();
  }

  @Test
  void whatTheLibraryWouldPanicOverIsRefused() {
    String bytes = Base64.getEncoder().encodeToString(new byte[] {-1, -1, -1, -1, 0});
    for (String bad :
        new String[] {
          "",
          "@@@",
          "AAA",
          bytes,
          base64("ab", 3, units -> {}),
          base64("é", 1, units -> {}),
          base64("ab", 0, units -> units[0] = (4 * BLOCK) << 10),
          base64("ab", 0, units -> units[BLOCK ^ 'e'] = 0x3fff << 10 | 1 << 8 | 'e'),
          base64("ab", 0, units -> units[BLOCK ^ 'e'] = 0x3fff << 10 | 1 << 9 | 'e')
        }) {
      assertThatThrownBy(() -> longest(bad))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL))
          .hasMessage("tokenizer.json: its precompiled_charsmap is damaged");
    }
  }

  /** A trie whose nodes lead back to each other is not walked for ever. */
  @Test
  void aTrieInACircleEnds() {
    int child = (2 * BLOCK) ^ 'e';
    assertThat(longest(base64("ab", 0, units -> units[child] = (child ^ BLOCK) << 10 | 'e')))
        .isEqualTo(2);
  }

  @Test
  void oneFarLargerThanKnownOnesIsRefused() {
    assertThatThrownBy(() -> longest("A".repeat((4 << 20) / 3 * 4 + 4)))
        .hasMessageContaining("more than 4194304 bytes");
  }
}
