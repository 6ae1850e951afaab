package dev.whence.engine.kernel;

import dev.whence.engine.Branch;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.View;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelConfig.Rotary;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.WeightSource;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Peak memory of exact leave-one-out on a prompt of as many tokens as the model takes. */
final class LargestPrompt {
  private static final int SOURCES = 2000;
  private static final int RESPONSE = 100;

  /** What a JVM of its own measured, in bytes. */
  record Peak(long weights, long resident) {}

  private LargestPrompt() {}

  /** "model PATH branches" or "random branches": prints bytes of the weights, and VmHWM. */
  public static void main(String[] args) {
    int branches = Integer.parseInt(args[args.length - 1]);
    if (args[0].equals("model")) {
      try (ModelFiles files = ModelFiles.open(Path.of(args[1]))) {
        score(files.config(), files.weights(), branches);
      }
    } else {
      RandomModel model = RandomModel.llama(config(), 3);
      score(model.config(), model, branches);
    }
  }

  /** 4,096 positions, 16 heads, 32,000 words: what grows with those is far above the weights. */
  private static ModelConfig config() {
    return RandomModel.plainLlama(
        32_000,
        64,
        2,
        16,
        4,
        8,
        96,
        new Rotary(8, List.of(1.0, 0.3, 0.1, 0.01), 1, false),
        4096,
        true);
  }

  private static void score(ModelConfig config, WeightSource source, int count) {
    EngineOptions options =
        EngineOptions.defaults().withDtype(Dtype.AUTO).withDevice("cpu").withPackTokens(2048);
    try (Decoder decoder = Decoder.open(config, source, options)) {
      Random random = new Random(11);
      int length = config.maxPositions();
      int[] tokens = random.ints(length, 0, config.vocabularySize()).toArray();
      try (Sequence trunk = Sequence.run(decoder, tokens, length - RESPONSE)) {
        int width = Math.max(1, (length - RESPONSE - 10) / SOURCES);
        List<Branch> branches = new ArrayList<>();
        for (int i = 0; i < count; i++) {
          int from = 5 + i * (SOURCES / count) * width;
          branches.add(without(tokens, from, from + width));
        }
        trunk.score(decoder, branches);
      }
      System.out.println(decoder.memory().weightBytes() + " " + peakBytes());
    }
  }

  /** The sequence without [from, to): what follows the cut is computed anew. */
  private static Branch without(int[] tokens, int from, int to) {
    int own = tokens.length - to;
    int[] ids = new int[own];
    int[] positions = new int[own];
    for (int i = 0; i < own; i++) {
      ids[i] = tokens[to + i];
      positions[i] = from + i;
    }
    return new Branch(List.of(new View(0, from, 0)), ids, positions, own - RESPONSE);
  }

  /** Runs {@link #main} in a JVM of its own and reads what it prints. */
  static Peak measure(String... args) {
    List<String> command =
        new ArrayList<>(
            List.of(
                ProcessHandle.current().info().command().orElseThrow(),
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                LargestPrompt.class.getName()));
    command.addAll(List.of(args));
    try {
      Process process =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      String[] numbers = output.strip().split(" ", 2);
      return new Peak(Long.parseLong(numbers[0]), Long.parseLong(numbers[1]));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** VmHWM of this process. */
  private static long peakBytes() {
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
          .filter(line -> line.startsWith("VmHWM:"))
          .mapToLong(line -> 1024 * Long.parseLong(line.replaceAll("[^0-9]", "")))
          .findFirst()
          .orElseThrow();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
