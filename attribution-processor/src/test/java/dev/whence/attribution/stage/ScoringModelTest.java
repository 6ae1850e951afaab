package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.attribution.AttributionOptions;
import dev.whence.attribution.toy.OtherScorer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.engine.EngineException;
import dev.whence.engine.Scorer;
import dev.whence.engine.ScorerDescription;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.config.ModelSettings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.models.ModelReleases;
import dev.whence.runtime.models.ReleaseTakeOver;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ScoringModelTest {
  @TempDir private Path root = Path.of("");

  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();

  /** What the next loads meet, one each; then all goes well. */
  private final Deque<Exception> troubles = new ArrayDeque<>();

  private final List<Duration> pauses = new ArrayList<>();
  private final Deque<Runnable> tasks = new ArrayDeque<>();
  private Optional<ScoringModel> scoring = Optional.empty();
  private ModelReleases.Listener releases = release -> {};

  private void later(Duration pause, Runnable task) {
    if (pause.isZero()) {
      task.run();
      return;
    }
    pauses.add(pause);
    tasks.add(task);
  }

  private ModelLoader.Loaded load(ModelLoader.Choice choice) throws ModelLoadException {
    Exception trouble = troubles.poll();
    if (trouble instanceof ModelLoadException bad) {
      throw bad;
    }
    if (trouble instanceof RuntimeException environment) {
      throw environment;
    }
    Scorer toy = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 64, 1);
    return new ModelLoader.Loaded(
        new OtherScorer(toy, choice.path().getFileName().toString(), toy.tokenizer()), () -> 0);
  }

  @BeforeEach
  void open() throws IOException {
    ScoringModel opened =
        new ScoringModel(
            (choice, beforeWeights) -> load(choice),
            new ModelSettings(List.of(root), ModelSettings.Reload.SWAP),
            AttributionOptions.DEFAULT,
            Optional.of(Files.createDirectory(root.resolve("configured"))),
            List.of(),
            Optional.empty(),
            meters);
    opened.openFirst(List.of());
    scoring = Optional.of(opened);
    releases =
        new ReleaseTakeOver(
            opened::takeOver, FailurePolicy.DEFAULT, this::later, opened::countFailedLoad);
  }

  @AfterEach
  void close() {
    scoring.ifPresent(ScoringModel::close);
  }

  private Optional<ModelRelease> release(String name) throws IOException {
    Files.createDirectories(root.resolve(name));
    return Optional.of(
        ModelRelease.newBuilder()
            .setModelId(name)
            .setLocation(name)
            .setDigest("0".repeat(64))
            .build());
  }

  private void takeOver(Optional<ModelRelease> release) {
    releases.live(release);
  }

  private String scores() {
    return scoring.orElseThrow().description().map(ScorerDescription::model).orElse("nothing");
  }

  private double failed() {
    return meters.get("whence.model.loads").tag("result", "failed").counter().count();
  }

  /** Of a model on a server, whose weights have no digest here. */
  @Test
  void anotherTextBeforeTheSameServerIsAnotherKey() throws Exception {
    assertThat(keyOf("text-1")).isEqualTo(keyOf("text-1")).isNotEqualTo(keyOf("text-2"));
  }

  private String keyOf(String textDigest) throws Exception {
    Scorer toy = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 64, 1);
    Scorer remote =
        new OtherScorer(toy, "remote", toy.tokenizer()) {
          @Override
          public ScorerDescription description() {
            return new ScorerDescription(
                "remote", "", "bf16", "remote", "llama", 1, 64, false, 0, List.of());
          }

          @Override
          public String textDigest() {
            return textDigest;
          }
        };
    ScoringModel model =
        new ScoringModel(
            (choice, beforeWeights) -> new ModelLoader.Loaded(remote, () -> 0),
            new ModelSettings(List.of(root), ModelSettings.Reload.SWAP),
            AttributionOptions.DEFAULT,
            Optional.of(root),
            List.of(),
            Optional.empty(),
            new SimpleMeterRegistry());
    model.openFirst(List.of());
    try {
      return model.key("exact-loo");
    } finally {
      model.close();
    }
  }

  @Test
  void aReleaseThatTheEnvironmentKeptFromBeingLoadedIsTriedAgainUntilItScores() throws Exception {
    int failures = 8;
    for (int i = 0; i < failures; i++) {
      troubles.add(new EnvironmentException("the store answers with status 503"));
    }
    takeOver(release("next"));
    for (int i = 1; i <= failures; i++) {
      assertThat(scores()).isEqualTo("configured");
      assertThat(failed()).isEqualTo(i);
      tasks.remove().run();
    }
    assertThat(scores()).isEqualTo("next");
    assertThat(tasks).isEmpty();
    assertThat(pauses)
        .startsWith(Duration.ofSeconds(1), Duration.ofSeconds(2), Duration.ofSeconds(4))
        .endsWith(FailurePolicy.DEFAULT.backoffMost())
        .hasSize(failures);
  }

  @Test
  void aBadReleaseIsNotTriedAgain() throws Exception {
    troubles.add(new EnvironmentException("the store answers with status 503"));
    troubles.add(new ModelLoadException("the digest is another"));
    takeOver(release("next"));
    tasks.remove().run();
    assertThat(scores()).isEqualTo("configured");
    assertThat(failed()).isEqualTo(2);
    assertThat(tasks).isEmpty();
  }

  @Test
  void whatIsNoLongerLiveIsNotTriedAgain() throws Exception {
    troubles.add(new EnvironmentException("the store answers with status 503"));
    takeOver(release("next"));
    takeOver(release("newest"));
    tasks.remove().run();
    assertThat(scores()).isEqualTo("newest");

    troubles.add(new EnvironmentException("the store answers with status 503"));
    takeOver(release("next"));
    takeOver(Optional.empty());
    tasks.remove().run();
    assertThat(scores()).isEqualTo("configured");
    assertThat(tasks).isEmpty();
  }

  @Test
  void theConfiguredModelIsTriedAgainWhenNoReleaseIsLiveAnyMore() throws Exception {
    takeOver(release("next"));
    troubles.add(new EnvironmentException("the disk does not answer"));
    takeOver(Optional.empty());
    assertThat(scores()).isEqualTo("next");
    tasks.remove().run();
    assertThat(scores()).isEqualTo("configured");
  }

  @Test
  void aLostDeviceAsksForANewProcessAndAnyOtherTroubleOfTheScorerDoesNot() {
    EngineException lost = EngineException.deviceLost("CUDA is gone", new IllegalStateException());
    EngineException other = new EngineException(EngineException.Kind.ENVIRONMENT, "away");
    assertThatThrownBy(() -> attributing(lost))
        .isInstanceOfSatisfying(
            EnvironmentException.class, e -> assertThat(e.isOfProcess()).isTrue())
        .hasMessage("the scorer failed: CUDA is gone");
    assertThatThrownBy(() -> attributing(other))
        .isInstanceOfSatisfying(
            EnvironmentException.class,
            e -> {
              assertThat(e.isOfProcess()).isFalse();
              assertThat(e.isOfScorer()).isTrue();
            });
  }

  @Test
  void aReleaseThatFindsTheDeviceLostIsNotTriedAgainInThisProcess() throws Exception {
    troubles.add(EnvironmentException.ofProcess("CUDA is gone", new IllegalStateException()));
    Optional<ModelRelease> next = release("next");
    assertThatThrownBy(() -> takeOver(next))
        .isInstanceOfSatisfying(
            EnvironmentException.class, e -> assertThat(e.isOfProcess()).isTrue());
    assertThat(tasks).isEmpty();
  }

  /** Loading has its own time before a batch; a record that is read has less. */
  @Test
  void aModelThatMadeRoomComesBackBeforeABatchAndNotWhileARecordIsRead() throws Exception {
    ScoringModel model =
        new ScoringModel(
            (choice, beforeWeights) -> {
              beforeWeights.run();
              return load(choice);
            },
            new ModelSettings(List.of(root), ModelSettings.Reload.UNLOAD_FIRST),
            AttributionOptions.DEFAULT,
            Optional.of(root.resolve("configured")),
            List.of(),
            Optional.empty(),
            new SimpleMeterRegistry());
    model.openFirst(List.of());
    troubles.add(new ModelLoadException("the digest is another"));
    troubles.add(new EnvironmentException("the disk does not answer"));
    Optional<ModelRelease> next = release("next");
    assertThatThrownBy(() -> model.takeOver(next)).isInstanceOf(ModelLoadException.class);
    assertThatThrownBy(() -> model.attributing(attributor -> true))
        .isInstanceOf(EnvironmentException.class)
        .hasMessage("no model is loaded");
    assertThat(model.description()).isEmpty();

    model.bringBack();
    assertThat(model.<Boolean>attributing(attributor -> true)).isTrue();
    assertThat(model.description().map(ScorerDescription::model)).contains("configured");
    model.close();
  }

  private void attributing(EngineException failure) {
    scoring
        .orElseThrow()
        .attributing(
            attributor -> {
              throw failure;
            });
  }
}
