package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A device whose memory holds forwards of fewer than so many tokens: the kernel asks the native
 * allocator for 2^52 bytes at every larger one, which says no as it does where memory is short.
 */
class DeviceOutOfMemoryTest {
  private static final double NATS = 1e-4;
  private static final EngineOptions FP32 =
      EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu");
  private static final Fixture FIXTURE = Fixture.read("smollm2");

  @ParameterizedTest
  @ValueSource(ints = {2, 5, 13, 40})
  void aTrunkThatDoesNotFitAtOnceIsComputedInSmallerStretches(int limit) {
    try (ModelFiles files = FIXTURE.open();
        Decoder decoder = decoder(files, forwardsBelow(limit), FP32);
        Sequence trunk = Sequence.run(decoder, FIXTURE.ids(), 1)) {
      assertThat(trunk.logProbs()).containsExactly(FIXTURE.logProbs(), within(NATS));
    }
  }

  @Test
  void branchesThatDoNotFitTogetherAreScoredInSmallerPacks() {
    List<Branch> branches = branches();
    // 42, 46 and 36 tokens, the last of each not computed
    int longest = branches.stream().mapToInt(Packer::computed).max().orElseThrow();
    try (ModelFiles files = FIXTURE.open();
        Decoder decoder = decoder(files, forwardsBelow(longest + 1), FP32);
        Sequence trunk = Sequence.run(decoder, FIXTURE.ids(), 1)) {
      List<double[]> scores = trunk.score(decoder, branches);
      for (int i = 0; i < scores.size(); i++) {
        assertThat(scores.get(i))
            .containsExactly(FIXTURE.ablations().get(i).logProbs(), within(NATS));
      }
      List<double[]> again = trunk.score(decoder, branches);
      for (int i = 0; i < scores.size(); i++) {
        assertThat(again.get(i)).isEqualTo(scores.get(i));
      }
    }
  }

  @Test
  void packsThatDoNotFitSideBySideAreScoredInSmallerOnesAfterwards() {
    int before = TorchRuntime.threads();
    TorchRuntime.workTogether(2);
    // packs of 40 and 30 tokens, of which the last alone goes through
    List<Branch> branches = new ArrayList<>();
    for (int i = 0; i < 7; i++) {
      int[] tokens = Arrays.copyOfRange(FIXTURE.ids(), 20 + i, 31 + i);
      int[] positions = IntStream.range(20, 31).toArray();
      branches.add(new Branch(List.of(new View(0, 20 - i, 0)), tokens, positions, 1));
    }
    try (ModelFiles files = FIXTURE.open();
        Decoder enough = decoder(files, forwardsBelow(1 << 20), FP32);
        Decoder scarce = decoder(files, forwardsBelow(35), FP32, 15);
        Sequence expected = Sequence.run(enough, FIXTURE.ids(), 1);
        Sequence actual = Sequence.run(scarce, FIXTURE.ids(), 1)) {
      int[] shortages = new int[1];
      scarce.limits().onShortage(() -> shortages[0]++);
      List<double[]> scores = actual.score(scarce, branches);
      List<double[]> all = expected.score(enough, branches);
      for (int i = 0; i < branches.size(); i++) {
        assertThat(scores.get(i)).containsExactly(all.get(i), within(NATS));
      }
      // once for what ran side by side, once for the first pack of 40 afterwards
      assertThat(shortages[0]).isEqualTo(2);
    } finally {
      TorchRuntime.workTogether(before);
    }
  }

  @Test
  void whatNoPackCanMakeSmallerIsTheRecordsFaultWithItsSizes() {
    try (ModelFiles files = FIXTURE.open();
        Decoder decoder = decoder(files, forwardsBelow(20), FP32);
        Sequence trunk = Sequence.run(decoder, FIXTURE.ids(), 1)) {
      Branch branch = branches().get(0);
      assertFails(
          Kind.RECORD,
          () -> trunk.score(decoder, branches()),
          "too large",
          "memory",
          "cpu",
          Packer.computed(branch) + " tokens",
          "trunk of 48",
          branch.scored() + " of them scored");
      // and the next one goes through
      Branch small = new Branch(branch.views(), new int[] {5, 6}, new int[] {5, 6}, 1);
      assertThat(trunk.score(decoder, List.of(small)).get(0)).hasSize(1);
    }
  }

  @Test
  void keysAndValuesThatAreKeptToSaveTimeGoFirst() {
    EngineOptions keeping = FP32.withTrunkCacheBytes(1 << 20);
    try (ModelFiles files = FIXTURE.open();
        Decoder decoder = decoder(files, forwardsBelow(40), keeping)) {
      int[] dispensable = new int[1];
      decoder.limits().onShortage(() -> dispensable[0]++);
      Sequence.run(decoder, Arrays.copyOf(FIXTURE.ids(), 39), 39).close();
      assertThat(decoder.memory().trunkBytes()).isPositive();
      int[] other = IntStream.rangeClosed(1, 48).map(i -> FIXTURE.ids()[48 - i]).toArray();
      try (Sequence trunk = Sequence.run(decoder, other, 1)) {
        assertThat(decoder.memory().trunkBytes()).isEqualTo(trunk.bytes());
      }
      assertThat(dispensable[0]).isOne();
    }
  }

  @Test
  void gradientsOfAnEarlierInputMakeRoomAndAreThereAgain() {
    try (ModelFiles files = FIXTURE.open();
        Decoder decoder = decoder(files, forwardsBelow(40), FP32);
        DecoderIntrospection inside = new DecoderIntrospection(decoder, files.weights(), FP32)) {
      int[] tokens = FIXTURE.ids();
      int[] parts = new int[8];
      int[] groups = new int[48];
      double[][] before = inside.embeddingGradients(tokens, 40, parts, 1, groups, 1);
      long held = decoder.memory().weightBytes();
      Sequence.run(decoder, tokens, 1).close();
      assertThat(decoder.memory().weightBytes()).isLessThan(held);
      assertThat(inside.embeddingGradients(tokens, 40, parts, 1, groups, 1)).isDeepEqualTo(before);
    }
  }

  @Test
  void generationAndHiddenStatesAreThoseOfADeviceWithEnough() {
    int[] prompt = Arrays.copyOf(FIXTURE.ids(), FIXTURE.greedyPrompt());
    int[] groups = IntStream.range(0, 48).map(i -> i % 3).toArray();
    try (ModelFiles files = FIXTURE.open();
        Decoder enough = decoder(files, forwardsBelow(1 << 20), FP32);
        Decoder scarce = decoder(files, forwardsBelow(3), FP32);
        DecoderIntrospection expected = new DecoderIntrospection(enough, files.weights(), FP32);
        DecoderIntrospection actual = new DecoderIntrospection(scarce, files.weights(), FP32)) {
      assertThat(GreedyDecoding.generate(scarce, prompt, FIXTURE.greedy().length, Set.of()))
          .isEqualTo(FIXTURE.greedy());
      double[][] states = expected.meanStates(FIXTURE.ids(), groups, 3);
      double[][] parts = actual.meanStates(FIXTURE.ids(), groups, 3);
      for (int k = 0; k < states.length; k++) {
        assertThat(parts[k]).containsExactly(states[k], within(NATS));
      }
    }
  }

  @Test
  void roomForKeysAndValuesThatIsNotThereIsTheRecordsFaultWithItsSizes() {
    String right = "torch.new_zeros(like, [kv, capacity, d])";
    String wrong = "torch.new_zeros(like, [kv, capacity + capacity // 40 * 1125899906842624, d])";
    try (ModelFiles files = FIXTURE.open();
        Decoder decoder = decoder(files, replaced(files, right, wrong), FP32)) {
      // 2 layers of keys and values of 2 heads of 8 in fp32: 256 bytes per token
      assertFails(
          Kind.RECORD,
          () -> Sequence.run(decoder, FIXTURE.ids(), 1),
          "too large",
          "keys and values of 48 tokens, 12288 bytes");
      assertThat(decoder.memory().trunkBytes()).isZero();
      Sequence.run(decoder, Arrays.copyOf(FIXTURE.ids(), 39), 1).close();
    }
  }

  @Test
  void anotherFailureIsNotTriedAgain() {
    KernelText broken = broken();
    try (ModelFiles files = FIXTURE.open();
        Decoder decoder = decoder(files, broken, FP32)) {
      int[] dispensable = new int[1];
      decoder.limits().onShortage(() -> dispensable[0]++);
      assertFails(
          Kind.ENVIRONMENT, () -> Sequence.run(decoder, FIXTURE.ids(), 1), "native library failed");
      assertThat(dispensable[0]).isZero();
    }
  }

  private static KernelText broken() {
    try (ModelFiles files = FIXTURE.open()) {
      return replaced(files, "n = torch.len(ids)", "n = torch.len(ids) + 1");
    }
  }

  private static List<Branch> branches() {
    return FIXTURE.ablations().stream().map(FIXTURE::branch).toList();
  }

  /** The fixture's kernel, on a device whose memory holds forwards of fewer tokens than this. */
  private static KernelText forwardsBelow(int tokens) {
    try (ModelFiles files = FIXTURE.open()) {
      return replaced(
          files,
          "    n = torch.len(ids)\n",
          "    taken = torch.new_empty(w[0], [torch.len(ids) // "
              + tokens
              + " * 1125899906842624])\n"
              + "    n = torch.len(ids) + torch.numel(taken)\n");
    }
  }

  private static KernelText replaced(ModelFiles files, String right, String wrong) {
    String source = Decoder.text(files.config()).source();
    assertThat(source).contains(right);
    return new KernelText(source.replace(right, wrong));
  }

  private static Decoder decoder(ModelFiles files, KernelText text, EngineOptions options) {
    return decoder(files, text, options, AttentionPlan.BLOCK_ROWS);
  }

  private static Decoder decoder(
      ModelFiles files, KernelText text, EngineOptions options, int blockRows) {
    return Decoder.open(
        files.config(),
        files.weights(),
        options,
        text,
        blockRows,
        Optional.empty(),
        Optional.empty());
  }

  private static void assertFails(Kind kind, ThrowingCallable call, String... parts) {
    assertThatExceptionOfType(EngineException.class)
        .isThrownBy(call)
        .satisfies(e -> assertThat(e.kind()).isEqualTo(kind))
        .withMessageContainingAll(parts);
  }
}
