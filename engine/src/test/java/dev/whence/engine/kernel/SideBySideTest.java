package dev.whence.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SideBySideTest {
  private static int together;

  @BeforeAll
  static void start() {
    TorchRuntime.start(EngineOptions.defaults());
    together = TorchRuntime.threads();
  }

  @AfterEach
  void restore() {
    TorchRuntime.workTogether(together);
  }

  @Test
  void resultsStandInTheOrderOfTheTasks() {
    try (SideBySide threads = new SideBySide(3, 100)) {
      List<SideBySide.Task<Integer>> tasks = new ArrayList<>();
      for (int i = 0; i < 50; i++) {
        int number = i;
        tasks.add(new SideBySide.Task<>(1, () -> number));
      }
      List<Optional<Integer>> results = threads.run(tasks);
      for (int i = 0; i < 50; i++) {
        assertThat(results.get(i)).contains(i);
      }
    }
  }

  @Test
  void tasksRunAtOnceAndEachAloneOnItsThread() {
    CountDownLatch both = new CountDownLatch(2);
    try (SideBySide threads = new SideBySide(2, 2)) {
      SideBySide.Task<Integer> meets =
          new SideBySide.Task<>(
              1,
              () -> {
                both.countDown();
                await(both);
                return TorchRuntime.threads();
              });
      assertThat(threads.run(List.of(meets, meets)))
          .containsExactly(Optional.of(1), Optional.of(1));
    }
  }

  @Test
  @SuppressWarnings("try")
  void othersKeepTheirThreads() throws InterruptedException {
    AtomicInteger later = new AtomicInteger();
    TorchRuntime.workTogether(3);
    try (SideBySide unused = new SideBySide(2, 2)) {
      assertThat(TorchRuntime.threads()).isEqualTo(3);
      Thread other = new Thread(() -> later.set(TorchRuntime.threads()));
      other.start();
      other.join();
    }
    assertThat(later).hasValue(3);
    TorchRuntime.workTogether(together);
  }

  @Test
  void noMoreTokensAtATimeThanThereIsRoomFor() {
    AtomicInteger now = new AtomicInteger();
    AtomicInteger most = new AtomicInteger();
    try (SideBySide threads = new SideBySide(4, 100)) {
      CountDownLatch two = new CountDownLatch(2);
      SideBySide.Task<Integer> task =
          new SideBySide.Task<>(
              40,
              () -> {
                most.accumulateAndGet(now.addAndGet(40), Math::max);
                two.countDown();
                await(two); // the first two are there together
                pause(20);
                return now.addAndGet(-40);
              });
      assertThat(threads.run(Collections.nCopies(8, task))).doesNotContain(Optional.empty());
    }
    assertThat(most).hasValue(80);
  }

  @Test
  void whatMemoryDoesNotSufficeForIsLeftAndTheRestIsDone() {
    try (SideBySide threads = new SideBySide(2, 10)) {
      SideBySide.Task<Integer> fails =
          new SideBySide.Task<>(
              1,
              () -> {
                throw Kernel.translate(new IllegalStateException("not enough memory: 64 bytes"));
              });
      SideBySide.Task<Integer> works = new SideBySide.Task<>(1, () -> 7);
      assertThat(threads.run(List.of(fails, works, fails)))
          .containsExactly(Optional.empty(), Optional.of(7), Optional.empty());
    }
  }

  @Test
  void whatMemoryDoesNotSufficeForTogetherIsDoneInTurn() {
    AtomicInteger ran = new AtomicInteger();
    Thread owner = Thread.currentThread();
    Runnable needsAll =
        () -> {
          if (!Thread.currentThread().equals(owner)) {
            throw Kernel.translate(new IllegalStateException("not enough memory: 64 bytes"));
          }
          ran.incrementAndGet();
        };
    try (SideBySide threads = new SideBySide(2, 2)) {
      SideBySide.runEach(Optional.of(threads), List.of(needsAll, needsAll));
      assertThat(ran).hasValue(2);
      SideBySide.runEach(Optional.of(threads), Collections.nCopies(3, ran::incrementAndGet));
      assertThat(ran).hasValue(5);
    }
    SideBySide.runEach(Optional.empty(), List.of(needsAll));
    assertThat(ran).hasValue(6);
  }

  @Test
  void anotherFailureIsThrownOnceWhatRunsHasEndedAndNothingElseBegins() {
    AtomicInteger ended = new AtomicInteger();
    CountDownLatch slowRuns = new CountDownLatch(1);
    try (SideBySide threads = new SideBySide(2, 10)) {
      SideBySide.Task<Integer> fails =
          new SideBySide.Task<>(
              1,
              () -> {
                await(slowRuns);
                throw new EngineException(EngineException.Kind.ENVIRONMENT, "The library failed.");
              });
      SideBySide.Task<Integer> slow =
          new SideBySide.Task<>(
              1,
              () -> {
                slowRuns.countDown();
                pause(500);
                return ended.incrementAndGet();
              });
      assertThatThrownBy(() -> threads.run(List.of(fails, slow, slow, slow)))
          .isInstanceOf(EngineException.class)
          .hasMessage("The library failed.");
      assertThat(ended).hasValue(1);
    }
  }

  @Test
  void anInterruptWaitsForTheResults() {
    try (SideBySide threads = new SideBySide(2, 10)) {
      Thread.currentThread().interrupt();
      assertThat(threads.run(List.of(new SideBySide.Task<>(1, () -> 1)))).contains(Optional.of(1));
      assertThat(Thread.interrupted()).isTrue();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void pause(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
