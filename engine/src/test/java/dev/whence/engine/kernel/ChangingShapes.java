package dev.whence.engine.kernel;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.LongSummaryStatistics;
import java.util.Optional;
import java.util.Random;

/**
 * Packs in bf16 of which hardly two have the same shape, many of them side by side: what the native
 * library keeps per shape (generated code, plans, buffers), for the process or for each thread,
 * shows as resident memory.
 */
final class ChangingShapes {
  private static final int ROUNDS = 4;

  private ChangingShapes() {}

  /**
   * Resident bytes more.
   *
   * @param least of any round: the allocator keeps up to 30 MB more or less from one moment to
   *     another, what is kept per shape for ever adds to every round
   * @param total of all rounds: what is kept up to a bound adds to the first ones only
   */
  record Growth(long least, long total) {}

  /**
   * Warms up with the first packs, then runs as many as asked in rounds, and prints how many bytes
   * each round added.
   */
  public static void main(String[] args) {
    int warmUp = Integer.parseInt(args[0]);
    int count = Integer.parseInt(args[1]);
    RandomModel model = RandomModel.llama(config(), 9);
    EngineOptions options = // two threads wherever it runs: what each keeps is measured
        new EngineOptions(Dtype.BF16, "cpu", 0, 0, 2, 0, List.of(), Optional.empty());
    try (Decoder decoder = Decoder.open(model.config(), model, options)) {
      Random random = new Random(17);
      packs(decoder, random, warmUp);
      for (int i = 0; i < ROUNDS; i++) {
        long before = SmallBatches.residentBytes();
        packs(decoder, random, count / ROUNDS);
        System.out.println(SmallBatches.residentBytes() - before);
      }
    }
  }

  private static void packs(Decoder decoder, Random random, int count) {
    for (int done = 0; done < count; done += 2) { // a trunk is a pack, its branches are another
      int length = 40 + random.nextInt(400);
      int[] tokens = random.ints(length, 0, 300).toArray();
      int scored = 1 + random.nextInt(30);
      boolean near = random.nextBoolean(); // branches score what the trunk scores
      try (Sequence trunk = Sequence.run(decoder, tokens, length - scored)) {
        List<Branch> branches = new ArrayList<>();
        for (int i = 6 + random.nextInt(12); i > 0; i--) {
          int seen = 1 + random.nextInt(length - 20);
          int own = Math.max(2 + random.nextInt(90), scored + 1);
          int[] ids = random.ints(own, 0, 300).toArray();
          if (near) {
            System.arraycopy(tokens, length - scored, ids, own - scored, scored);
          }
          int[] positions = new int[own];
          for (int j = 0; j < own; j++) {
            positions[j] = seen + j;
          }
          branches.add(
              new Branch(List.of(new View(0, seen, 0)), ids, positions, near ? own - scored : 1));
        }
        trunk.score(decoder, branches);
      }
    }
  }

  private static ModelConfig config() {
    return RandomModel.plainLlama(
        300,
        64,
        2,
        4,
        2,
        16,
        160,
        new Rotary(16, List.of(1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01), 1, false),
        1024,
        true);
  }

  /**
   * Runs {@link #main} in a JVM of its own; a crash is one of the tests' failures.
   *
   * @param count packs of all rounds together
   * @return what the rounds added
   */
  static Growth growth(int warmUp, int count) {
    ProcessBuilder builder =
        new ProcessBuilder(
            ProcessHandle.current().info().command().orElseThrow(),
            "-Xms128m",
            "-Xmx128m",
            "-XX:+AlwaysPreTouch", // or the heap's own growth would count
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            ChangingShapes.class.getName(),
            Integer.toString(warmUp),
            Integer.toString(count));
    // as the launcher sets them; other values of the caller's environment stay
    builder.environment().putIfAbsent("LRU_CACHE_CAPACITY", "64");
    builder.environment().putIfAbsent("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256");
    try {
      Process process = builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      int exit = process.waitFor();
      if (exit != 0) {
        throw new IllegalStateException("the process ended with exit code " + exit);
      }
      LongSummaryStatistics rounds = output.lines().mapToLong(Long::parseLong).summaryStatistics();
      return new Growth(rounds.getMin(), rounds.getSum());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }
}
