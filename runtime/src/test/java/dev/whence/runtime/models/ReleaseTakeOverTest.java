package dev.whence.runtime.models;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ReleaseTakeOverTest {
  /** What the next tries meet, one each; then all goes well. */
  private final Deque<Exception> troubles = new ArrayDeque<>();

  private final List<String> tried = new ArrayList<>();
  private final List<Duration> pauses = new ArrayList<>();
  private final Deque<Runnable> tasks = new ArrayDeque<>();
  private int failed;

  private final ReleaseTakeOver takeOver =
      new ReleaseTakeOver(
          this::take,
          FailurePolicy.DEFAULT,
          (pause, task) -> {
            pauses.add(pause);
            tasks.add(task);
          },
          () -> failed++);

  private void take(Optional<ModelRelease> release) throws ModelLoadException {
    tried.add(release.map(ModelRelease::getModelId).orElse("none"));
    Exception trouble = troubles.poll();
    if (trouble instanceof ModelLoadException bad) {
      throw bad;
    }
    if (trouble instanceof RuntimeException other) {
      throw other;
    }
  }

  private static Optional<ModelRelease> release(String name) {
    return Optional.of(ModelRelease.newBuilder().setModelId(name).build());
  }

  @Test
  void whatTheEnvironmentKeptFromBeingTakenOverIsTriedAgainAfterPausesThatGrow() {
    for (int i = 0; i < 7; i++) {
      troubles.add(new EnvironmentException("the store answers with status 503"));
    }
    takeOver.live(release("next"));
    assertThat(tried).as("on the reader's thread").isEmpty();
    while (!tasks.isEmpty()) {
      tasks.remove().run();
    }
    assertThat(tried).hasSize(8).containsOnly("next");
    assertThat(failed).isEqualTo(7);
    assertThat(pauses)
        .extracting(Duration::toSeconds)
        .containsExactly(0L, 1L, 2L, 4L, 8L, 16L, 30L, 30L);
  }

  @Test
  void whatIsBadIsNotTriedAgain() {
    troubles.add(new EnvironmentException("the store answers with status 503"));
    troubles.add(new ModelLoadException("the digest is another"));
    takeOver.live(release("next"));
    tasks.remove().run();
    tasks.remove().run();
    assertThat(tasks).isEmpty();
    assertThat(failed).isEqualTo(2);
  }

  @Test
  void whatNobodyExpectedIsCountedAndNotTriedAgain() {
    troubles.add(new IllegalStateException("a defect"));
    takeOver.live(release("next"));
    tasks.remove().run();
    assertThat(tasks).isEmpty();
    assertThat(failed).isEqualTo(1);
  }

  @Test
  void onlyTheLastChangeIsTakenOver() {
    troubles.add(new EnvironmentException("the store answers with status 503"));
    takeOver.live(release("next"));
    tasks.remove().run();
    takeOver.live(release("newest"));
    takeOver.live(Optional.empty());
    while (!tasks.isEmpty()) {
      tasks.remove().run();
    }
    assertThat(tried).containsExactly("next", "none");
  }
}
