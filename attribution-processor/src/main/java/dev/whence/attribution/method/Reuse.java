package dev.whence.attribution.method;

import dev.whence.engine.Branch;
import dev.whence.engine.View;
import java.util.ArrayList;
import java.util.List;

/** What a branch that reads an ablated prompt takes over from the trunk, and what it computes. */
sealed interface Reuse {
  /** The branch of a reading. */
  Branch branch(Reading reading);

  /**
   * An ablated prompt before its response.
   *
   * @param ids tokens of the ablated prompt, at least one
   * @param prefix how many leading ones are the full prompt's
   * @param suffix how many trailing ones are the full prompt's
   * @param full tokens of the full prompt
   * @param scoredFrom first token of the ablated prompt whose log-probability is wanted; its length
   *     if only the response's are
   * @param fullScoredFrom the same of the full prompt
   * @param response tokens
   */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  record Reading(
      int[] ids,
      int prefix,
      int suffix,
      int full,
      int scoredFrom,
      int fullScoredFrom,
      int[] response) {
    /** The row before the first scored token gives its probability, so it is never shared. */
    int sharedPrefix() {
      return Math.min(prefix, scoredFrom - 1);
    }
  }

  /** Nothing: the ablated prompt is computed from position 0. */
  record Nothing() implements Reuse {
    @Override
    public Branch branch(Reading reading) {
      return after(0, reading);
    }
  }

  /**
   * What stands before the first token that changes (the paper's "key-value caching"): exact, since
   * nothing that comes later changes it.
   */
  record Prefix() implements Reuse {
    @Override
    public Branch branch(Reading reading) {
      return after(reading.sharedPrefix(), reading);
    }
  }

  /**
   * Splice: besides the prefix, the keys and values of the context after the removed source [a, b),
   * moved down by b - a. Computed are w tokens after b, see {@link Echoes}, and everything from the
   * end of the context on.
   *
   * <pre>
   *   trunk    0 ......... a [removed] b .. healed . view . healed . view . c . question, response
   *   branch   view, shift 0         | computed     b-a    computed   b-a   | computed
   * </pre>
   *
   * <p>With w to the end of the context it is {@link Prefix}. Tokens that the cut changed are
   * computed, too.
   *
   * @param heal w, at least 0
   * @param contextEnd c: first token of the full prompt after all that is attributable
   * @param echoes of the context before c
   */
  record Spliced(int heal, int contextEnd, Echoes echoes) implements Reuse {
    @Override
    public Branch branch(Reading reading) {
      int a = reading.sharedPrefix();
      int b = reading.full() - reading.suffix();
      int shift = reading.full() - reading.ids().length;
      int end = Math.min(contextEnd, reading.fullScoredFrom() - 1);
      if (heal >= end - b || shift < 0) {
        return after(a, reading);
      }
      int[] healed = echoes.healed(a, b, end, heal);
      int changed = b - shift - a;
      int head = changed + healed.length;
      int tail = reading.ids().length - (end - shift);
      int[] positions = new int[head + tail + reading.response().length];
      for (int i = 0; i < positions.length; i++) {
        if (i < changed) {
          positions[i] = a + i;
        } else {
          positions[i] = i < head ? healed[i - changed] - shift : end - shift + i - head;
        }
      }
      int[] tokens = new int[positions.length];
      for (int i = 0; i < head + tail; i++) {
        tokens[i] = reading.ids()[positions[i]];
      }
      System.arraycopy(reading.response(), 0, tokens, head + tail, reading.response().length);
      // Nothing changed from the end of the context on, or all after the prefix would be computed.
      int scored = head + reading.scoredFrom() - (end - shift);
      return new Branch(views(a, b, end, healed, shift), tokens, positions, scored);
    }

    /** The prefix, and what of [b, end) is not healed. */
    private static List<View> views(int a, int b, int end, int[] healed, int shift) {
      List<View> views = new ArrayList<>();
      if (a > 0) {
        views.add(new View(0, a, 0));
      }
      int from = b;
      for (int token : healed) {
        if (token > from) {
          views.add(new View(from, token, shift));
        }
        from = token + 1;
      }
      if (end > from) {
        views.add(new View(from, end, shift));
      }
      return views;
    }
  }

  /** A branch that sees the trunk's first tokens and computes all that comes after them. */
  private static Branch after(int shared, Reading reading) {
    int own = reading.ids().length - shared;
    int[] tokens = new int[own + reading.response().length];
    System.arraycopy(reading.ids(), shared, tokens, 0, own);
    System.arraycopy(reading.response(), 0, tokens, own, reading.response().length);
    int[] positions = new int[tokens.length];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = shared + i;
    }
    List<View> views = shared == 0 ? List.of() : List.of(new View(0, shared, 0));
    return new Branch(views, tokens, positions, reading.scoredFrom() - shared);
  }

  /** Whether a branch is what the definition of leave-one-out says: nothing was moved. */
  static boolean isExact(Branch branch) {
    return branch.views().stream().allMatch(view -> view.from() == 0);
  }
}
