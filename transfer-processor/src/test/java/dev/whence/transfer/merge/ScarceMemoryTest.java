package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.weights.ElementType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Merges in a JVM of its own, whose memory for buffers is enough for one of two workers. */
class ScarceMemoryTest {
  private static final int TENSORS = 60;

  @TempDir Path directory;

  /** The process: the argument is the models' directory. */
  public static void main(String[] arguments) {
    Path directory = Path.of(arguments[0]);
    TransferRequest request =
        TransferRequest.of(directory.resolve("b"), directory.resolve("f"), directory.resolve("t"));
    AtomicInteger asked = new AtomicInteger();
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(
          plan,
          directory.resolve("output"),
          // Two times four buffers of 4 MiB.
          MergeOptions.defaults()
              .withWorkers(2)
              .withMemoryBytes(1 << 30)
              .withStop(() -> slowly(asked)),
          MergeProgress.NONE);
      System.out.println("merged");
    } catch (OutOfMemoryError e) {
      System.out.println("asked " + asked);
    }
  }

  /** Asked once when a tensor was read and once when it was written: six seconds in all. */
  private static boolean slowly(AtomicInteger asked) {
    try {
      TimeUnit.MILLISECONDS.sleep(50);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    asked.incrementAndGet();
    return false;
  }

  @Test
  void aWorkerThatGetsNoMemoryEndsTheOthersAtTheirNextPiece()
      throws IOException, InterruptedException {
    for (String model : new String[] {"b", "f", "t"}) {
      ModelFolder folder = new ModelFolder();
      for (int i = 0; i < TENSORS; i++) {
        folder.add(ModelFolder.random("layer." + i, ElementType.BF16, model.charAt(0) + i, 70L));
      }
      folder.write(directory.resolve(model));
    }
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:MaxDirectMemorySize=31m", // all buffers but one, whoever is first
                "-cp",
                System.getProperty("java.class.path"),
                ScarceMemoryTest.class.getName(),
                directory.toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(said).isZero();
    String last = said.lines().reduce("", (before, line) -> line); // options of the JVM come first
    assertThat(last).as(said).startsWith("asked ");
    assertThat(Integer.parseInt(last.substring(6))).isPositive().isLessThan(2 * TENSORS);
  }
}
