package dev.whence.engine.kernel;

import static dev.whence.engine.kernel.AttentionForm.FUSED;
import static dev.whence.engine.kernel.AttentionForm.PRODUCTS;
import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.View;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** What a plan lets each row see, read as the kernel reads it. */
class AttentionPlanTest {

  @Test
  void shortRunsShareABlock() {
    assertThat(blocks(positions(12, 12))).containsExactly(24);
    assertThat(blocks(positions(24, 1))).containsExactly(24, 1);
    assertThat(blocks(positions(3, 4, 5, 300))).containsExactly(12, 128, 128, 44);
    assertThat(blocks(positions(300, 2, 2))).containsExactly(128, 128, 44, 4);
  }

  @Test
  void viewsWithLessThan128KeysBetweenThemAreOneRange() {
    int[] positions = {1000, 1001};
    assertThat(plan(PRODUCTS, positions, 0, new View(0, 10, 0), new View(137, 150, 0)).ranges)
        .isEqualTo(1);
    assertThat(plan(PRODUCTS, positions, 0, new View(0, 10, 0), new View(138, 150, 0)).ranges)
        .isEqualTo(2);
  }

  @Test
  void fusedAttentionHasABlockForARunHoweverLongAndJoinsNearViews() {
    int most = AttentionPlan.BLOCK_ROWS;
    assertThat(blocks(FUSED, positions(3, 4, 5, 300), most)).containsExactly(12, 300);
    assertThat(blocks(FUSED, positions(8, 3, 5, 48), most)).containsExactly(64);
    assertThat(blocks(FUSED, positions(8, 3, 5, 49), most)).containsExactly(16, 49);
    int[] positions = {1000, 1001};
    View first = new View(0, 10, 0);
    assertThat(plan(FUSED, positions, 0, first, new View(42, 50, 0)).ranges).isEqualTo(2);
    assertThat(plan(FUSED, positions, 0, first, new View(41, 50, 0)).ranges).isEqualTo(1);
    // its rows see different keys, so it has scores and is cut
    int[] within = positions(300);
    assertThat(plan(FUSED, within, 60).blockRows).containsExactly(128, 128, 44);
  }

  @Property(tries = 500)
  void eachRowSeesWhatTheRuleOfSightSays(
      @ForAll long seed,
      @ForAll @IntRange(min = 0, max = 60) int window,
      @ForAll AttentionForm form) {
    Random random = new Random(seed);
    List<View> views = new ArrayList<>();
    int from = random.nextInt(3);
    int shift = 0;
    for (int v = random.nextInt(6); v >= 0; v--) {
      int to = from + random.nextInt(40);
      shift = random.nextInt(3) == 0 ? random.nextInt(20) : shift;
      views.add(new View(from, to, Math.min(shift, from)));
      from = to + random.nextInt(random.nextInt(4) == 0 ? 200 : 5);
    }
    int[] positions = new int[1 + random.nextInt(60)];
    int position = random.nextInt(100);
    for (int i = 0; i < positions.length; i++) {
      positions[i] = position;
      position += random.nextInt(5) == 0 ? 1 + random.nextInt(30) : 1;
    }
    Plan plan = plan(form, positions, window, views.toArray(View[]::new));
    long pairs = 0;
    for (int row = 0; row < positions.length; row++) {
      TreeSet<String> wanted = new TreeSet<>();
      for (View view : views) {
        for (int k = view.from(); k < view.to(); k++) {
          if (sees(positions[row], k - view.shift(), window)) {
            wanted.add("trunk " + k);
          }
        }
      }
      for (int other = 0; other < row; other++) {
        if (sees(positions[row], positions[other], window)) {
          wanted.add("own " + other);
        }
      }
      wanted.add("own " + row);
      assertThat(plan.seen.get(row)).isEqualTo(wanted);
      pairs += wanted.size();
    }
    assertThat(plan.pairs).isEqualTo(pairs);
  }

  private static boolean sees(int position, int key, int window) {
    return key < position && (window == 0 || position - key < window);
  }

  /** Runs of so many positions, with a gap after each. */
  private static int[] positions(int... runs) {
    IntStream.Builder positions = IntStream.builder();
    int next = 0;
    for (int run : runs) {
      for (int i = 0; i < run; i++) {
        positions.add(next++);
      }
      next += 10;
    }
    return positions.build().toArray();
  }

  private static List<Integer> blocks(int[] positions) {
    return blocks(PRODUCTS, positions, AttentionPlan.BLOCK_ROWS);
  }

  /** Rows of each block of a branch that sees nothing of the trunk. */
  private static List<Integer> blocks(AttentionForm form, int[] positions, int blockRows) {
    AttentionPlan.Builder builder = new AttentionPlan.Builder(form, blockRows, 0, 3);
    builder.add(0, positions, 0, positions.length, List.of(), new int[0]);
    return Plan.read(builder.build(), positions.length, false).blockRows;
  }

  private static Plan plan(AttentionForm form, int[] positions, int window, View... views) {
    List<Integer> shifts = new ArrayList<>(List.of(0));
    int[] rotations = new int[views.length];
    for (int v = 0; v < views.length; v++) {
      if (!shifts.contains(views[v].shift())) {
        shifts.add(views[v].shift());
      }
      rotations[v] = shifts.indexOf(views[v].shift());
    }
    AttentionPlan.Builder builder =
        new AttentionPlan.Builder(form, AttentionPlan.BLOCK_ROWS, window, 3);
    builder.add(0, positions, 0, positions.length, List.of(views), rotations);
    return Plan.read(builder.build(), positions.length, true);
  }

  private static final class Plan {
    final List<TreeSet<String>> seen = new ArrayList<>();
    final List<Integer> blockRows = new ArrayList<>();
    int ranges;
    long pairs;

    static Plan read(AttentionPlan plan, int rows, boolean keys) {
      Plan read = new Plan();
      read.pairs = plan.pairs();
      for (int row = 0; row < rows; row++) {
        read.seen.add(new TreeSet<>());
      }
      long[] code = plan.code();
      int i = 1;
      int limit = 0;
      int hidden = 1;
      for (long b = 0; b < code[0]; b++) {
        int start = (int) code[i];
        int end = (int) code[i + 1];
        boolean masked = code[i + 2] >= 0;
        boolean fused = code[i + 2] < -1;
        boolean limited = masked || code[i + 2] == -3;
        if (masked) {
          assertThat(code[i + 2]).isEqualTo(hidden++);
        }
        TreeSet<Integer> holes = new TreeSet<>();
        for (int h = 0; h < code[i + 4]; h++) {
          holes.add((int) code[i + 5 + h]);
        }
        if (fused || !holes.isEmpty()) {
          assertThat(code[i + 3]).isEqualTo(hidden);
        } else {
          assertThat(code[i + 3]).isEqualTo(-1);
        }
        hidden += !fused && !holes.isEmpty() ? 1 : 0;
        i += 5 + (int) code[i + 4];
        read.blockRows.add(end - start);
        int column = 0;
        int groups = (int) code[i++];
        for (int g = 0; g < groups; g++) {
          long own = code[i + 1];
          long ownEnd = code[i + 2];
          int ranges = (int) code[i + 3];
          i += 4;
          read.ranges += ranges;
          hidden += fused && ranges > 0 ? 1 : 0;
          hidden += fused && ownEnd - own > end - start ? 1 : 0;
          for (int r = 0; r <= ranges; r++) {
            boolean ofTrunk = r < ranges;
            long from = ofTrunk ? code[i] : own;
            long to = ofTrunk ? code[i + 1] : ownEnd;
            i += ofTrunk ? 2 : 0;
            if (to == from) {
              continue;
            }
            for (int row = start; keys && row < end; row++) {
              for (long key = from; key < to; key++) {
                boolean visible = !holes.contains(column + (int) (key - from));
                if (ofTrunk ? limited : masked) {
                  int at = limit + 2 * (row - start);
                  visible &= key >= plan.limits()[at] && key < plan.limits()[at + 1];
                } else if (!ofTrunk) {
                  visible &= key <= row; // the triangle
                }
                if (visible) {
                  read.seen.get(row).add((ofTrunk ? "trunk " : "own ") + key);
                }
              }
            }
            limit += (ofTrunk ? limited : masked) ? 2 * (end - start) : 0;
            column += (int) (to - from);
          }
        }
      }
      return read;
    }
  }
}
