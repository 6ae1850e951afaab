package dev.whence.benchmarks.influence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.model.LayerSelection;
import dev.whence.samples.recipes.Architecture;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LargeBenchTest {
  /** Rotates a quarter of each head, as dolly does; more tokens than the lent tokenizer has. */
  private static final LargeBench.Shape SMALL =
      new LargeBench.Shape(
          "small", new Architecture(Architecture.Family.GPT_NEOX, 5000, 64, 3, 4, 16, 96, 256));

  @TempDir private Path directory;

  @Test
  void aRunTakesEachStepOnTheChosenLayersAndLeavesNothing() throws IOException {
    LargeReport report =
        LargeBench.run(
            options(new LayerSelection("layers\\.2\\.(attention\\.dense|mlp\\.dense_4h)")),
            progress -> {});
    assertThat(report.steps())
        .extracting(LargeReport.Step::name)
        .containsExactly(
            "load", "factors", "gradient of a response", "reading the factors", "preconditioning");
    assertThat(report.layers())
        .extracting(LinearLayer::name)
        .containsExactly(
            "gpt_neox.layers.2.attention.dense", "gpt_neox.layers.2.mlp.dense_4h_to_h");
    assertThat(report.parameters())
        .isEqualTo(
            2 * 5000 * 64 // embedding and head
                + 3 * (4 * (64 * 64 + 64) + 2 * 64 * 96 + 96 + 64 + 4 * 64)
                + 2 * 64);
    assertThat(report.tokens()).isPositive();
    assertThat(directory).isEmptyDirectory();
    assertThat(report.markdown()).contains("shape of small", "(64 x 97)", "| preconditioning |");
  }

  @Test
  void layersThatItLacksEndARunThatLeavesNothing() {
    assertThatThrownBy(
            () -> LargeBench.run(options(new LayerSelection("layers\\.3\\.")), progress -> {}))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("matches no linear layer");
    assertThat(directory).isEmptyDirectory();
  }

  @Test
  void aQueryLongerThanTheModelReadsIsRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new LargeBench.Options(directory, SMALL, LayerSelection.ALL, 1, 200, 57))
        .withMessageContaining("small reads 256 tokens");
  }

  private LargeBench.Options options(LayerSelection layers) {
    return new LargeBench.Options(directory, SMALL, layers, 3, 40, 8);
  }
}
