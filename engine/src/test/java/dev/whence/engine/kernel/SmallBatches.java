package dev.whence.engine.kernel;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.EngineOptions.Dtype;
import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Scores one small prompt again and again: a trunk with room for 240 tokens, three branches. */
final class SmallBatches implements AutoCloseable {
  private final Fixture fixture = Fixture.read("llama2");
  private final ModelFiles files = fixture.open();
  private final Decoder decoder =
      Decoder.open(
          files.config(),
          files.weights(),
          EngineOptions.defaults().withDtype(Dtype.FP32).withDevice("cpu"));
  private final List<AutoCloseable> open = new ArrayList<>();

  /**
   * In a JVM of its own, where no earlier test has left free memory for a leak to hide in: warms
   * up, runs batches ("closed" or "open"), prints by how many bytes resident memory grew.
   */
  public static void main(String[] args) {
    int count = Integer.parseInt(args[1]);
    try (SmallBatches batches = new SmallBatches()) {
      batches.run(200);
      long before = residentBytes();
      if (args[0].equals("closed")) {
        batches.run(count);
      } else {
        batches.leak(count);
      }
      System.out.println(residentBytes() - before);
    }
  }

  /** Runs {@link #main} and reads what it prints. */
  static long growth(String how, int count) {
    ProcessBuilder builder =
        new ProcessBuilder(
            ProcessHandle.current().info().command().orElseThrow(),
            "-Xmx128m",
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            SmallBatches.class.getName(),
            how,
            Integer.toString(count));
    try {
      Process process = builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return Long.parseLong(output.strip());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void run(int batches) {
    for (int i = 0; i < batches; i++) {
      batch().close();
    }
  }

  /** The defect: nobody closes the trunks. */
  void leak(int batches) {
    for (int i = 0; i < batches; i++) {
      open.add(batch());
    }
  }

  private Sequence batch() {
    int[] tokens = new int[240];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = fixture.ids()[i % fixture.ids().length];
    }
    Sequence trunk = Sequence.run(decoder, tokens, tokens.length - 8);
    trunk.score(decoder, fixture.ablations().stream().map(fixture::branch).toList());
    return trunk;
  }

  long openTrunkBytes() {
    return decoder.memory().trunkBytes();
  }

  /** VmRSS of this process. */
  static long residentBytes() {
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
          .filter(line -> line.startsWith("VmRSS:"))
          .mapToLong(line -> 1024 * Long.parseLong(line.replaceAll("[^0-9]", "")))
          .findFirst()
          .orElseThrow();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    for (AutoCloseable resource : open) {
      try {
        resource.close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
    decoder.close();
    files.close();
  }
}
