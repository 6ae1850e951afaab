package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.TrunkReuse;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelFiles;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Trunks that begin like earlier ones. */
class TrunkCacheTest {
  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");
  private static final int PROMPT = 30;

  private static Decoder open(ModelFiles files, EngineOptions options) {
    return Decoder.open(files.config(), files.weights(), options);
  }

  /** A prompt with an answer that differs by its number. */
  private static int[] tokens(Fixture fixture, int answer, int length) {
    int[] tokens = new int[PROMPT + length];
    for (int i = 0; i < tokens.length; i++) {
      int at = i < PROMPT ? i : i + 7 * answer;
      tokens[i] = fixture.ids()[at % fixture.ids().length];
    }
    return tokens;
  }

  private static Branch withoutTokens(int[] tokens, int from, int to) {
    int[] own = Arrays.copyOfRange(tokens, to, tokens.length);
    int[] positions = new int[own.length];
    Arrays.setAll(positions, i -> from + i);
    return new Branch(List.of(new View(0, from, 0)), own, positions, PROMPT - to);
  }

  @ParameterizedTest
  @ValueSource(strings = {"smollm2", "qwen3", "mistral", "pythia"})
  void anotherAnswerToThePromptComputesItselfOnlyAndScoresTheSame(String name) {
    Fixture fixture = Fixture.read(name);
    try (ModelFiles files = fixture.open();
        Decoder caching = open(files, FP32.withTrunkCacheBytes(1 << 20));
        Decoder plain = open(files, FP32)) {
      Sequence.run(caching, tokens(fixture, 1, 9), PROMPT).close();
      int[] second = tokens(fixture, 2, 12);
      Branch branch = withoutTokens(second, 5, 11);
      try (Sequence reusing = Sequence.run(caching, second, PROMPT);
          Sequence fresh = Sequence.run(plain, second, PROMPT)) {
        assertThat(reusing.reused()).isEqualTo(PROMPT - 1);
        assertThat(fresh.reused()).isZero();
        assertThat(reusing.logProbs()).containsExactly(fresh.logProbs(), within(1e-4));
        assertThat(reusing.score(caching, List.of(branch)).get(0))
            .containsExactly(fresh.score(plain, List.of(branch)).get(0), within(1e-4));
      }
      assertThat(caching.trunkReuse())
          .isEqualTo(new TrunkReuse(2, 1, 2L * PROMPT + 9 + 12, PROMPT - 1));
      assertThat(plain.memory().trunkBytes()).isZero();
      assertThat(caching.memory().trunkBytes()).isPositive();
    }
  }

  /** The prompts differ at token 20 of 30: more than half of the kept trunk is the same. */
  @ParameterizedTest
  @ValueSource(strings = {"smollm2", "qwen3", "mistral", "pythia"})
  void aPromptThatBeginsTheSameIsComputedFromWhereItDiffers(String name) {
    Fixture fixture = Fixture.read(name);
    try (ModelFiles files = fixture.open();
        Decoder caching = open(files, FP32.withTrunkCacheBytes(1 << 20));
        Decoder plain = open(files, FP32)) {
      Sequence.run(caching, tokens(fixture, 1, 9), PROMPT).close();
      int[] second = differing(tokens(fixture, 1, 9), 20);
      Branch branch = withoutTokens(second, 5, 11);
      try (Sequence reusing = Sequence.run(caching, second, PROMPT);
          Sequence fresh = Sequence.run(plain, second, PROMPT)) {
        assertThat(reusing.reused()).isEqualTo(20);
        assertThat(reusing.logProbs()).containsExactly(fresh.logProbs(), within(1e-4));
        assertThat(reusing.score(caching, List.of(branch)).get(0))
            .containsExactly(fresh.score(plain, List.of(branch)).get(0), within(1e-4));
      }
    }
  }

  @Test
  void theRowBeforeTheFirstScoredTokenIsComputedWhateverElseIsTheSame() {
    Fixture fixture = Fixture.read("smollm2");
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files, FP32.withTrunkCacheBytes(1 << 20))) {
      Sequence.run(decoder, tokens(fixture, 1, 9), PROMPT).close();
      // They differ behind the first scored token, whose row is wanted all the same.
      try (Sequence next = Sequence.run(decoder, differing(tokens(fixture, 1, 9), 35), PROMPT)) {
        assertThat(next.reused()).isEqualTo(PROMPT - 1);
      }
    }
  }

  /** What is taken over is lost to others, so it has to be at least half: 20 tokens of 39. */
  @Test
  void aTrunkOfWhichLessThanHalfIsTheSameIsKeptForOthers() {
    Fixture fixture = Fixture.read("smollm2");
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files, FP32.withTrunkCacheBytes(1 << 20))) {
      int[] first = tokens(fixture, 1, 9);
      Sequence.run(decoder, first, PROMPT).close();
      try (Sequence other = Sequence.run(decoder, differing(first, 19), PROMPT)) {
        assertThat(other.reused()).isZero();
      }
      assertThat(decoder.trunkReuse().hits()).isZero();
      try (Sequence again = Sequence.run(decoder, first, PROMPT)) {
        assertThat(again.reused()).isEqualTo(PROMPT - 1);
      }
    }
  }

  /** The same, but from one token on. */
  private static int[] differing(int[] tokens, int from) {
    int[] other = tokens.clone();
    for (int i = from; i < other.length; i++) {
      other[i] = (other[i] + 1) % 32;
    }
    return other;
  }

  @Test
  void anOpenTrunkIsNotTakenAway() {
    Fixture fixture = Fixture.read("smollm2");
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files, FP32.withTrunkCacheBytes(1 << 20))) {
      int[] tokens = tokens(fixture, 1, 9);
      Sequence first = Sequence.run(decoder, tokens, PROMPT);
      try (Sequence second = Sequence.run(decoder, tokens, PROMPT)) {
        assertThat(second.reused()).isZero();
        assertThat(second.logProbs()).isEqualTo(first.logProbs());
      }
      first.close();
      first.close(); // once more does no harm
      try (Sequence third = Sequence.run(decoder, tokens, PROMPT)) {
        assertThat(third.reused()).isEqualTo(PROMPT - 1);
      }
    }
  }

  @Test
  void whatIsTooLongForTheRoomOrBeginsOtherwiseIsComputed() {
    Fixture fixture = Fixture.read("smollm2");
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files, FP32.withTrunkCacheBytes(1 << 20))) {
      Sequence.run(decoder, tokens(fixture, 1, 9), PROMPT).close();
      try (Sequence longer = Sequence.run(decoder, tokens(fixture, 1, 120), PROMPT)) {
        assertThat(longer.reused()).isZero();
      }
      int[] other = tokens(fixture, 1, 9);
      other[3] = (other[3] + 1) % 32;
      try (Sequence trunk = Sequence.run(decoder, other, PROMPT)) {
        assertThat(trunk.reused()).isZero();
      }
    }
  }

  @Test
  void theOldestTrunksGoFirstWhenTheBudgetIsFull() {
    Fixture fixture = Fixture.read("smollm2");
    try (ModelFiles files = fixture.open()) {
      long one;
      try (Decoder decoder = open(files, FP32.withTrunkCacheBytes(1 << 20))) {
        Sequence.run(decoder, prompt(fixture, 1), PROMPT).close();
        one = decoder.memory().trunkBytes();
      }
      try (Decoder decoder = open(files, FP32.withTrunkCacheBytes(2 * one + one / 2))) {
        for (int prompt = 1; prompt <= 3; prompt++) {
          Sequence.run(decoder, prompt(fixture, prompt), PROMPT).close();
        }
        assertThat(decoder.memory().trunkBytes()).isEqualTo(2 * one);
        try (Sequence first = Sequence.run(decoder, prompt(fixture, 1), PROMPT);
            Sequence third = Sequence.run(decoder, prompt(fixture, 3), PROMPT)) {
          assertThat(first.reused()).isZero();
          assertThat(third.reused()).isEqualTo(PROMPT - 1);
        }
      }
    }
  }

  /** As many tokens, of which the first differ by the prompt's number. */
  private static int[] prompt(Fixture fixture, int number) {
    int[] tokens = tokens(fixture, 1, 9);
    tokens[0] = number;
    return tokens;
  }

  @Test
  void aMemoryBudgetWithRoomToSpareLeavesSomeForALongerAnswer() {
    Fixture fixture = Fixture.read("smollm2");
    try (ModelFiles files = fixture.open()) {
      long weights;
      EngineOptions caching = FP32.withTrunkCacheBytes(1 << 20);
      try (Decoder decoder = open(files, caching.withMemoryBytes(1 << 30))) {
        weights = decoder.memory().weightBytes();
        Sequence.run(decoder, tokens(fixture, 1, 9), PROMPT).close();
        try (Sequence longer = Sequence.run(decoder, tokens(fixture, 2, 10), PROMPT)) {
          assertThat(longer.reused()).isEqualTo(PROMPT - 1);
        }
      }
      var config = files.config();
      long token = 2L * config.layers() * config.keyValueHeads() * config.headDim() * Float.BYTES;
      // Two trunks of 39 tokens are held, but only without anything to spare.
      try (Decoder decoder = open(files, caching.withMemoryBytes(weights + 2 * 39 * token));
          Sequence first = Sequence.run(decoder, tokens(fixture, 1, 9), PROMPT);
          Sequence second = Sequence.run(decoder, tokens(fixture, 2, 9), PROMPT)) {
        assertThat(first.bytes()).isEqualTo(39 * token);
        assertThat(second.bytes()).isEqualTo(39 * token);
      }
    }
  }

  @Test
  void keptTrunksMakeRoomBeforeTheMemoryBudgetRefuses() {
    Fixture fixture = Fixture.read("smollm2");
    try (ModelFiles files = fixture.open()) {
      long weights;
      long one;
      EngineOptions bounded = FP32.withTrunkCacheBytes(1 << 20).withMemoryBytes(1 << 30);
      try (Decoder decoder = open(files, bounded)) {
        Sequence.run(decoder, prompt(fixture, 1), PROMPT).close();
        weights = decoder.memory().weightBytes();
        one = decoder.memory().trunkBytes();
      }
      EngineOptions tight =
          FP32.withTrunkCacheBytes(1 << 20).withMemoryBytes(weights + one + one / 2);
      try (Decoder decoder = open(files, tight)) {
        for (int number = 1; number <= 3; number++) {
          Sequence.run(decoder, prompt(fixture, number), PROMPT).close();
        }
        assertThat(decoder.memory().trunkBytes()).isEqualTo(one);
      }
    }
  }
}
