package dev.whence.engine.kernel;

import dev.whence.engine.View;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which keys each block of own tokens attends to, as the kernel's method {@code attend} reads it.
 *
 * <p>The rule of sight: an own token at position p sees a viewed trunk token k iff k - shift < p,
 * and an earlier own token (positions are increasing) and itself; with a sliding window of W, only
 * those at p - W + 1 or later. So what a row sees of a range is an interval, whose ends move up
 * with the position: a block of rows needs the keys from its first row's first to its last row's
 * last, and a mask only where its rows differ. Keys that no row of a block sees are not touched,
 * but for a few between two views of one rotation ({@link AttentionForm#near()}): they are computed
 * and hidden.
 *
 * @param code blocks, then each block as the kernel text says
 * @param limits of the masked blocks: per range and row the visible interval, its holes included
 * @param pairs pairs of a token and a key that it sees, over all blocks
 */
@SuppressWarnings("ArrayRecordComponent") // handed to the kernel; compared nowhere
record AttentionPlan(long[] code, long[] limits, long pairs) {

  /** Rows of one block: enough for a matrix product at full speed, few enough for the cache. */
  static final int BLOCK_ROWS = 128;

  /** Most rows of several runs in one block. */
  static final int SHORT_ROWS = 24;

  /**
   * The same in the fused form, which arranges the keys anew for each block: a few healed tokens
   * and a short tail together are faster than apart.
   */
  static final int SHORT_FUSED_ROWS = 64;

  /**
   * Most elements of the mask of a fused block, for all heads that share a key head: it is kept for
   * the time of the pack.
   */
  private static final long FUSED_MASK = 1 << 19;

  /** Fewer rows are padded to so many by the fused form, which does not pay. */
  private static final int FUSED_ROWS = 16;

  /** The kernel's number for a block without a mask that has scores. */
  private static final long CAUSAL = -1;

  /** The kernel's number for a fused block. */
  private static final long FUSED = -2;

  /** The kernel's number for a fused block whose rows see different trunk keys. */
  private static final long FUSED_RAGGED = -3;

  /** Collects the blocks of the branches of a pack. */
  static final class Builder {
    private final AttentionForm form;
    private final int blockRows;
    private final int window;
    private final int sharing;
    private final LongList code = new LongList();
    private final LongList limits = new LongList();
    private int blocks;
    private int hidden = 1; // after the causal triangle
    private long pairs;

    /**
     * @param blockRows most rows of a block that has scores
     * @param window of sliding-window attention, 0 = none
     * @param sharing query heads that share a key head
     */
    Builder(AttentionForm form, int blockRows, int window, int sharing) {
      this.form = form;
      this.blockRows = blockRows;
      this.window = window;
      this.sharing = sharing;
      code.add(0);
    }

    /**
     * Adds rows [from, to) of a branch. A block ends where positions leave a gap: the rows after it
     * see keys that those before it do not (what was healed, and the tail of a splice), and apart
     * each of them needs neither the other's keys nor a mask. Short runs share a block with a mask:
     * a handful of rows takes as long as one.
     *
     * @param base the pack's row of the branch's first own token
     * @param positions of the branch's own tokens
     * @param views trunk ranges that it sees
     * @param rotations number of the rotation for each view
     */
    void add(int base, int[] positions, int from, int to, List<View> views, int[] rotations) {
      int shared = Math.min(shared(views), blockRows);
      int most = form == AttentionForm.FUSED ? to - from : blockRows;
      int start = from;
      while (start < to) {
        int end = runEnd(positions, start, Math.min(to, start + most));
        while (end < to) {
          int next = runEnd(positions, end, Math.min(to, start + shared + 1));
          if (next - start > shared) {
            break;
          }
          end = next;
        }
        block(base, positions, start, end, views, rotations);
        start = end;
      }
    }

    /** Most rows of several runs in one block. */
    private int shared(List<View> views) {
      boolean fused = form == AttentionForm.FUSED && window == 0;
      return fused && isMaskSmall(SHORT_FUSED_ROWS, views) ? SHORT_FUSED_ROWS : SHORT_ROWS;
    }

    private boolean isMaskSmall(int rows, List<View> views) {
      long keys = views.stream().mapToLong(view -> view.to() - view.from()).sum();
      return keys * (rows + FUSED_ROWS) * sharing <= FUSED_MASK; // rows are padded
    }

    /** One past the last row, before a limit, whose positions go on from a row's without a gap. */
    private static int runEnd(int[] positions, int start, int limit) {
      int end = start + 1;
      while (end < limit && positions[end] == positions[end - 1] + 1) {
        end++;
      }
      return end;
    }

    private void block(
        int base, int[] positions, int start, int end, List<View> views, int[] rotations) {
      List<Range> ranges = new ArrayList<>();
      for (int v = 0; v < views.size(); v++) {
        Range range = Range.ofView(views.get(v), rotations[v], positions, start, end, window);
        if (range.to > range.from) {
          Range last = ranges.isEmpty() ? null : ranges.get(ranges.size() - 1);
          if (last != null && last.isNear(range, form.near())) {
            ranges.set(ranges.size() - 1, last.through(range));
          } else {
            ranges.add(range);
          }
        }
      }
      Range own = Range.ofOwn(base, positions, start, end, window);
      // The causal triangle over the last columns is no mask of its own.
      boolean ownCut = own.low[own.low.length - 1] > own.low[0];
      boolean ragged = ranges.stream().anyMatch(Range::ragged);
      boolean masked = ownCut || ragged;
      if (masked && end - start > blockRows) {
        for (int at = start; at < end; at += blockRows) {
          block(base, positions, at, Math.min(end, at + blockRows), views, rotations);
        }
        return;
      }
      int most = ranges.stream().mapToInt(Range::rotation).max().orElse(0);
      blocks++;
      // A mask of few rows is cheap to have for all heads at once.
      boolean fused =
          form == AttentionForm.FUSED
              && end - start >= FUSED_ROWS
              && !ownCut
              && (!ragged || (end - start <= shared(views) && isMaskSmall(end - start, views)));
      long[] holes = holes(ranges, most);
      code.add(base + start, base + end);
      if (fused) {
        code.add(ragged ? FUSED_RAGGED : FUSED, hidden, holes.length);
        hidden += parts(ranges, own, end - start);
      } else {
        code.add(masked ? hidden++ : CAUSAL);
        code.add(holes.length > 0 ? hidden++ : -1, holes.length);
      }
      code.add(holes);
      int groupsAt = code.size();
      code.add(0);
      int groups = 0;
      for (int rotation = most; rotation > 0; rotation--) {
        groups += group(rotation, ranges, null, masked, false) ? 1 : 0;
      }
      // own tokens come last: the triangle is over them
      group(0, ranges, own, masked, masked && !fused);
      code.set(groupsAt, groups + 1);
    }

    /** Of a fused block, how many parts of its keys hide some: all but the causal square. */
    private static int parts(List<Range> ranges, Range own, int rows) {
      int groups = (int) ranges.stream().mapToInt(Range::rotation).distinct().count();
      return own.to - own.from > rows ? groups + 1 : groups;
    }

    /** Columns of the holes, in the order in which groups and their ranges stand side by side. */
    private static long[] holes(List<Range> ranges, int mostRotation) {
      LongList columns = new LongList();
      long at = 0;
      for (int rotation = mostRotation; rotation >= 0; rotation--) {
        for (Range range : ranges) {
          if (range.rotation == rotation) {
            for (long hole : range.holes) {
              columns.add(at + hole - range.from);
            }
            at += range.to - range.from;
          }
        }
      }
      return columns.toArray();
    }

    /** Ranges that share a rotation, and own tokens; false where there are none. */
    private boolean group(
        int rotation,
        List<Range> ranges,
        @Nullable Range own,
        boolean limited,
        boolean ownLimited) {
      List<Range> members = ranges.stream().filter(r -> r.rotation == rotation).toList();
      if (members.isEmpty() && own == null) {
        return false;
      }
      code.add(rotation, own == null ? 0 : own.from, own == null ? 0 : own.to, members.size());
      for (Range member : members) {
        code.add(member.from, member.to);
        count(member, limited);
      }
      if (own != null) {
        count(own, ownLimited);
      }
      return true;
    }

    private void count(Range range, boolean limited) {
      for (int row = 0; row < range.low.length; row++) {
        pairs += range.seen(row);
        if (limited) {
          limits.add(range.low[row], range.high[row]);
        }
      }
    }

    AttentionPlan build() {
      code.set(0, blocks);
      return new AttentionPlan(code.toArray(), limits.toArray(), pairs);
    }
  }

  /**
   * Keys [from, to) that a block needs of a view, of several with few keys between them, or of its
   * own tokens; row i sees [low[i], high[i]) of them but for holes.
   */
  @SuppressWarnings("ArrayRecordComponent")
  private record Range(int rotation, long from, long to, long[] low, long[] high, long[] holes) {
    private static final long[] NONE = {};

    static Range ofView(View view, int rotation, int[] positions, int start, int end, int window) {
      long[] low = new long[end - start];
      long[] high = new long[end - start];
      for (int row = start; row < end; row++) {
        // k - shift < p, and p - (k - shift) < window
        long edge = (long) positions[row] + view.shift();
        low[row - start] = window > 0 ? Math.max(view.from(), edge - window + 1) : view.from();
        high[row - start] = Math.min(view.to(), edge);
      }
      return new Range(rotation, low[0], high[high.length - 1], low, high, NONE);
    }

    static Range ofOwn(int base, int[] positions, int start, int end, int window) {
      long[] low = new long[end - start];
      long[] high = new long[end - start];
      int first = 0;
      for (int row = start; row < end; row++) {
        while (window > 0 && positions[row] - positions[first] >= window) {
          first++;
        }
        low[row - start] = (long) base + first;
        high[row - start] = (long) base + row + 1;
      }
      return new Range(0, low[0], (long) base + end, low, high, NONE);
    }

    /** Whether a later one is so near that what stands between is cheaper to compute and hide. */
    boolean isNear(Range later, int near) {
      return later.rotation == rotation && later.from - to < near;
    }

    /** From here to the end of a later one: what stands between, nobody sees. */
    Range through(Range later) {
      long[] joined = Arrays.copyOf(holes, holes.length + (int) (later.from - to));
      for (int i = holes.length; i < joined.length; i++) {
        joined[i] = to + i - holes.length;
      }
      long[] end = new long[high.length];
      long[] start = new long[low.length];
      for (int row = 0; row < end.length; row++) {
        start[row] = low[row] < high[row] ? low[row] : later.low[row];
        end[row] = later.low[row] < later.high[row] ? later.high[row] : high[row];
      }
      return new Range(rotation, from, later.to, start, end, joined);
    }

    /** How many keys a row sees. */
    long seen(int row) {
      long holed = Arrays.stream(holes).filter(key -> key >= low[row] && key < high[row]).count();
      return Math.max(0, high[row] - low[row]) - holed;
    }

    /** Whether its rows see different keys. */
    boolean ragged() {
      return low[low.length - 1] > low[0] || high[0] < high[high.length - 1];
    }
  }

  /** Growing list of longs. */
  private static final class LongList {
    private long[] values = new long[64];
    private int size;

    void add(long... more) {
      if (size + more.length > values.length) {
        values = Arrays.copyOf(values, Math.max(values.length * 2, size + more.length));
      }
      System.arraycopy(more, 0, values, size, more.length);
      size += more.length;
    }

    void set(int index, long value) {
      values[index] = value;
    }

    int size() {
      return size;
    }

    long[] toArray() {
      return Arrays.copyOf(values, size);
    }
  }
}
