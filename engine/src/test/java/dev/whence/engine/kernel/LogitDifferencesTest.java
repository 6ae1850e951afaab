package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.WeightSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Logits of branches as differences to those of the trunk. */
class LogitDifferencesTest {
  private static final int VOCABULARY = 3000;
  private static final int TRUNK = 120;
  private static final int SCORED = 25;
  private static final String HELD = "torch.gt(torch.logaddexp(others, own), -69.)";

  private static final ModelConfig CONFIG =
      RandomModel.plainLlama(
          VOCABULARY,
          96,
          2,
          4,
          2,
          24,
          128,
          new Rotary(
              24,
              IntStream.range(0, 12).mapToObj(i -> Math.pow(100, -i / 12.0)).toList(),
              1,
              false),
          256,
          false);

  static List<String> families() {
    return Fixture.NAMES;
  }

  @ParameterizedTest
  @MethodSource("families")
  void areThoseOfTransformers(String family) {
    assertThat(deviation(family, source -> source)).isLessThan(1e-4);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "torch.softplus(others - own) | others",
        "torch.view(moved, [-1, n]) + trunk[0] | trunk[0]",
        "torch.view(moved, [-1, n]) + trunk[0] | torch.view(moved, [-1, n])",
        "- states, [-1 | - torch.flip(states, [0]), [-1",
        "torch.scatter_(all, 1, at, -inf) | all",
      })
  void aMistakeIsNoticed(String right, String wrong) {
    for (String family : families()) {
      assertThat(deviation(family, source -> replaced(source, right, wrong)))
          .as(family)
          .isGreaterThan(1e-3);
    }
  }

  /** How far fixtures' ablations are from those of the reference, at most. */
  private static double deviation(String family, UnaryOperator<String> mutation) {
    Fixture fixture = Fixture.read(family);
    double most = 0;
    EngineOptions options = options(Dtype.FP32);
    try (ModelFiles files = fixture.open();
        Decoder decoder = open(files.config(), files.weights(), options, mutation, true)) {
      for (Fixture.Ablation ablation : fixture.ablations()) {
        int scoredFrom = fixture.ids().length - ablation.logProbs().length;
        try (Sequence trunk = Sequence.run(decoder, fixture.ids(), scoredFrom)) {
          Branch branch = fixture.branch(ablation);
          for (double[] scores : trunk.score(decoder, List.of(branch, branch))) {
            most = Math.max(most, distance(scores, ablation.logProbs()));
          }
        }
      }
    }
    return most;
  }

  /**
   * The hidden states are the same in bf16, so all that differs is how logits are rounded: by a
   * small part of what a branch changes.
   */
  @Test
  void areNearLogitsInFp32WhereProductsAreInBf16() {
    List<double[]> truth = scores(Dtype.BF16, false, s -> s, branches());
    List<double[]> near = scores(Dtype.BF16, true, s -> s, branches());
    double error = 0;
    double change = 0;
    for (int i = 1; i < truth.size(); i++) {
      for (int t = 0; t < SCORED; t++) {
        error += Math.pow(near.get(i)[t] - truth.get(i)[t], 2);
        change += Math.pow(truth.get(i)[t] - truth.get(0)[t], 2);
      }
    }
    assertThat(error).isBetween(1e-12, 1e-4 * change);
  }

  /**
   * A head so steep that the likeliest token is all but certain: however far a branch moves logits
   * there, its probability is not rounded as they are.
   */
  @Test
  void leaveACertainTokenCertain() {
    RandomModel model = RandomModel.llama(CONFIG, 5);
    float[] head = model.get("lm_head.weight");
    scale(head, 12);
    for (int l = 0; l < CONFIG.layers(); l++) {
      scale(model.get("model.layers." + l + ".self_attn.o_proj.weight"), 0.1f);
    }
    EngineOptions options = options(Dtype.BF16);
    int[] tokens = tokens();
    int certain = 0;
    double moved = 0;
    try (Decoder plain = open(CONFIG, model, options, s -> s, false);
        Decoder decoder = open(CONFIG, model, options, s -> s, true)) {
      int[] prompt = Arrays.copyOf(tokens, TRUNK - 1);
      int likeliest = GreedyDecoding.generate(plain, prompt, 1, Set.of())[0];
      tokens[TRUNK - 1] = likeliest;
      List<Branch> branches = branches(tokens, 1);
      try (Sequence truth = Sequence.run(plain, tokens, TRUNK - 1);
          Sequence trunk = Sequence.run(decoder, tokens, TRUNK - 1)) {
        List<double[]> wanted = truth.score(plain, branches);
        List<double[]> scores = trunk.score(decoder, branches);
        for (int i = 0; i < branches.size(); i++) {
          double score = scores.get(i)[0];
          assertThat(score).isLessThanOrEqualTo(0);
          moved = Math.max(moved, Math.abs(wanted.get(i)[0] - truth.logProbs()[0]));
          if (wanted.get(i)[0] > -1e-3) {
            certain++;
            assertThat(score).isCloseTo(wanted.get(i)[0], within(1e-4));
          }
        }
      }
    }
    assertThat(certain).isPositive();
    assertThat(moved).isPositive();
  }

  /** What fp32 might lose is computed as if there were no trunk to be near. */
  @Test
  void ofWhichFp32LosesSomethingAreComputedAsOthers() {
    UnaryOperator<String> unusable = s -> replaced(s, HELD, HELD.replace("-69.", "1e30"));
    assertThat(flat(scores(Dtype.FP32, true, unusable, branches())))
        .containsExactly(flat(scores(Dtype.FP32, false, s -> s, branches())));
  }

  /** A kernel whose differences are wrong shows that they are not asked for. */
  @Test
  void ofOtherTokensAreComputedAsOthers() {
    List<Branch> others = new ArrayList<>();
    for (Branch branch : branches()) {
      int[] tokens = branch.tokens().clone();
      tokens[tokens.length - 1] = (tokens[tokens.length - 1] + 1) % VOCABULARY;
      others.add(new Branch(branch.views(), tokens, branch.positions(), branch.scoredFrom()));
      others.add(branch); // of a pack that has the other
      others.add(
          new Branch(branch.views(), branch.tokens(), branch.positions(), branch.scoredFrom() + 1));
    }
    EngineOptions whole = options(Dtype.FP32).withPackTokens(100_000);
    assertThat(flat(scores(whole, true, LogitDifferencesTest::wrong, others)))
        .containsExactly(flat(scores(whole, false, s -> s, others)));
  }

  /** Neither for a single branch, for which it would not pay. */
  @Test
  void ofASingleBranchAreComputedAsOthers() {
    List<Branch> one = branches().subList(3, 4);
    assertThat(flat(scores(Dtype.FP32, true, LogitDifferencesTest::wrong, one)))
        .containsExactly(flat(scores(Dtype.FP32, false, s -> s, one)));
  }

  /** Also of the first, where each branch is a pack of its own: the call has several. */
  @Test
  void ofTheFirstPackOfSeveralAreTakenToo() {
    EngineOptions apart = options(Dtype.FP32).withPackTokens(1);
    double[] plain = scores(apart, true, s -> s, branches()).get(1); // 0 is the trunk's
    double[] wrong = scores(apart, true, LogitDifferencesTest::wrong, branches()).get(1);
    assertThat(distance(plain, wrong)).isGreaterThan(1e-2);
  }

  @Test
  void areTheSameOfPacksSideBySide() {
    List<Branch> many = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      many.addAll(branches());
    }
    EngineOptions alone = options(Dtype.FP32).withPackTokens(200);
    EngineOptions sideBySide = options(Dtype.FP32);
    double[] scores = flat(scores(sideBySide, true, s -> s, many));
    assertThat(scores).containsExactly(flat(scores(alone, true, s -> s, many)), within(1e-4));
    assertThat(distance(scores, flat(scores(sideBySide, true, LogitDifferencesTest::wrong, many))))
        .as("differences are what is taken")
        .isGreaterThan(1e-2);
  }

  /** No room for a trunk's log-probabilities: branches are scored without. */
  @Test
  void areNotNeeded() {
    String made = "    all = torch.new_empty(h, [torch.size(h, 0), torch.size(head, 0)])";
    UnaryOperator<String> noRoom =
        s -> replaced(s, made, "    ops.prim.RaiseException(\"can't allocate memory\")\n" + made);
    assertThat(flat(scores(Dtype.FP32, true, noRoom, branches())))
        .containsExactly(flat(scores(Dtype.FP32, false, s -> s, branches())));
  }

  @Test
  void takeMemoryOfTheTrunkWhileItIsOpen() {
    EngineOptions options = options(Dtype.FP32);
    RandomModel model = RandomModel.llama(CONFIG, 5);
    long states = 4L * SCORED * CONFIG.hiddenSize();
    long all = 4L * SCORED * (1 + VOCABULARY);
    long kept;
    long weights;
    try (Decoder decoder = open(CONFIG, model, options, s -> s, false);
        Sequence trunk = Sequence.run(decoder, tokens(), TRUNK - SCORED)) {
      kept = trunk.bytes();
      weights = decoder.memory().weightBytes();
      assertThat(decoder.memory().trunkBytes()).isEqualTo(kept);
    }
    try (Decoder decoder = open(CONFIG, model, options, s -> s, true)) {
      try (Sequence trunk = Sequence.run(decoder, tokens(), TRUNK - SCORED)) {
        assertThat(trunk.bytes()).isEqualTo(kept + states);
        trunk.score(decoder, branches());
        assertThat(trunk.bytes()).isEqualTo(kept + states + all);
        assertThat(decoder.memory().trunkBytes()).isEqualTo(trunk.bytes());
      }
      assertThat(decoder.memory().trunkBytes()).isEqualTo(0);
    }
    long budget = weights + 2 * kept + states + all;
    for (long bytes : new long[] {budget - 1, budget}) {
      try (Decoder decoder = open(CONFIG, model, options.withMemoryBytes(bytes), s -> s, true);
          Sequence trunk = Sequence.run(decoder, tokens(), TRUNK - SCORED)) {
        assertThat(trunk.bytes()).isEqualTo(bytes < budget ? kept : kept + states);
      }
    }
  }

  private static List<double[]> scores(
      Dtype dtype, boolean differences, UnaryOperator<String> mutation, List<Branch> branches) {
    return scores(options(dtype).withPackTokens(200), differences, mutation, branches);
  }

  private static EngineOptions options(Dtype dtype) {
    return EngineOptions.defaults().withDtype(dtype).withDevice("cpu");
  }

  private static List<double[]> scores(
      EngineOptions options,
      boolean differences,
      UnaryOperator<String> mutation,
      List<Branch> branches) {
    RandomModel model = RandomModel.llama(CONFIG, 5);
    try (Decoder decoder = open(CONFIG, model, options, mutation, differences);
        Sequence trunk = Sequence.run(decoder, tokens(), TRUNK - SCORED)) {
      List<double[]> all = new ArrayList<>();
      all.add(trunk.logProbs());
      all.addAll(trunk.score(decoder, branches));
      return all;
    }
  }

  private static Decoder open(
      ModelConfig config,
      WeightSource source,
      EngineOptions options,
      UnaryOperator<String> mutation,
      boolean differences) {
    return Decoder.open(
        config,
        source,
        options,
        new KernelText(mutation.apply(Decoder.text(config).source())),
        AttentionPlan.BLOCK_ROWS,
        Optional.of(AttentionForm.PRODUCTS),
        Optional.of(differences));
  }

  /** Ranges of different lengths are left out; what follows them moves up. */
  private static List<Branch> branches() {
    return branches(tokens(), SCORED);
  }

  private static List<Branch> branches(int[] tokens, int scored) {
    List<Branch> branches = new ArrayList<>();
    for (int from = 10; from < TRUNK - SCORED - 20; from += 9) {
      int gap = 3 + from % 11;
      int own = TRUNK - SCORED - 1 - from % 4;
      int[] rest = IntStream.range(own, TRUNK).map(i -> tokens[i]).toArray();
      int[] positions = IntStream.range(own - gap, TRUNK - gap).toArray();
      List<View> views = List.of(new View(0, from, 0), new View(from + gap, own, gap));
      branches.add(new Branch(views, rest, positions, rest.length - scored));
    }
    return branches;
  }

  private static int[] tokens() {
    return new Random(3).ints(TRUNK, 0, VOCABULARY).toArray();
  }

  private static String wrong(String source) {
    return replaced(source, "torch.softplus(others - own)", "others");
  }

  private static String replaced(String source, String right, String wrong) {
    assertThat(source).contains(right);
    return source.replace(right, wrong);
  }

  private static void scale(float[] values, float by) {
    for (int i = 0; i < values.length; i++) {
      values[i] *= by;
    }
  }

  private static double[] flat(List<double[]> scores) {
    return scores.stream().flatMapToDouble(DoubleStream::of).toArray();
  }

  private static double distance(double[] a, double[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> Math.abs(a[i] - b[i])).max().orElseThrow();
  }
}
