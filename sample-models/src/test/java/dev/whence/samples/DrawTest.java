package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class DrawTest {
  @Test
  void numbersAreThoseOfSplitMix64OnEveryMachine() {
    // The first outputs of the published algorithm for the state 1234567.
    Draw draw = new Draw(new SplittableRandom(1234567));
    assertThat(Long.toUnsignedString(draw.random().nextLong())).isEqualTo("6457827717110365317");
    assertThat(Long.toUnsignedString(draw.random().nextLong())).isEqualTo("3203168211198807973");
    assertThat(Long.toUnsignedString(draw.random().nextLong())).isEqualTo("9817491932198370423");
  }

  @Test
  void drawsOfNeighboursShareNoNumbers() {
    Set<Long> seen = new HashSet<>();
    int drawn = 0;
    for (long seed = 0; seed < 4; seed++) {
      for (String label : List.of("a", "b")) {
        for (long index = 0; index < 20; index++) {
          Draw draw = Draw.of(seed, label, index);
          for (int i = 0; i < 200; i++) {
            seen.add(draw.random().nextLong());
            drawn++;
          }
        }
      }
    }
    assertThat(seen).hasSize(drawn);
  }

  @Property(tries = 200)
  void drawsStayInTheirBoundsAndReachThem(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int bound) {
    Draw draw = Draw.of(seed, "test");
    Set<Integer> seen = new HashSet<>();
    for (int i = 0; i < 300; i++) {
      seen.add(draw.between(3, 3 + bound - 1));
      assertThat(draw.fraction()).isGreaterThanOrEqualTo(0).isLessThan(1);
    }
    assertThat(seen)
        .containsExactlyInAnyOrderElementsOf(IntStream.range(3, 3 + bound).boxed().toList());
  }

  @Test
  void everyOrderOfThreeComesAsOften() {
    Draw draw = Draw.of(1, "test");
    Map<List<Integer>, Integer> orders = new HashMap<>();
    for (int i = 0; i < 6000; i++) {
      orders.merge(draw.shuffled(new ArrayList<>(List.of(1, 2, 3))), 1, Integer::sum);
    }
    assertThat(orders).hasSize(6);
    assertThat(orders.values()).allMatch(count -> count > 850 && count < 1150);
  }
}
