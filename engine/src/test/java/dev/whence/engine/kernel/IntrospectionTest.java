package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.Introspection;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.weights.ModelConfig;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What can be read inside every family, against Hugging Face transformers in fp64; expectations
 * made by src/test/fixtures/introspection_fixtures.py.
 */
class IntrospectionTest {
  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");

  static List<String> families() {
    return Fixture.NAMES;
  }

  /** The fixture of a family: its sequence, its groups of tokens, and what is expected. */
  @SuppressWarnings("ArrayRecordComponent") // compared nowhere
  private record Case(int[] ids, JsonNode expected, int response, int[][] groups) {
    static Case of(String family) throws IOException {
      JsonNode json =
          new ObjectMapper()
              .readTree(Fixture.directory(family).resolve("introspection.json").toFile());
      int[][] groups =
          StreamSupport.stream(json.get("groups").spliterator(), false)
              .map(span -> new int[] {span.get(0).asInt(), span.get(1).asInt()})
              .toArray(int[][]::new);
      return new Case(Fixture.read(family).ids(), json, json.get("response").asInt(), groups);
    }

    int scoredFrom() {
      return ids.length - response;
    }

    int[] groupOf(int none) {
      int[] groupOf = new int[ids.length];
      Arrays.fill(groupOf, none);
      for (int k = 0; k < groups.length; k++) {
        Arrays.fill(groupOf, groups[k][0], groups[k][1], k);
      }
      return groupOf;
    }

    double[] row(String field, int i) {
      return StreamSupport.stream(expected.get(field).get(i).spliterator(), false)
          .mapToDouble(JsonNode::asDouble)
          .toArray();
    }

    int[] parts() {
      return StreamSupport.stream(expected.get("parts").spliterator(), false)
          .mapToInt(JsonNode::asInt)
          .toArray();
    }
  }

  @ParameterizedTest
  @MethodSource("families")
  void attentionStatesAndGradientsOfGroupsAreThoseOfTransformers(String family) throws IOException {
    Case fixture = Case.of(family);
    try (LocalScorer scorer =
        LocalScorer.open(Fixture.read(family).open(), FP32.withPackTokens(13))) {
      Introspection inside = scorer.introspection().orElseThrow();
      checkAttention(scorer, fixture);
      checkStates(scorer, fixture);
      long before = scorer.nativeMemory().weightBytes();
      double[][] products =
          inside.embeddingGradients(
              fixture.ids(), fixture.scoredFrom(), fixture.parts(), 2, fixture.groupOf(3), 3);
      for (int k = 0; k < 3; k++) {
        double norm = fixture.expected().get("gradientNorms").get(k).asDouble();
        assertThat(Math.sqrt(products[0][k] + products[1][k]))
            .isCloseTo(norm, within(1e-3 * norm + 1e-6));
        for (int j = 0; j < 2; j++) {
          assertThat(products[j][k])
              .isCloseTo(fixture.row("gradientProducts", j)[k], within(2e-3 * norm * norm + 1e-6));
        }
      }
      assertThat(scorer.nativeMemory().weightBytes()).isGreaterThan(before);
    }
  }

  @Test
  void howASequenceIsCutIntoPacksChangesNothing() throws IOException {
    Case fixture = Case.of("smollm2");
    try (LocalScorer scorer = LocalScorer.open(Fixture.read("smollm2").open(), FP32)) {
      checkAttention(scorer, fixture);
      checkStates(scorer, fixture);
    }
  }

  private static void checkAttention(LocalScorer scorer, Case fixture) {
    try (Trunk trunk = scorer.trunk(fixture.ids(), fixture.scoredFrom())) {
      double[][] attention =
          scorer.introspection().orElseThrow().attention(trunk, fixture.groupOf(3), 3);
      assertThat(attention.length).isEqualTo(fixture.response());
      for (int i = 0; i < attention.length; i++) {
        assertThat(attention[i]).containsExactly(fixture.row("attention", i), within(1e-5));
      }
    }
  }

  private static void checkStates(LocalScorer scorer, Case fixture) {
    int[] groupOf = fixture.groupOf(4);
    Arrays.fill(groupOf, fixture.scoredFrom(), groupOf.length, 3);
    double[][] means = scorer.introspection().orElseThrow().meanStates(fixture.ids(), groupOf, 4);
    for (int k = 0; k < 4; k++) {
      assertThat(means[k]).containsExactly(fixture.row("meanStates", k), within(2e-4));
    }
    assertThat(scorer.nativeMemory().trunkBytes()).isZero();
  }

  @Test
  void whatDoesNotFitTheSequenceIsRefused() {
    Fixture fixture = Fixture.read("smollm2");
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), FP32);
        Trunk trunk = scorer.trunk(fixture.ids(), 40)) {
      Introspection inside = scorer.introspection().orElseThrow();
      assertThatThrownBy(() -> inside.attention(trunk, new int[47], 1))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("48 tokens");
      int[] groupOf = new int[48];
      groupOf[5] = 2;
      assertThatThrownBy(() -> inside.meanStates(fixture.ids(), groupOf, 1))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("from 0 to 1");
      assertThatThrownBy(
              () -> inside.embeddingGradients(fixture.ids(), 40, new int[3], 1, new int[48], 1))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("3 parts for 8 tokens");
    }
  }

  /** What could be freed does not count as in use, in whatever order records come. */
  @Test
  void gradientsAndTrunksMakeRoomForEachOtherInTheMemoryBudget() {
    Fixture fixture = Fixture.read("smollm2");
    EngineOptions caching = FP32.withTrunkCacheBytes(1 << 20);
    long weights;
    long copy;
    long trunk;
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), caching)) {
      weights = scorer.nativeMemory().weightBytes();
      gradients(scorer, fixture);
      copy = scorer.nativeMemory().weightBytes() - weights;
      ModelConfig config = scorer.config();
      int numbers = 2 * config.layers() * config.keyValueHeads() * config.headDim();
      trunk = (long) Float.BYTES * numbers * fixture.ids().length;
    }
    long budget = weights + copy + trunk / 2;
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), caching.withMemoryBytes(budget))) {
      scorer.trunk(fixture.ids(), 40).close();
      assertThat(scorer.nativeMemory().trunkBytes()).isGreaterThanOrEqualTo(trunk);
      double[][] first = gradients(scorer, fixture);
      assertThat(scorer.nativeMemory().trunkBytes()).isZero();
      assertThat(scorer.nativeMemory().weightBytes()).isEqualTo(weights + copy);
      scorer.trunk(fixture.ids(), 40).close();
      assertThat(scorer.nativeMemory().weightBytes()).isEqualTo(weights);
      assertThat(gradients(scorer, fixture)).isDeepEqualTo(first);
      try (Trunk open = scorer.trunk(fixture.ids(), 40)) {
        assertThat(open.length()).isEqualTo(48);
        assertThatThrownBy(() -> gradients(scorer, fixture))
            .isInstanceOf(EngineException.class)
            .hasMessageContaining("memory budget");
      }
    }
  }

  private static double[][] gradients(LocalScorer scorer, Fixture fixture) {
    return scorer
        .introspection()
        .orElseThrow()
        .embeddingGradients(fixture.ids(), 40, new int[8], 1, new int[48], 1);
  }

  @Test
  void gradientsKeepToTheMemoryBudget() {
    Fixture fixture = Fixture.read("smollm2");
    long weights;
    try (LocalScorer scorer = LocalScorer.open(fixture.open(), FP32)) {
      weights = scorer.nativeMemory().weightBytes();
    }
    try (LocalScorer scorer =
        LocalScorer.open(fixture.open(), FP32.withMemoryBytes(weights + weights / 2))) {
      Introspection inside = scorer.introspection().orElseThrow();
      assertThatThrownBy(
              () -> inside.embeddingGradients(fixture.ids(), 40, new int[8], 1, new int[48], 1))
          .isInstanceOf(EngineException.class)
          .hasMessageContaining("memory budget");
    }
  }
}
