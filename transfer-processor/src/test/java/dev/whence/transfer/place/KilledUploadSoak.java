package dev.whence.transfer.place;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.buckets.ObjectStore;
import dev.whence.engine.weights.ElementType;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import dev.whence.transfer.merge.Verification;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Processes that send a model to a bucket are killed (SIGKILL) at points that are spread over what
 * an undisturbed one sends, and a little later by chance; the server is a process of its own.
 */
class KilledUploadSoak {
  private static final int POINTS = 50;
  private static final int LONGEST_MILLIS = 60;
  private static final String ONE = "model-00001-of-00002.safetensors";
  private static final String TWO = "model-00002-of-00002.safetensors";

  @TempDir private Path directory;

  private Path model(String name) throws IOException {
    return new ModelFolder()
        .random(ONE, "a", ElementType.BF16, name.hashCode(), 4_000_000L)
        .random(TWO, "b", ElementType.F32, name.hashCode() + 1, 4_000_000L)
        .write(directory.resolve(name));
  }

  private static BufferedReader lines(Process process) {
    return new BufferedReader(
        new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
  }

  private static String said(Path work) throws IOException {
    return Files.readString(BucketTransfer.errors(work));
  }

  /** The next step that a process says; logging says something on standard output, too. */
  private static Optional<String> step(BufferedReader out) throws IOException {
    String line = out.readLine();
    while (line != null && !line.startsWith("sent ")) {
      line = out.readLine();
    }
    return Optional.ofNullable(line);
  }

  private static int finish(Process process, Path work) throws Exception {
    int sent = 0;
    try (BufferedReader out = lines(process)) {
      while (step(out).isPresent()) {
        sent++;
      }
    }
    assertThat(process.waitFor()).as(said(work)).isZero();
    return sent;
  }

  @Test
  @Timeout(30 * 60)
  void fiftyKillsLeaveNoHalfReleaseAndTheNextProcessCompletesEach() throws Exception {
    TransferRequest request =
        TransferRequest.of(model("base"), model("fine-tuned"), model("target"));
    Path local = directory.resolve("local");
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(plan, local, MergeOptions.defaults(), MergeProgress.NONE);
    }
    var expected = ModelFolder.values(local);
    Path work = directory.resolve("work");
    Random random = new Random(5);
    int cut = 0;
    try (ObjectStore store = ObjectStore.open(directory)) {
      int steps = finish(BucketTransfer.start(store, request, "out/undisturbed", work), work);
      assertThat(steps).isGreaterThan(4);
      for (int point = 0; point < POINTS; point++) {
        String key = "out/" + point;
        Process killed = BucketTransfer.start(store, request, key, work);
        try (BufferedReader out = lines(killed)) {
          for (int step = 0; step <= point * steps / POINTS; step++) {
            if (step(out)
                .isEmpty()) { // parts are sent side by side: not all runs say as many steps
              assertThat(killed.waitFor()).as("point %d: %s", point, said(work)).isZero();
              assertThat(store.keys(key + "/")).contains(key + "/" + Manifest.FILE);
              break;
            }
          }
          TimeUnit.MILLISECONDS.sleep(random.nextInt(LONGEST_MILLIS));
          killed.destroyForcibly().waitFor();
        }
        List<String> there = store.keys(key + "/");
        if (there.contains(key + "/" + Manifest.FILE)) {
          assertThat(Verification.of(store.path(key))).as("visible, so whole").isEmpty();
        } else {
          cut++;
          assertThat(
                  !there.contains(key + "/config.json")
                      || there.containsAll(List.of(key + "/" + ONE, key + "/" + TWO)))
              .as("a configuration comes after all weights, at point %d: %s", point, there)
              .isTrue();
        }
        var unused = finish(BucketTransfer.start(store, request, key, work), work);
        assertThat(Verification.of(store.path(key))).isEmpty();
        assertThat(ModelFolder.values(store.path(key))).as("point %d", point).isEqualTo(expected);
        assertThat(store.unfinished()).noneMatch(one -> one.startsWith(key + "/"));
        store.keys(key + "/").forEach(store::remove);
      }
    }
    assertThat(cut).as("killed before all of it was there").isGreaterThan(POINTS / 2);
  }
}
