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
import java.util.function.Supplier;

/**
 * Threads that run packs of a decoder at once, each alone on a core. The native library would have
 * its threads meet after every operation instead, thousands of times in a pack, and each wait is
 * longer than a small operation takes: packs that do not need one another need not wait.
 *
 * <p>How many tokens are computed at a time is bounded. One thread owns this.
 */
final class SideBySide implements AutoCloseable {
  /** Fewest tokens of a pack that a thread takes: matrix products of fewer rows are slower. */
  private static final int LEAST = 256;

  /** Packs per thread, so that none is idle for long while others end. */
  private static final int PACKS_PER_THREAD = 4;

  private final ThreadPoolExecutor threads;
  private final int tokens;
  private final Semaphore room;

  /**
   * Something to be computed.
   *
   * @param tokens of it, at most {@link #tokens()}
   */
  record Task<T>(int tokens, Supplier<T> work) {}

  /**
   * @param count threads, as many as share the calling thread's native work otherwise
   * @param tokens most that are computed at a time
   */
  SideBySide(int count, int tokens) {
    this.tokens = tokens;
    this.room = new Semaphore(tokens, true);
    CountDownLatch alone = new CountDownLatch(count);
    this.threads =
        (ThreadPoolExecutor)
            Executors.newFixedThreadPool(
                count,
                task -> {
                  Thread made =
                      new Thread(
                          () -> {
                            try {
                              TorchRuntime.workAlone();
                              int unused = TorchRuntime.threads(); // from now on it keeps them
                              JniUtils.setGradMode(false);
                            } finally {
                              alone.countDown();
                            }
                            task.run();
                          },
                          "packs");
                  made.setDaemon(true);
                  return made;
                });
    threads.prestartAllCoreThreads();
    awaitUninterruptibly(alone);
    TorchRuntime.workTogether(count); // threads that are new to the library are not to be alone
  }

  /** Most tokens that are computed at a time. */
  int tokens() {
    return tokens;
  }

  /** How many tokens a pack is to have, of so many in all. */
  int packTokens(long all) {
    long even = all / ((long) threads.getCorePoolSize() * PACKS_PER_THREAD);
    long most = Math.max(1, tokens / threads.getCorePoolSize());
    return (int) Math.min(most, Math.max(LEAST, even));
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

  /** Ends the threads; none runs a task, since {@link #run} waits for all. */
  @Override
  public void close() {
    threads.shutdown();
  }
}
