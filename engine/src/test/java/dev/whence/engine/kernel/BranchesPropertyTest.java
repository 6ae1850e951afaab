package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.lifecycle.AfterContainer;

/**
 * Any branch, packed with any others under any budget, scores as a plain forward in double
 * arithmetic under the rule of sight.
 */
class BranchesPropertyTest {
  private static final double NATS = 1e-3;
  private static final int VOCABULARY = 23;
  private static final int[] BUDGETS = {4, 19, 512};

  private static final List<RandomModel> MODELS =
      List.of(
          // grouped queries, biases; wide heads
          RandomModel.llama(llama("qwen2", 4, 2, 0, true, false), 1),
          // every head its own, norms over heads
          RandomModel.llama(llama("qwen3", 2, 2, 0, false, true), 2),
          // grouped queries, sliding window
          RandomModel.llama(llama("mistral", 4, 1, 7, false, false), 3),
          // partial rotary, parallel and not
          RandomModel.gptNeoX(neox(2, true), 4),
          RandomModel.gptNeoX(neox(4, false), 5));

  private static final Map<String, Decoder> DECODERS = new HashMap<>();

  private static ModelConfig llama(
      String type, int heads, int kvHeads, int window, boolean bias, boolean headNorm) {
    return new ModelConfig(
        type,
        VOCABULARY,
        12,
        2,
        heads,
        kvHeads,
        6,
        20,
        1e-4,
        "silu",
        rotary(6),
        128,
        window,
        !bias,
        bias,
        false,
        false,
        headNorm,
        false,
        -1,
        List.of());
  }

  private static ModelConfig neox(int rotated, boolean parallel) {
    return new ModelConfig(
        "gpt_neox",
        VOCABULARY,
        12,
        2,
        3,
        3,
        4,
        20,
        1e-4,
        "gelu",
        rotary(rotated),
        128,
        0,
        false,
        true,
        true,
        true,
        false,
        parallel,
        -1,
        List.of());
  }

  private static Rotary rotary(int dimensions) {
    List<Double> frequencies =
        IntStream.range(0, dimensions / 2)
            .mapToObj(i -> Math.pow(50, -2.0 * i / dimensions))
            .toList();
    return new Rotary(dimensions, frequencies, 1.1, false);
  }

  private static Decoder decoder(int model, int budget, AttentionForm form) {
    return DECODERS.computeIfAbsent(
        model + "/" + budget + "/" + form,
        key ->
            Decoder.open(
                MODELS.get(model).config(),
                MODELS.get(model),
                EngineOptions.defaults()
                    .withDtype(Dtype.FP32)
                    .withDevice("cpu")
                    .withPackTokens(budget),
                Decoder.text(MODELS.get(model).config()),
                5,
                Optional.of(form),
                Optional.empty()));
  }

  @AfterContainer
  static void close() {
    TorchRuntime.workTogether(Runtime.getRuntime().availableProcessors());
    DECODERS.values().forEach(Decoder::close);
    DECODERS.clear();
  }

  @Property(tries = 150)
  void branchesScoreAsAPlainForwardUnderTheRuleOfSight(
      @ForAll @IntRange(max = 4) int model,
      @ForAll @IntRange(max = 2) int budget,
      @ForAll AttentionForm form,
      @ForAll @LongRange(min = 0, max = 1_000_000) long seed) {
    Random random = new Random(seed);
    int[] trunk = tokens(random, 1 + random.nextInt(30));
    List<Branch> branches = new ArrayList<>();
    for (int i = random.nextInt(5); i >= 0; i--) {
      branches.add(branch(random, trunk.length));
    }
    TorchRuntime.workTogether(2); // packs run side by side, whatever machine this is
    PlainDecoder plain = new PlainDecoder(MODELS.get(model));
    Decoder decoder = decoder(model, BUDGETS[budget], form);
    int scoredFrom = 1 + random.nextInt(trunk.length);
    try (Sequence sequence = Sequence.run(decoder, trunk, scoredFrom)) {
      assertThat(sequence.logProbs()).containsExactly(plain.trunk(trunk, scoredFrom), within(NATS));
      List<double[]> scores = sequence.score(decoder, branches);
      for (int i = 0; i < branches.size(); i++) {
        assertThat(scores.get(i))
            .containsExactly(plain.branch(trunk, branches.get(i)), within(NATS));
      }
    }
  }

  private static int[] tokens(Random random, int length) {
    return random.ints(length, 0, VOCABULARY).toArray();
  }

  private static Branch branch(Random random, int trunkLength) {
    List<View> views = new ArrayList<>();
    int from = random.nextInt(3);
    int most = 1 + random.nextInt(6);
    int shift = 0;
    while (views.size() < most && from < trunkLength) {
      int to = from + random.nextInt(most > 3 ? 5 : trunkLength - from + 1);
      to = Math.min(to, trunkLength);
      if (random.nextInt(3) > 0) { // else as the one before: what is between them are holes
        shift = random.nextInt(3) == 0 ? 0 : random.nextInt(from + 6) - 5;
      }
      shift = Math.min(shift, from);
      views.add(new View(from, to, shift));
      from = to + random.nextInt(4);
    }
    int[] own = tokens(random, 1 + random.nextInt(17));
    int[] positions = new int[own.length];
    int position = random.nextInt(trunkLength + 3);
    for (int i = 0; i < own.length; i++) {
      positions[i] = position;
      position += random.nextInt(4) == 0 ? 1 + random.nextInt(5) : 1;
    }
    return new Branch(views, own, positions, 1 + random.nextInt(own.length));
  }
}
