package dev.whence.engine.kernel;

import static dev.whence.engine.kernel.AttentionForm.FUSED;
import static dev.whence.engine.kernel.AttentionForm.PRODUCTS;
import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Both forms of attention at lengths at which every way through the fused one is taken. */
class AttentionFormsTest {
  private static final int VOCABULARY = 300;

  /** A whole number of neither 16 nor 64, past one tile of 512 keys. */
  private static final int TRUNK = 701;

  private static final ModelConfig CONFIG =
      RandomModel.plainLlama(
          VOCABULARY,
          96,
          2,
          8,
          2,
          32,
          128,
          new Rotary(
              32,
              IntStream.range(0, 16).mapToObj(i -> Math.pow(100, -i / 16.0)).toList(),
              1,
              false),
          2048,
          true);

  @Test
  void scoreTheSameInFp32() {
    assertThat(distance(scores(PRODUCTS, Dtype.FP32, s -> s), scores(FUSED, Dtype.FP32, s -> s)))
        .isLessThan(1e-4);
  }

  /** bf16 rounds differently in both, which the fp32 scores are the measure of. */
  @Test
  void areAsNearToFp32InBf16() {
    List<double[]> truth = scores(PRODUCTS, Dtype.FP32, s -> s);
    double products = mean(truth, scores(PRODUCTS, Dtype.BF16, s -> s));
    double fused = mean(truth, scores(FUSED, Dtype.BF16, s -> s));
    assertThat(products).isLessThan(0.1);
    assertThat(fused).isLessThan(1.2 * products);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "narrow(trunk, 1, plan[at], n + more) | narrow(trunk, 1, 0, n + more)",
        "before > 0 | 1 == 0",
        "hidden.append(n + j) | hidden.append(n - 1)",
        "hidden.append(column - first) | hidden.append(column - first + 5)",
        "column = column + n | column = 0",
        "1, 0, n), unseen, never) | 1, 0, n), unseen, 0)",
        "torch.repeat(mask, [sharing, 1]) | torch.repeat(torch.flip(mask, [0]), [sharing, 1])",
        "torch.view(o, [kv, -1, rows, d]) | torch.flip(torch.view(o, [kv, -1, rows, d]), [1])",
        "return torch.narrow(merged, 2, 0, rows) |"
            + " return torch.flip(torch.narrow(merged, 2, 0, rows), [2])",
      })
  void aMistakeIsNoticed(String right, String wrong) {
    UnaryOperator<String> mutation =
        source -> {
          assertThat(source).contains(right);
          return source.replace(right, wrong);
        };
    assertThat(distance(scores(PRODUCTS, Dtype.FP32, s -> s), scores(FUSED, Dtype.FP32, mutation)))
        .isGreaterThan(1e-3);
  }

  /** A trunk that takes over the room of a longer one, whose rest is stale, and branches of it. */
  private static List<double[]> scores(
      AttentionForm form, Dtype dtype, UnaryOperator<String> mutation) {
    RandomModel model = RandomModel.llama(CONFIG, 5);
    EngineOptions options =
        EngineOptions.defaults().withDtype(dtype).withDevice("cpu").withTrunkCacheBytes(64L << 20);
    Random random = new Random(3);
    int[] longer = random.ints(TRUNK + 90, 0, VOCABULARY).toArray();
    int[] trunk = IntStream.range(0, TRUNK).map(i -> longer[i]).toArray();
    trunk[TRUNK - 60] = (longer[TRUNK - 60] + 1) % VOCABULARY;
    List<double[]> all = new ArrayList<>();
    KernelText text = new KernelText(mutation.apply(Decoder.text(CONFIG).source()));
    try (Decoder decoder =
        Decoder.open(
            CONFIG,
            model,
            options,
            text,
            AttentionPlan.BLOCK_ROWS,
            Optional.of(form),
            Optional.empty())) {
      Sequence.run(decoder, longer, 1).close();
      try (Sequence sequence = Sequence.run(decoder, trunk, TRUNK - 50)) {
        all.add(sequence.logProbs());
        all.addAll(sequence.score(decoder, branches(random)));
      }
    }
    return all;
  }

  private static List<Branch> branches(Random random) {
    List<Branch> branches = new ArrayList<>();
    for (int own : new int[] {3, 17, 40, 200, 800}) {
      branches.add(branch(random, own, new View(0, 640, 0)));
      branches.add(branch(random, own, new View(37, 650, 5)));
      branches.add(
          branch(random, own, new View(0, 100, 0), new View(130, 400, 30), new View(450, 701, 50)));
      branches.add(
          branch(
              random,
              own,
              new View(0, 30, 0),
              new View(32, 100, 0),
              new View(130, 400, 30),
              new View(404, 520, 30),
              new View(521, 690, 30)));
      branches.add(healed(random, own));
    }
    return branches;
  }

  /**
   * Tokens healed right after a gap and further on, whose block sees different keys, and a tail.
   */
  private static Branch healed(Random random, int own) {
    int[] positions =
        IntStream.concat(
                IntStream.of(100, 101, 102, 103, 200, 201, 300, 301, 302, 303),
                IntStream.concat(IntStream.range(350, 362), IntStream.range(660, 660 + own)))
            .toArray();
    return new Branch(
        List.of(
            new View(0, 100, 0),
            new View(134, 230, 30),
            new View(232, 330, 30),
            new View(334, 380, 30),
            new View(392, 690, 30)),
        random.ints(positions.length, 0, VOCABULARY).toArray(),
        positions,
        positions.length - Math.max(1, own / 2));
  }

  /** Own tokens from position 660 on, with a gap after the first third. */
  private static Branch branch(Random random, int own, View... views) {
    int[] positions = IntStream.range(0, own).map(i -> 660 + i + (i > own / 3 ? 9 : 0)).toArray();
    return new Branch(
        List.of(views), random.ints(own, 0, VOCABULARY).toArray(), positions, Math.max(1, own / 2));
  }

  private static double distance(List<double[]> one, List<double[]> other) {
    double most = 0;
    for (int i = 0; i < one.size(); i++) {
      for (int j = 0; j < one.get(i).length; j++) {
        most = Math.max(most, Math.abs(one.get(i)[j] - other.get(i)[j]));
      }
    }
    return most;
  }

  private static double mean(List<double[]> one, List<double[]> other) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < one.size(); i++) {
      for (int j = 0; j < one.get(i).length; j++) {
        sum += Math.abs(one.get(i)[j] - other.get(i)[j]);
        count++;
      }
    }
    return sum / count;
  }
}
