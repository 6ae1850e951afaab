package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A tapped model whose logits are not all there at once, the last rows fewer than the others. */
class TapBlocksTest {
  private static final EngineOptions CPU = EngineOptions.defaults().withDevice("cpu");
  private static final int VOCABULARY = 40;
  private static final int AT_ONCE = 4;
  private static final float TOLERANCE = 1e-5f;

  private final RandomModel model =
      RandomModel.llama(
          RandomModel.plainLlama(
              VOCABULARY, 8, 2, 2, 1, 4, 12, new Rotary(4, List.of(1.0, 0.1), 1, false), 64, false),
          7);

  @Test
  void givesWhatItGivesOfAllLogitsAtOnce() {
    assertSame(new Labels.Given());
  }

  @Test
  void drawsTheSameLabels() {
    assertSame(new Labels.Drawn(new Random(11).doubles(scored()).toArray()));
  }

  @Test
  void wantsATokenThatIsScored() {
    PackedDocuments all = documents();
    PackedDocuments none =
        new PackedDocuments(
            all.rows(),
            all.length(),
            all.ids(),
            all.documents(),
            all.positions(),
            new long[0],
            new long[0],
            new float[0]);
    List<LinearLayer> layers = LinearLayer.of(model.config());
    try (Matrices matrices = Matrices.open(CPU);
        TrainableDecoder decoder = TrainableDecoder.frozen(model.config(), layers, CPU)) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> decoder.tap(matrices, none, new Labels.Given()))
          .withMessageContaining("no token is scored");
    }
  }

  private void assertSame(Labels labels) {
    PackedDocuments documents = documents();
    assertThat(scored()).isGreaterThan(2 * AT_ONCE);
    assertThat(scored() % AT_ONCE).isPositive();
    ModelConfig config = model.config();
    List<LinearLayer> layers = new ArrayList<>(LinearLayer.of(config));
    layers.add(LinearLayer.head(config));
    try (Matrices matrices = Matrices.open(CPU);
        TrainableDecoder whole = TrainableDecoder.frozen(config, layers, CPU);
        TrainableDecoder parts =
            TrainableDecoder.frozen(config, layers, AT_ONCE * VOCABULARY + 3, CPU)) {
      whole.load(model);
      parts.load(model);
      assertThat(parts.measure(documents))
          .containsExactly(whole.measure(documents), within(TOLERANCE));
      try (Taps expected = whole.tap(matrices, documents, labels);
          Taps found = parts.tap(matrices, documents, labels)) {
        assertThat(found.labels()).isEqualTo(expected.labels());
        assertThat(found.losses()).containsExactly(expected.losses(), within(TOLERANCE));
        for (LinearLayer layer : layers) {
          assertThat(found.input(layer).floats())
              .as(layer.name())
              .containsExactly(expected.input(layer).floats(), within(TOLERANCE));
          assertThat(found.gradient(layer).floats())
              .as(layer.name())
              .containsExactly(expected.gradient(layer).floats(), within(TOLERANCE));
        }
      }
    }
  }

  private static int scored() {
    return documents().scored().length;
  }

  private static PackedDocuments documents() {
    return new RowPacker(64).pack(examples(), 1).get(0).documents();
  }

  private static List<Example> examples() {
    Random random = new Random(3);
    return IntStream.of(9, 12, 2)
        .mapToObj(
            n -> {
              float[] weights = new float[n];
              for (int i = 1; i < n; i++) {
                weights[i] = 1 + i % 3;
              }
              return new Example(random.ints(n, 0, VOCABULARY).toArray(), weights);
            })
        .toList();
  }
}
