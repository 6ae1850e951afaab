package dev.whence.engine.kernel;

import dev.whence.engine.Branch;
import dev.whence.engine.View;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Turns branches, and stretches of a trunk, into packs under a token budget. The last own token of
 * a branch is never computed: nothing is read from its row, and nobody sees it.
 */
final class Packer {
  private final int budget;
  private final int window;
  private final AttentionForm form;
  private final int blockRows;
  private final int sharing;

  /**
   * @param budget most own tokens of a pack; a longer branch has a pack to itself
   * @param window of sliding-window attention, 0 = none
   * @param form of attention
   * @param blockRows most query rows of an attention block that has scores
   * @param sharing query heads that share a key head
   */
  Packer(int budget, int window, AttentionForm form, int blockRows, int sharing) {
    this.budget = budget;
    this.window = window;
    this.form = form;
    this.blockRows = blockRows;
    this.sharing = sharing;
  }

  /** Branches [from, to) of the list, computed in one pack. */
  record Run(int from, int to) {}

  /** Cuts the branches, in order, into runs that fit the budget. */
  List<Run> runs(List<Branch> branches) {
    List<Run> runs = new ArrayList<>();
    int from = 0;
    long size = 0;
    for (int i = 0; i < branches.size(); i++) {
      int own = computed(branches.get(i));
      if (i > from && size + own > budget) {
        runs.add(new Run(from, i));
        from = i;
        size = 0;
      }
      size += own;
    }
    if (from < branches.size()) {
      runs.add(new Run(from, branches.size()));
    }
    return runs;
  }

  /**
   * Cuts the branches, in order, into runs of about as many tokens each: each takes an even share
   * of what those before it left.
   *
   * @param count of runs, fewer where there are fewer branches
   * @return empty if a run would not fit the budget
   */
  Optional<List<Run>> evenRuns(List<Branch> branches, int count) {
    long left = 0; // from `from` on
    for (Branch branch : branches) {
      left += computed(branch);
    }
    List<Run> runs = new ArrayList<>();
    int from = 0;
    long size = 0;
    for (int i = 0; i <= branches.size(); i++) {
      int own = i == branches.size() ? 0 : computed(branches.get(i));
      // the cut nearest to an even one: not behind i if more than half of i's tokens are past it
      boolean cut = (2 * size + own) * (count - runs.size()) > 2 * left;
      if (i > from && (cut || i == branches.size())) {
        if (size > budget) {
          return Optional.empty();
        }
        runs.add(new Run(from, i));
        from = i;
        left -= size;
        size = 0;
      }
      size += own;
    }
    return Optional.of(runs);
  }

  /** Own tokens of a branch that are computed; none where nothing is scored. */
  static int computed(Branch branch) {
    return branch.scored() == 0 ? 0 : branch.tokens().length - 1;
  }

  /** One pack of the branches. */
  Pack pack(List<Branch> branches) {
    int size = branches.stream().mapToInt(Packer::computed).sum();
    int scored = branches.stream().mapToInt(Branch::scored).sum();
    int most = 0;
    for (Branch branch : branches) {
      most = Math.max(most, shifts(branch).length);
    }
    long[] tokens = new long[size];
    long[] wanted = new long[scored];
    long[] targets = new long[scored];
    List<long[]> rotations = new ArrayList<>();
    for (int r = 0; r <= most; r++) {
      rotations.add(new long[size]);
    }
    AttentionPlan.Builder plan = new AttentionPlan.Builder(form, blockRows, window, sharing);
    AttentionPlan.Builder lastPlan = new AttentionPlan.Builder(form, blockRows, window, sharing);
    int base = 0;
    int row = 0;
    for (Branch branch : branches) {
      int own = computed(branch);
      if (own == 0) {
        continue;
      }
      int[] shifts = shifts(branch);
      for (int i = 0; i < own; i++) {
        tokens[base + i] = branch.tokens()[i];
        long position = branch.positions()[i];
        rotations.get(0)[base + i] = position;
        for (int r = 1; r <= most; r++) {
          // A row that sees nothing of a view may stand below its start: any position will do.
          rotations.get(r)[base + i] =
              r <= shifts.length ? Math.max(0, position + shifts[r - 1]) : 0;
        }
      }
      int[] numbers = new int[branch.views().size()];
      for (int v = 0; v < numbers.length; v++) {
        int shift = branch.views().get(v).shift();
        numbers[v] = shift == 0 ? 0 : 1 + Arrays.binarySearch(shifts, shift);
      }
      plan.add(base, branch.positions(), 0, own, branch.views(), numbers);
      lastPlan.add(base, branch.positions(), branch.scoredFrom() - 1, own, branch.views(), numbers);
      for (int i = branch.scoredFrom(); i < branch.tokens().length; i++) {
        wanted[row] = (long) base + i - 1;
        targets[row++] = branch.tokens()[i];
      }
      base += own;
    }
    return new Pack(tokens, rotations, plan.build(), lastPlan.build(), wanted, targets);
  }

  /** The distinct shifts other than 0, increasing. */
  private static int[] shifts(Branch branch) {
    return branch.views().stream()
        .mapToInt(View::shift)
        .filter(s -> s != 0)
        .distinct()
        .sorted()
        .toArray();
  }

  /**
   * Trunk tokens [from, to), which see all trunk tokens before them; all of them are computed,
   * since branches see them.
   *
   * @param scoredFrom first token of the trunk that is scored
   */
  Pack stretch(int[] trunk, int from, int to, int scoredFrom) {
    int size = to - from;
    int[] positions = new int[size];
    long[] tokens = new long[size];
    long[] rotation = new long[size];
    for (int i = 0; i < size; i++) {
      positions[i] = from + i;
      rotation[i] = (long) from + i;
      tokens[i] = trunk[from + i];
    }
    List<View> before = from == 0 ? List.of() : List.of(new View(0, from, 0));
    int[] numbers = new int[before.size()];
    AttentionPlan.Builder plan = new AttentionPlan.Builder(form, blockRows, window, sharing);
    plan.add(0, positions, 0, size, before, numbers);
    // row i predicts token i + 1
    int first = Math.max(from, scoredFrom - 1);
    int end = Math.min(to, trunk.length - 1);
    int scored = Math.max(0, end - first);
    AttentionPlan.Builder lastPlan = new AttentionPlan.Builder(form, blockRows, window, sharing);
    if (scored > 0) {
      lastPlan.add(0, positions, first - from, end - from, before, numbers);
    }
    long[] wanted = new long[scored];
    long[] targets = new long[scored];
    for (int i = 0; i < scored; i++) {
      wanted[i] = (long) first - from + i;
      targets[i] = trunk[first + i + 1];
    }
    return new Pack(tokens, List.of(rotation), plan.build(), lastPlan.build(), wanted, targets);
  }
}
