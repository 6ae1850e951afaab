package dev.whence.engine.kernel;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import dev.whence.engine.WorkEstimate;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * By hand: how long exact leave-one-out and the splice take on a model, in the shape of
 * hotpotqa-60's line 2 (1,565 tokens, 40 sources of 37 tokens, 2 scored tokens). Arguments: model,
 * dtype, pack tokens, repetitions; properties: tokens, sources, branches (the first so many).
 * Prints wall and processor time: on a busy machine only the latter tells.
 */
final class ExactLooTiming {
  private static final int TOKENS = Integer.getInteger("tokens", 1565);
  private static final int SOURCES = Integer.getInteger("sources", 40);
  private static final int FIRST = 25;
  private static final int SOURCE_TOKENS = (TOKENS - 85) / SOURCES;
  private static final int SCORED = 2;

  private static long processorBefore;

  private ExactLooTiming() {}

  public static void main(String[] args) {
    EngineOptions options =
        EngineOptions.defaults()
            .withDtype(Dtype.of(args[1]))
            .withPackTokens(Integer.parseInt(args[2]));
    GemmPeak peak = GemmPeak.measure(options);
    System.out.printf(
        Locale.ROOT, "gemm bf16 %.0f fp32 %.0f GFLOP/s%n", peak.bf16() / 1e9, peak.fp32() / 1e9);
    double top = args[1].equals("bf16") ? peak.bf16() : peak.fp32();
    long opened = System.nanoTime();
    try (LocalScorer scorer = LocalScorer.open(ModelFiles.open(Path.of(args[0])), options)) {
      System.out.printf(Locale.ROOT, "open %.2f s%n", (System.nanoTime() - opened) * 1e-9);
      int[] tokens =
          new Random(1).ints(TOKENS, 0, scorer.decoder().config().vocabularySize()).toArray();
      List<Branch> exact = new ArrayList<>();
      List<Branch> splice = new ArrayList<>();
      int end = FIRST + SOURCES * SOURCE_TOKENS;
      for (int s = 0; s < SOURCES; s++) {
        int a = FIRST + s * SOURCE_TOKENS;
        int b = a + SOURCE_TOKENS;
        int[] own = IntStream.range(b, TOKENS).toArray();
        exact.add(branch(List.of(new View(0, a, 0)), own, tokens, b - a));
        int healed = Math.min(b + 16, end);
        splice.add(
            branch(
                List.of(new View(0, a, 0), new View(healed, end, b - a)),
                IntStream.concat(IntStream.range(b, healed), IntStream.range(end, TOKENS))
                    .toArray(),
                tokens,
                b - a));
      }
      int most = Math.min(SOURCES, Integer.getInteger("branches", SOURCES));
      exact = exact.subList(0, most);
      splice = splice.subList(0, most);
      for (int r = 0; r < Integer.parseInt(args[3]); r++) {
        processorBefore = processor();
        long start = System.nanoTime();
        WorkEstimate none = scorer.estimate(TOKENS, SCORED, List.of());
        try (Trunk trunk = scorer.trunk(tokens, TOKENS - SCORED)) {
          print("trunk", start, none, top);
          WorkEstimate loo = scorer.estimate(0, 0, exact);
          start = System.nanoTime();
          scorer.score(trunk, exact);
          print("exact", start, loo, top);
          WorkEstimate spliced = scorer.estimate(0, 0, splice);
          start = System.nanoTime();
          scorer.score(trunk, splice);
          print("splice", start, spliced, top);
        }
      }
    }
  }

  private static Branch branch(List<View> views, int[] own, int[] tokens, int shift) {
    return new Branch(
        views,
        IntStream.of(own).map(i -> tokens[i]).toArray(),
        IntStream.of(own).map(i -> i - shift).toArray(),
        own.length - SCORED);
  }

  private static void print(String what, long start, WorkEstimate work, double peak) {
    double seconds = (System.nanoTime() - start) * 1e-9;
    long processor = processor();
    double busy = (processor - processorBefore) * 1e-9;
    processorBefore = processor;
    System.out.printf(
        Locale.ROOT, "%-7s %.3f processor seconds, peak resident %d MiB%n", what, busy, peakMiB());
    System.out.printf(
        Locale.ROOT,
        "%-7s %7.3f s (predicted %7.3f) %7d tokens %8.1f GFLOP %6.1f GFLOP/s = %.1f %% of the"
            + " peak%n",
        what,
        seconds,
        work.seconds(),
        work.tokens(),
        work.flops() / 1e9,
        work.flops() / seconds / 1e9,
        100 * work.flops() / seconds / peak);
  }

  private static long processor() {
    return ProcessHandle.current().info().totalCpuDuration().orElseThrow().toNanos();
  }

  private static long peakMiB() {
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
          .filter(line -> line.startsWith("VmHWM:"))
          .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024)
          .findFirst()
          .orElseThrow();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
