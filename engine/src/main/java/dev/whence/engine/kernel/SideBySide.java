package dev.whence.engine.kernel;

import ai.djl.pytorch.jni.JniUtils;
import dev.whence.engine.EngineException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Threads that run packs of a decoder at once, each alone on a core. The native library would have
 * its threads meet after every operation instead, thousands of times in a pack, and each wait is
 * longer than a small operation takes: packs that do not need one another need not wait.
 *
 * <p>How many tokens are computed at a time is bounded. One thread owns this.
 */
final class SideBySide implements AutoCloseable {
  /** Held while the number of threads that new ones take is not what others expect. */
  private static final Object NUMBER_OF_THREADS = new Object();

  private final ThreadPoolExecutor threads;
  private final Semaphore room;

  /**
   * Something to be computed.
   *
   * @param tokens of it, at most those that are computed at a time
   */
  record Task<T>(int tokens, Supplier<T> work) {}

  /**
   * @param count threads, as many as share the calling thread's native work otherwise
   * @param tokens most that are computed at a time
   */
  SideBySide(int count, int tokens) {
    this.room = new Semaphore(tokens, true);
    CountDownLatch started = new CountDownLatch(count);
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    this.threads =
        (ThreadPoolExecutor)
            Executors.newFixedThreadPool(count, task -> alone(task, started, failure));
    synchronized (NUMBER_OF_THREADS) {
      int together = TorchRuntime.threads();
      try {
        threads.prestartAllCoreThreads();
        awaitUninterruptibly(started);
      } catch (Throwable e) { // no thread is left: there may be no room for one
        failure.set(e);
      } finally {
        TorchRuntime.workTogether(together);
      }
    }
    if (failure.get() != null) {
      threads.shutdownNow();
      throw new EngineException(
          EngineException.Kind.ENVIRONMENT,
          "The threads that compute side by side do not start; engine.threads lowers their number.",
          failure.get());
    }
  }

  /** A thread of the native library's own, whatever number of them others take. */
  private static Thread alone(
      Runnable task, CountDownLatch started, AtomicReference<@Nullable Throwable> failure) {
    Thread made =
        new Thread(
            () -> {
              try {
                int unused = TorchRuntime.threads(); // takes the number of others, then its own
                TorchRuntime.workAlone();
                JniUtils.setGradMode(false);
              } catch (Throwable e) {
                failure.set(e);
              } finally {
                started.countDown();
              }
              task.run();
            },
            "packs");
    made.setDaemon(true);
    return made;
  }

  /**
   * Runs tasks and returns when all have ended.
   *
   * @return for each task what it gave; empty if memory did not suffice
   * @throws RuntimeException of the first other task that failed
   */
  <T> List<Optional<T>> run(List<Task<T>> tasks) {
    List<Future<Optional<T>>> futures = new ArrayList<>(tasks.size());
    for (Task<T> task : tasks) {
      futures.add(threads.submit(() -> within(task)));
    }
    List<Optional<T>> results = new ArrayList<>(tasks.size());
    Throwable failure = null;
    boolean interrupted = false;
    for (Future<Optional<T>> future : futures) {
      while (true) {
        try {
          results.add(future.get());
          break;
        } catch (InterruptedException e) {
          interrupted = true; // a forward is never cut short
        } catch (ExecutionException e) {
          failure = failure == null ? e.getCause() : failure;
          break;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    if (failure instanceof Error error) {
      throw error;
    }
    if (failure instanceof RuntimeException exception) {
      throw exception;
    }
    return results;
  }

  private <T> Optional<T> within(Task<T> task) {
    room.acquireUninterruptibly(task.tokens());
    try {
      return Optional.of(task.work().get());
    } catch (EngineException e) {
      if (Kernel.ranOutOfMemory(e)) {
        return Optional.empty();
      }
      throw e;
    } finally {
      room.release(task.tokens());
    }
  }

  private static void awaitUninterruptibly(CountDownLatch latch) {
    boolean interrupted = false;
    while (true) {
      try {
        latch.await();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Ends the threads, which run no task, since {@link #run} waits for all. */
  @Override
  public void close() {
    threads.shutdown();
    boolean interrupted = false;
    while (!threads.isTerminated()) {
      try {
        threads.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
