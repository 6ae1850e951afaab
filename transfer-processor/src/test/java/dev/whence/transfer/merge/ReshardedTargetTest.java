package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.files.FileTree;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A release's digest says what its tensors are, not in which files they lie: these may change. */
class ReshardedTargetTest {
  private static final String ONE = "model-00001-of-00002.safetensors";
  private static final String TWO = "model-00002-of-00002.safetensors";

  @TempDir private Path directory;
  private Path base;
  private Path fineTuned;

  @BeforeEach
  void models() throws IOException {
    base = model(1, ONE, TWO).write(directory.resolve("base"));
    fineTuned = model(2, ONE, TWO).write(directory.resolve("fine-tuned"));
  }

  private static ModelFolder model(long seed, String first, String second) {
    return new ModelFolder()
        .random(first, "model.embed_tokens.weight", ElementType.BF16, seed, 4L, 700L)
        .random(first, "model.layers.0.a.weight", ElementType.BF16, seed + 10, 300L, 2000L)
        .random(second, "model.layers.0.b.weight", ElementType.BF16, seed + 20, 300L, 1000L)
        .random(second, "model.norm.weight", ElementType.F32, seed + 30, 700L);
  }

  private Path target(String first, String second) throws IOException {
    Path target = directory.resolve("target");
    FileTree.delete(target);
    return model(3, first, second).write(target);
  }

  private Published run(TransferRequest request, String output, MergeOptions options) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      return MergeRun.run(plan, directory.resolve(output), options, MergeProgress.NONE);
    }
  }

  private String digestOfTarget() throws IOException {
    TransferRequest request = TransferRequest.of(base, fineTuned, target(ONE, TWO));
    return run(request, "for-its-digest", MergeOptions.defaults())
        .models()
        .get(0)
        .manifest()
        .ancestors()
        .get("target")
        .digest();
  }

  @Test
  void aRunThatGoesOnPublishesNoFileOfTheShardsThatTheTargetHadBefore() throws IOException {
    String digest = digestOfTarget();
    for (List<Double> lambdas : List.of(List.of(1.), List.of(.5, 1.))) {
      TransferRequest of = TransferRequest.of(base, fineTuned, target(ONE, TWO));
      TransferRequest request =
          new TransferRequest(
              of.base(),
              of.fineTuned(),
              new TransferRequest.Input(of.target().directory(), Optional.of(digest)),
              lambdas,
              of.policies());
      String output = "stopped-" + lambdas.size();
      AtomicInteger asked = new AtomicInteger();
      MergeOptions stopped =
          MergeOptions.defaults()
              .withWorkers(1)
              .withMemoryBytes(1)
              .withForceBytes(1)
              .withStop(() -> asked.incrementAndGet() > 22); // the largest tensor is noted by then
      assertThatThrownBy(() -> run(request, output, stopped)).isInstanceOf(StoppedException.class);
      assertThat(ModelFolder.contents(Staging.directory(directory.resolve(output))).keySet())
          .anyMatch(name -> name.endsWith(TWO));

      target(SafetensorsShards.SINGLE, SafetensorsShards.SINGLE);
      run(request, output, MergeOptions.defaults());

      run(request, "at-once-" + lambdas.size(), MergeOptions.defaults());
      Map<String, String> expected =
          ModelFolder.contents(directory.resolve("at-once-" + lambdas.size()));
      assertThat(ModelFolder.contents(directory.resolve(output))).isEqualTo(expected);
      assertThat(expected.keySet()).noneMatch(name -> name.endsWith(ONE) || name.endsWith(TWO));
      assertThat(Files.exists(Staging.directory(directory.resolve(output)))).isFalse();
    }
  }
}
