package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.Branch;
import dev.whence.engine.View;
import dev.whence.engine.kernel.Packer.Run;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class PackerTest {
  @Test
  void equalBranchesAreSharedOutEvenly() {
    assertThat(sizes(packer(10_000).evenRuns(equal(40, 196), 8).orElseThrow()))
        .isEqualTo(Collections.nCopies(8, 5));
    assertThat(sizes(packer(10_000).evenRuns(equal(40, 180), 6).orElseThrow()))
        .containsExactly(7, 7, 7, 6, 7, 6);
    assertThat(sizes(packer(10_000).evenRuns(equal(10, 191), 2).orElseThrow()))
        .containsExactly(5, 5);
  }

  @Test
  void whatComesAfterALongBranchIsSharedOutEvenly() {
    List<Branch> branches = new ArrayList<>(List.of(branch(1900)));
    branches.addAll(equal(60, 60));
    assertThat(sizes(packer(10_000).evenRuns(branches, 7).orElseThrow()))
        .containsExactly(1, 10, 10, 10, 10, 10, 10);
  }

  @Test
  void aRunThatWouldNotFitLeavesItToTheBudget() {
    assertThat(packer(979).evenRuns(equal(40, 196), 8)).isEmpty();
    assertThat(packer(980).evenRuns(equal(40, 196), 8)).isPresent();
  }

  @Test
  void branchesThatScoreNothingCountForNothing() {
    List<Branch> branches = List.of(branch(50), scoresNothing(), branch(50), scoresNothing());
    assertThat(sizes(packer(100).evenRuns(branches, 2).orElseThrow())).containsExactly(2, 2);
    assertThat(sizes(packer(100).evenRuns(List.of(scoresNothing()), 2).orElseThrow()))
        .containsExactly(1);
  }

  @Property
  void runsAreInOrderAndOfAboutAnEvenShareOfWhatIsLeft(
      @ForAll @Size(min = 1, max = 60) List<@IntRange(min = 1, max = 500) Integer> lengths,
      @ForAll @IntRange(min = 1, max = 16) int count) {
    List<Branch> branches = lengths.stream().map(PackerTest::branch).toList();
    List<Run> runs = packer(1_000_000).evenRuns(branches, count).orElseThrow();
    assertThat(runs).hasSizeBetween(1, count);
    int all = lengths.stream().mapToInt(Integer::intValue).sum();
    double half = Collections.max(lengths) / 2.0;
    int left = all;
    int from = 0;
    for (int r = 0; r < runs.size(); r++) {
      Run run = runs.get(r);
      assertThat(run.from()).isEqualTo(from);
      assertThat(run.to()).isGreaterThan(from);
      int own = lengths.subList(from, run.to()).stream().mapToInt(Integer::intValue).sum();
      double even = (double) left / (count - r);
      if (r < runs.size() - 1) {
        assertThat((double) own).isGreaterThanOrEqualTo(even - half);
      }
      if (run.to() - run.from() > 1) {
        assertThat((double) own).isLessThanOrEqualTo(even + half);
      }
      left -= own;
      from = run.to();
    }
    assertThat(from).isEqualTo(branches.size());
  }

  private static Packer packer(int budget) {
    return new Packer(budget, 0, AttentionForm.PRODUCTS, 64, 1);
  }

  private static List<Branch> equal(int count, int tokens) {
    return Collections.nCopies(count, branch(tokens));
  }

  /** A branch of which so many tokens are computed. */
  private static Branch branch(int tokens) {
    return new Branch(
        List.of(new View(0, 10, 0)),
        new int[tokens + 1],
        IntStream.range(10, 11 + tokens).toArray(),
        1);
  }

  private static Branch scoresNothing() {
    return new Branch(List.of(new View(0, 10, 0)), new int[3], new int[] {10, 11, 12}, 3);
  }

  private static List<Integer> sizes(List<Run> runs) {
    return runs.stream().map(run -> run.to() - run.from()).toList();
  }
}
