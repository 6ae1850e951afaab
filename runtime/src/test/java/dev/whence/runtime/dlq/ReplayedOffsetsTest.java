package dev.whence.runtime.dlq;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class ReplayedOffsetsTest {
  @Property
  void whatWasReplayedInSeveralTransactionsIsKnownWhenItIsReadAgain(
      @ForAll @Size(max = 6) List<@Size(max = 20) List<@IntRange(max = 80) Integer>> transactions) {
    ReplayedOffsets all = new ReplayedOffsets();
    Set<Integer> expected = new HashSet<>();
    for (List<Integer> transaction : transactions) {
      ReplayedOffsets replayed = new ReplayedOffsets();
      transaction.forEach(replayed::add);
      all.addAll(replayed.toString());
      expected.addAll(transaction);
    }
    for (int offset = 0; offset <= 81; offset++) {
      assertThat(all.contains(offset)).isEqualTo(expected.contains(offset));
    }
  }

  @Test
  void neighboursAreOneRange() {
    ReplayedOffsets replayed = new ReplayedOffsets();
    for (long offset : new long[] {9, 7, 8, 12}) {
      replayed.add(offset);
    }
    assertThat(replayed).hasToString("7-9,12-12");
    replayed.addAll("10-11,6-7");
    assertThat(replayed).hasToString("6-12");
  }

  @Test
  void whatIsNoRangeIsNoOffset() {
    ReplayedOffsets replayed = new ReplayedOffsets();
    replayed.addAll("-,5,9-7,x-y,1-,99999999999999999999999-1");
    assertThat(replayed.toString()).isEmpty();
  }
}
