package dev.whence.engine.kernel;

import ai.djl.pytorch.jni.JniUtils;
import dev.whence.engine.EngineException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * Threads that work at once, such as on packs of a decoder, each alone on a core. The native
 * library would have its threads meet after every operation instead, thousands of times in a pack,
 * and each wait is longer than a small operation takes: packs that do not need one another need not
 * wait.
 *
 * <p>How much is computed at a time is bounded, in tokens of packs, or in whatever tasks are
 * measured by. One thread owns this.
 */
public final class SideBySide implements AutoCloseable {
  /** Held while the number of threads that new ones take is not what others expect. */
  private static final Object NUMBER_OF_THREADS = new Object();

  private final ThreadPoolExecutor threads;
  private final Semaphore room;

  /**
   * Something to be computed.
   *
   * @param tokens of it, at most as many as are computed at a time
   */
  public record Task<T>(int tokens, Supplier<T> work) {}

  /**
   * Starts the threads.
   *
   * @param count threads, at most as many as share the calling thread's native work otherwise
   * @param tokens most that are computed at a time
   * @throws EngineException of kind ENVIRONMENT if threads can not be made
   */
  public SideBySide(int count, int tokens) {
    this.room = new Semaphore(tokens, true);
    List<CompletableFuture<Void>> started = new ArrayList<>();
    this.threads =
        (ThreadPoolExecutor) Executors.newFixedThreadPool(count, task -> alone(task, started));
    synchronized (NUMBER_OF_THREADS) {
      int together = TorchRuntime.threads();
      try {
        threads.prestartAllCoreThreads();
        CompletableFuture.allOf(started.toArray(CompletableFuture[]::new)).join();
      } catch (CompletionException | OutOfMemoryError e) { // also where no thread can be made
        threads.shutdownNow();
        throw new EngineException(
            EngineException.Kind.ENVIRONMENT,
            "The threads that compute side by side do not start; engine.threads lowers their"
                + " number.",
            e);
      } finally {
        TorchRuntime.workTogether(together);
      }
    }
  }

  /** A thread of the native library's own, whatever number of them others take. */
  private static Thread alone(Runnable task, List<CompletableFuture<Void>> started) {
    CompletableFuture<Void> ready = new CompletableFuture<>();
    started.add(ready);
    Thread made =
        new Thread(
            () -> {
              try {
                int unused = TorchRuntime.threads(); // takes the number of others, then its own
                TorchRuntime.workAlone();
                JniUtils.setGradMode(false);
                ready.complete(null);
              } catch (RuntimeException | Error e) {
                ready.completeExceptionally(e);
                throw e;
              }
              task.run();
            },
            "side by side");
    made.setDaemon(true);
    return made;
  }

  /**
   * Runs tasks and returns when all have ended.
   *
   * @return for each task what it gave; empty if memory did not suffice
   * @throws RuntimeException of a task that failed otherwise, after which no further task begins
   */
  public <T> List<Optional<T>> run(List<Task<T>> tasks) {
    AtomicBoolean failed = new AtomicBoolean();
    List<CompletableFuture<Optional<T>>> futures = new ArrayList<>(tasks.size());
    for (Task<T> task : tasks) {
      futures.add(CompletableFuture.supplyAsync(() -> within(task, failed), threads));
    }
    List<Optional<T>> results = new ArrayList<>(tasks.size());
    Throwable failure = null;
    for (CompletableFuture<Optional<T>> future : futures) {
      try {
        results.add(future.join()); // an interrupt waits, too: a forward is never cut short
      } catch (CompletionException e) {
        failure = failure == null ? e.getCause() : failure;
      }
    }
    if (failure instanceof Error error) {
      throw error;
    }
    if (failure instanceof RuntimeException exception) {
      throw exception;
    }
    return results;
  }

  /**
   * Runs tasks, each once or, if memory did not suffice for all at once, again: one after the other
   * by the calling thread then, as where there are no threads.
   *
   * @param threads that count each task as 1
   * @throws RuntimeException of a task that failed
   */
  public static void runEach(Optional<SideBySide> threads, List<Runnable> tasks) {
    boolean done =
        threads.isPresent()
            && threads.get().run(tasks.stream().map(SideBySide::once).toList()).stream()
                .allMatch(Optional::isPresent);
    if (!done) {
      tasks.forEach(Runnable::run);
    }
  }

  private static Task<Boolean> once(Runnable task) {
    return new Task<>(
        1,
        () -> {
          task.run();
          return true;
        });
  }

  private <T> Optional<T> within(Task<T> task, AtomicBoolean failed) {
    room.acquireUninterruptibly(task.tokens());
    try {
      return failed.get() ? Optional.empty() : Optional.of(task.work().get());
    } catch (RuntimeException | Error e) {
      if (e instanceof EngineException known && Kernel.ranOutOfMemory(known)) {
        return Optional.empty();
      }
      failed.set(true);
      throw e;
    } finally {
      room.release(task.tokens());
    }
  }

  /** Ends the threads, which run no task, since {@link #run} waits for all. */
  @Override
  public void close() {
    threads.shutdown();
    try {
      boolean unused = threads.awaitTermination(10, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
