package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** A vocabulary of more logits than one block holds, the last block not full. */
class LogitBlocksTest {
  private static final int BLOCK = 1024;
  private static final int VOCABULARY = 2 * BLOCK + 452;
  private static final int HIDDEN = 8;
  private static final double NATS = 1e-4;

  @Test
  void blocksTogetherGiveTheLogProbabilitiesOfAll() {
    RandomModel model = model();
    PlainDecoder plain = new PlainDecoder(model);
    Random random = new Random(3);
    try (Decoder decoder = decoder(model)) {
      for (int i = 0; i < 3; i++) {
        int[] tokens = random.ints(40, 0, VOCABULARY).toArray();
        tokens[10] = BLOCK - 1;
        tokens[20] = BLOCK;
        tokens[30] = VOCABULARY - 1;
        try (Sequence sequence = Sequence.run(decoder, tokens, 1)) {
          assertThat(sequence.logProbs()).containsExactly(plain.trunk(tokens, 1), within(NATS));
        }
      }
    }
  }

  @Test
  void theMostProbableTokenIsThatOfAnyBlock() {
    RandomModel model = model();
    PlainDecoder plain = new PlainDecoder(model);
    Random random = new Random(5);
    Set<Integer> blocks = new HashSet<>();
    try (Decoder decoder = decoder(model)) {
      for (int i = 0; i < 12; i++) {
        int[] tokens = random.ints(6, 0, VOCABULARY).toArray();
        int expected = plain.next(tokens);
        assertThat(GreedyDecoding.generate(decoder, tokens, 1, Set.of())).containsExactly(expected);
        blocks.add(expected / BLOCK);
      }
    }
    assertThat(blocks).containsExactlyInAnyOrder(0, 1, 2);
  }

  /** Products of 3e38 with both signs: their sum is no number, whatever the other blocks say. */
  @Test
  void oneLogitThatIsNoNumberIsNotPassedOver() {
    for (int token : new int[] {3, BLOCK + 3, VOCABULARY - 1}) {
      RandomModel model = model();
      Arrays.fill(model.get("model.norm.weight"), 100);
      float[] head = model.get("lm_head.weight");
      for (int i = 0; i < HIDDEN; i++) {
        head[token * HIDDEN + i] = 3e38f;
      }
      try (Decoder decoder = decoder(model)) {
        int[] prompt = {5, 6, 7, 8};
        assertThatExceptionOfType(EngineException.class)
            .isThrownBy(() -> GreedyDecoding.generate(decoder, prompt, 1, Set.of()))
            .withMessageContaining("not finite");
        assertThatExceptionOfType(EngineException.class)
            .isThrownBy(() -> Sequence.run(decoder, prompt, 1).close())
            .withMessageContaining("not finite");
      }
    }
  }

  private static RandomModel model() {
    ModelConfig config =
        RandomModel.plainLlama(
            VOCABULARY,
            HIDDEN,
            2,
            2,
            1,
            4,
            12,
            new Rotary(4, List.of(1.0, 0.1), 1, false),
            64,
            false);
    return RandomModel.llama(config, 7);
  }

  private static Decoder decoder(RandomModel model) {
    return Decoder.open(
        model.config(),
        model,
        EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu"),
        smallBlocks(Decoder.text(model.config()).source()),
        5,
        Optional.empty(),
        Optional.empty());
  }

  /** A kernel that takes no more logits at once, however few rows there are. */
  private static KernelText smallBlocks(String source) {
    String end = "start + block)";
    String step = "start = start + block";
    assertThat(source).contains(end, step);
    return new KernelText(
        source.replace(end, "start + " + BLOCK + ")").replace(step, "start = start + " + BLOCK));
  }
}
