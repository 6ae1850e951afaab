package dev.whence.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.ingest.Acknowledgements.Settlement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class AcknowledgementsPropertyTest {

  /** After every step the settled line is the end of the longest prefix without an open line. */
  @Property(tries = 300)
  void inWhateverOrderLinesAreSettledOnlyTheUnbrokenBeginningCounts(
      @ForAll @IntRange(min = 1, max = 60) int lines,
      @ForAll @IntRange(max = 100) int before,
      @ForAll long seed) {
    Acknowledgements acknowledgements = new Acknowledgements(before, 0);
    List<Settlement> open = new ArrayList<>();
    List<Integer> order = new ArrayList<>();
    for (int i = 1; i <= lines; i++) {
      open.add(acknowledgements.sent(before + i));
      order.add(i);
    }
    Random random = new Random(seed);
    Collections.shuffle(order, random);
    Set<Integer> settled = new HashSet<>();
    Set<Integer> refused = new HashSet<>();

    for (int each : order) {
      boolean bad = random.nextInt(4) == 0;
      if (bad) {
        open.get(each - 1).refused("too large");
        refused.add(each);
      } else {
        open.get(each - 1).acknowledged();
      }
      settled.add(each);

      int prefix = 0;
      while (settled.contains(prefix + 1)) {
        prefix++;
      }
      int end = prefix;
      Acknowledgements.State state = acknowledgements.state();
      assertThat(state.settledLine()).isEqualTo(before + prefix);
      assertThat(state.open()).isEqualTo(lines - prefix);
      assertThat(state.badSettled()).isEqualTo(refused.stream().filter(l -> l <= end).count());
      assertThat(state.acknowledged()).isEqualTo(settled.size() - refused.size());
    }
    assertThat(acknowledgements.takeRefusals()).hasSize(refused.size());
    assertThat(acknowledgements.takeRefusals()).isEmpty();
  }
}
