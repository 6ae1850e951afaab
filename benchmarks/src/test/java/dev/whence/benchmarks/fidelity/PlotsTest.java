package dev.whence.benchmarks.fidelity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.benchmarks.fidelity.Subject.Origin;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class PlotsTest {
  @Test
  void aLogarithmicAxisHasRoundBoundsAndEqualStepsForEqualRatios() {
    Scale scale = Scale.around(1.2, 37, 100, 500);
    assertThat(scale.least()).isCloseTo(1, within(1e-9));
    assertThat(scale.most()).isCloseTo(50, within(1e-9));
    assertThat(scale.ticks()).hasSize(6); // 1, 2, 5, 10, 20, 50
    assertThat(scale.at(1)).isEqualTo(100);
    assertThat(scale.at(50)).isEqualTo(500);
    assertThat(scale.at(4) - scale.at(2)).isCloseTo(scale.at(40) - scale.at(20), within(1e-9));
    assertThat(Scale.label(0.05)).isEqualTo("0.05");
    assertThat(Scale.label(200)).isEqualTo("200");
  }

  @Test
  void methodsAreNumberedByFallingValueAndTheBestOnesAreJoined() {
    String svg =
        ParetoPlot.svg(
            "a < b",
            List.of(
                point("dear", Origin.LITERATURE, 10, 1.0),
                point("cheap", Origin.OURS, 2, 0.9),
                point("beaten", Origin.LITERATURE, 4, 0.5)));
    assertThat(svg)
        .contains("a &lt; b", ">dear: 1.00, 10.0 passes<", ">cheap: 0.90, 2.0 passes<")
        .contains(">1<", ">2<", ">3<");
    assertThat(svg.indexOf(">beaten"))
        .isLessThan(svg.indexOf(">cheap")); // drawn first, listed last
    // the front is one line, from the cheap one to the dear one; the other is in the legend
    assertThat(Pattern.compile("stroke=\"#a9cfc0\"").matcher(svg).results()).hasSize(2);
    assertThat(ParetoPlot.svg("none", List.of())).endsWith("</svg>\n");
  }

  private static ParetoPlot.Point point(String name, Origin origin, double cost, double value) {
    return new ParetoPlot.Point(
        name, origin, cost, new Interval(value, value - 0.05, Math.min(1, value + 0.05), 8));
  }
}
