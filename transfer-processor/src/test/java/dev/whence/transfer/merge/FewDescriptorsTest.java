package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.weights.ElementType;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * Merges in a JVM of its own that may have few files open. It opens files until it may open no
 * more, closes some, and merges with those.
 */
@EnabledOnOs({OS.LINUX, OS.MAC})
class FewDescriptorsTest {
  /** Three models of two shards, the lock, the journal, two results; one to look something up. */
  private static final int FEWEST = 6 + 1 + 1 + 2 + 1;

  /** Also every input once more. */
  private static final int ENOUGH = FEWEST + 6;

  private static final int TIMES_FULL = 20;

  @TempDir Path directory;

  /** The process: the argument is the models' directory. */
  public static void main(String[] arguments) throws IOException, InterruptedException {
    Path directory = Path.of(arguments[0]);
    merge(directory, "first"); // all classes are loaded then
    Path any = Files.writeString(directory.resolve("any"), "");
    for (int left = FEWEST; left <= ENOUGH; left++) {
      Deque<Closeable> held = new ArrayDeque<>();
      // The JVM itself opens a file at times, for a moment.
      for (int full = 0; full < TIMES_FULL; ) {
        try {
          held.push(FileChannel.open(any, StandardOpenOption.READ));
        } catch (IOException e) {
          full++;
          Thread.sleep(5);
        }
      }
      for (int i = 0; i < left; i++) {
        held.pop().close();
      }
      System.out.println("with " + left);
      merge(directory, "with-" + left);
      for (Closeable one : held) {
        one.close();
      }
    }
    System.out.println("done");
  }

  private static void merge(Path directory, String output) {
    TransferRequest request =
        TransferRequest.of(directory.resolve("b"), directory.resolve("f"), directory.resolve("t"));
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(
          plan,
          directory.resolve(output),
          MergeOptions.defaults().withDirectBytes(0),
          MergeProgress.NONE);
    }
  }

  @Test
  void aMergeNeedsNoMoreOpenFilesThanOneThroughTheCacheAndSaysWhatItWouldUse() throws Exception {
    for (String model : List.of("b", "f", "t")) {
      ModelFolder folder = new ModelFolder();
      for (int shard = 1; shard <= 2; shard++) {
        folder.random(
            "model-0000" + shard + "-of-00002.safetensors",
            "layer." + shard,
            ElementType.BF16,
            model.charAt(0) + shard,
            100L,
            70L);
      }
      folder.write(directory.resolve(model));
    }
    // Where nothing is direct, no descriptor is wanted a second time.
    DirectFileTest.open(
            directory.resolve("b/model-00001-of-00002.safetensors"),
            Set.of(StandardOpenOption.READ))
        .close();
    Process process =
        new ProcessBuilder(
                "sh",
                "-c",
                "ulimit -n 400 && exec \"$@\"",
                "sh",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-cp",
                System.getProperty("java.class.path"),
                FewDescriptorsTest.class.getName(),
                directory.toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(said).isZero();

    String[] runs = said.split("with \\d+\n");
    assertThat(runs).as(said).hasSize(1 + ENOUGH - FEWEST + 1);
    for (int left = FEWEST; left < ENOUGH; left++) {
      assertThat(runs[1 + left - FEWEST])
          .as("with %d", left)
          .contains("6 files are read through the page cache")
          .contains("Too many open files");
    }
    assertThat(runs[1 + ENOUGH - FEWEST]).as("with enough").isEqualTo("done\n");
    for (int left = FEWEST; left <= ENOUGH; left++) {
      assertThat(ModelFolder.contents(directory.resolve("with-" + left)))
          .isEqualTo(ModelFolder.contents(directory.resolve("first")));
    }
  }
}
