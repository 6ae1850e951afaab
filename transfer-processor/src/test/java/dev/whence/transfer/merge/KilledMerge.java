package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.weights.ElementType;
import dev.whence.files.FileTree;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * Merges in a JVM of its own that is killed (SIGKILL) at random points, and resumed in this one.
 * The points are spread over the time that an undisturbed run takes. Killed and resuming runs go
 * through the page cache or past it in all four combinations, in turn.
 */
final class KilledMerge {
  private static final String ONE = "model-00001-of-00002.safetensors";
  private static final String TWO = "model-00002-of-00002.safetensors";

  private final Path directory;
  private final TransferRequest request;

  KilledMerge(Path directory, int layers) throws IOException {
    this.directory = directory;
    this.request =
        TransferRequest.of(
                model(1, layers).write(directory.resolve("base")),
                model(1000, layers).write(directory.resolve("fine-tuned")),
                model(2000, layers).write(directory.resolve("target")))
            .withLambdas(List.of(.5, 1.));
  }

  private static ModelFolder model(long seed, int layers) {
    ModelFolder folder = new ModelFolder();
    for (int layer = 0; layer < layers; layer++) {
      folder.random(
          layer % 2 == 0 ? ONE : TWO,
          "model.layers." + layer + ".weight",
          ElementType.BF16,
          seed + layer,
          100L,
          2500L);
    }
    return folder;
  }

  /** The killed process: arguments are base, fine-tuned, target, output, past cache. */
  public static void main(String[] arguments) {
    TransferRequest request =
        TransferRequest.of(Path.of(arguments[0]), Path.of(arguments[1]), Path.of(arguments[2]))
            .withLambdas(List.of(.5, 1.));
    try (TransferPlan plan = TransferPlan.of(request)) {
      System.out.println("started");
      MergeOptions slow = way(Boolean.parseBoolean(arguments[4]));
      MergeRun.run(
          plan,
          Path.of(arguments[3]),
          slow.withMemoryBytes(1).withForceBytes(2_000_000),
          MergeProgress.NONE);
    }
  }

  private static MergeOptions way(boolean pastCache) {
    return MergeOptions.defaults().withDirectBytes(pastCache ? 0 : Long.MAX_VALUE);
  }

  /** How many of the runs were cut off before they were published. */
  int killAndResume(int points, long seed) throws Exception {
    Path undisturbed = directory.resolve("undisturbed");
    Process first = start(undisturbed, false); // so that the two ways are held against each other
    long begun = System.nanoTime();
    assertThat(first.waitFor()).isZero();
    long nanos = System.nanoTime() - begun;
    Map<String, String> expected = ModelFolder.contents(undisturbed);

    Random random = new Random(seed);
    int cut = 0;
    for (int point = 0; point < points; point++) {
      Path output = directory.resolve("killed");
      Process process = start(output, point % 2 == 0);
      // One after the other a little later, so that even few points are spread.
      TimeUnit.NANOSECONDS.sleep((long) (nanos * (point + random.nextDouble()) / points));
      process.destroyForcibly().waitFor();
      if (Files.exists(output)) {
        assertThat(ModelFolder.contents(output)).as("visible, so whole").isEqualTo(expected);
      } else {
        cut++;
      }
      try (TransferPlan plan = TransferPlan.of(request)) {
        MergeRun.run(plan, output, way(point / 2 % 2 == 0), MergeProgress.NONE);
      }
      assertThat(ModelFolder.contents(output)).as("point %d", point).isEqualTo(expected);
      assertThat(directory.resolve(".killed.whence-transfer")).doesNotExist();
      FileTree.delete(output);
    }
    return cut;
  }

  /** Starts a process, and returns when it is about to merge. */
  private Process start(Path output, boolean pastCache) throws IOException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                KilledMerge.class.getName(),
                request.base().directory().toString(),
                request.fineTuned().directory().toString(),
                request.target().directory().toString(),
                output.toString(),
                String.valueOf(pastCache))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    int said = process.getInputStream().read();
    assertThat(said).as("it started").isEqualTo('s');
    return process;
  }
}
