package dev.whence.runtime.dlq;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class ReplayedOffsetsTest {
  @Property
  void whatWasReplayedIsKnownAfterItIsReadAgain(
      @ForAll @Size(max = 60) List<@IntRange(max = 80) Integer> offsets) {
    ReplayedOffsets replayed = new ReplayedOffsets(0, "");
    for (int offset : offsets) {
      replayed.add(offset);
      replayed = new ReplayedOffsets(replayed.next(), replayed.metadata());
    }
    for (int offset = 0; offset <= 81; offset++) {
      assertThat(replayed.contains(offset)).isEqualTo(Set.copyOf(offsets).contains(offset));
    }
  }

  @Test
  void neighboursAreOneRangeAndTheFrontIsTheOffset() {
    ReplayedOffsets replayed = new ReplayedOffsets(5, "");
    for (long offset : new long[] {9, 7, 8, 12}) {
      replayed.add(offset);
    }
    assertThat(replayed.metadata()).isEqualTo("done=7-9,12-12");
    replayed.add(5);
    replayed.add(6);
    assertThat(replayed.next()).isEqualTo(10);
    assertThat(replayed.metadata()).isEqualTo("done=12-12");
    replayed.startAt(20);
    assertThat(replayed.next()).isEqualTo(20);
    assertThat(replayed.metadata()).isEmpty();
  }
}
