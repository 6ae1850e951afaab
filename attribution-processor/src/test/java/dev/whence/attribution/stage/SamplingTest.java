package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.junit.jupiter.api.Test;

class SamplingTest {
  @Test
  void theShareIsTheFirst53BitsOfTheHash() {
    // SHA-256("abc") begins ba7816bf 8f01cfea; its first 53 bits over 2^53.
    assertThat(Sampling.share("abc")).isEqualTo((0xba7816bf8f01cfeaL >>> 11) * 0x1p-53);
  }

  @Test
  void theRateIsKept() {
    Sampling sampling = new Sampling(0.3, Set.of(), Map.of());
    long scored =
        IntStream.range(0, 10_000)
            .filter(
                i -> sampling.leavesOut(AttributionCluster.conversation("r-" + i), false).isEmpty())
            .count();
    // Four standard deviations of a binomial distribution: 4 * sqrt(10,000 * .3 * .7) = 183.
    assertThat((double) scored).isCloseTo(3_000, within(183.0));
  }

  @Property
  void aLowerRateChoosesSomeOfThoseOfAHigherOne(
      @ForAll @DoubleRange(min = 0, max = 1) double a,
      @ForAll @DoubleRange(min = 0, max = 1) double b,
      @ForAll int id) {
    var conversation = AttributionCluster.conversation("r" + id);
    boolean low =
        new Sampling(Math.min(a, b), Set.of(), Map.of()).leavesOut(conversation, false).isEmpty();
    boolean high =
        new Sampling(Math.max(a, b), Set.of(), Map.of()).leavesOut(conversation, false).isEmpty();
    assertThat(!low || high).isTrue();
  }

  @Test
  void filtersAreByModelAndAttributes() {
    var conversation = AttributionCluster.conversation("r");
    assertThat(new Sampling(1, Set.of("acme/chat-1"), Map.of()).leavesOut(conversation, false))
        .isEmpty();
    assertThat(new Sampling(1, Set.of("other"), Map.of()).leavesOut(conversation, false))
        .map(Sampling.LeftOut::code)
        .hasValue("FILTERED");
    assertThat(new Sampling(1, Set.of(), Map.of("app", "support")).leavesOut(conversation, false))
        .isEmpty();
    assertThat(new Sampling(1, Set.of(), Map.of("app", "sales")).leavesOut(conversation, false))
        .map(Sampling.LeftOut::code)
        .hasValue("FILTERED");
  }

  @Test
  void whatSomebodyAskedForIsLeftOutByNoRateButByAFilter() {
    var conversation = AttributionCluster.conversation("r");
    assertThat(new Sampling(0, Set.of(), Map.of()).leavesOut(conversation, false))
        .map(Sampling.LeftOut::code)
        .hasValue("SAMPLED");
    assertThat(new Sampling(0, Set.of(), Map.of()).leavesOut(conversation, true)).isEmpty();
    assertThat(new Sampling(0, Set.of("other"), Map.of()).leavesOut(conversation, true))
        .map(Sampling.LeftOut::code)
        .hasValue("FILTERED");
  }
}
