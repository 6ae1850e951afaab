package dev.whence.engine.kernel;

import dev.whence.engine.TrunkReuse;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import java.util.Optional;

/**
 * Keys and values of closed trunks, so that the next trunk with the same beginning (another sample
 * of one prompt, the same system prompt and documents) computes only what differs. The room of a
 * trunk is handed on as it is: nothing is copied.
 *
 * <p>A trunk that takes over a part has the same log-probabilities up to rounding: its matrix
 * products have other shapes.
 */
final class TrunkCache implements AutoCloseable {
  /** A shorter beginning is not worth another sequence of matrix shapes. */
  static final int LEAST_TOKENS = 16;

  private final long most;
  private final Deque<Entry> entries = new ArrayDeque<>(); // last used first
  private long bytes;
  private volatile TrunkReuse statistics = TrunkReuse.NONE;

  /**
   * @param most bytes of keys and values that are kept; 0 = none
   */
  TrunkCache(long most) {
    this.most = most;
  }

  @SuppressWarnings("ArrayRecordComponent") // token ids; compared nowhere
  private record Entry(int[] tokens, KeyValues room) {}

  /**
   * Room whose first tokens are computed.
   *
   * @param reused how many
   */
  record Match(KeyValues room, int reused) {}

  /**
   * Takes out the room of the trunk with the longest common beginning that is long enough for the
   * new one.
   *
   * @param atMost tokens that may be taken over
   */
  Optional<Match> take(int[] tokens, int atMost) {
    Entry best = null;
    int longest = LEAST_TOKENS - 1;
    for (Entry entry : entries) {
      int differ = Arrays.mismatch(entry.tokens(), tokens);
      int common = Math.min(differ < 0 ? tokens.length : differ, atMost);
      boolean worthwhile = 2 * common >= entry.tokens().length; // what is taken over is gone
      if (worthwhile && common > longest && entry.room().capacity() >= tokens.length) {
        best = entry;
        longest = common;
      }
    }
    boolean hit = best != null;
    TrunkReuse before = statistics;
    statistics =
        new TrunkReuse(
            before.trunks() + 1,
            before.hits() + (hit ? 1 : 0),
            before.tokens() + tokens.length,
            before.reused() + (hit ? longest : 0));
    if (best == null) {
      return Optional.empty();
    }
    entries.remove(best);
    bytes -= best.room().bytes();
    return Optional.of(new Match(best.room(), longest));
  }

  /** Keeps the room of a closed trunk, or frees it where there is no place. */
  void keep(int[] tokens, KeyValues room) {
    if (room.bytes() > most) {
      room.close();
      return;
    }
    entries.addFirst(new Entry(tokens, room));
    bytes += room.bytes();
    shrink(most);
  }

  /** Frees the trunks that were used longest ago, until so many bytes are left at most. */
  void shrink(long left) {
    while (bytes > left) {
      Entry last = entries.removeLast();
      bytes -= last.room().bytes();
      last.room().close();
    }
  }

  /** Capacity to ask for, so that a longer continuation fits, too. */
  int capacity(int tokens, int longest) {
    return most == 0 ? tokens : Math.max(tokens, Math.min(longest, tokens + tokens / 8 + 64));
  }

  long bytes() {
    return bytes;
  }

  /** So far. Any thread. */
  TrunkReuse statistics() {
    return statistics;
  }

  @Override
  public void close() {
    for (Iterator<Entry> all = entries.iterator(); all.hasNext(); all.remove()) {
      all.next().room().close();
    }
    bytes = 0;
  }
}
