package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/** The one thread on which a stage runs. It outlives the clients. */
final class ModelThread implements AutoCloseable {
  private final ExecutorService executor;

  ModelThread(String stage) {
    executor =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread thread = new Thread(task, stage + "-model");
              // A hanging native call must not keep the JVM from ending.
              thread.setDaemon(true);
              return thread;
            });
  }

  <T> CompletableFuture<T> submit(Callable<T> task) {
    CompletableFuture<T> future = new CompletableFuture<>();
    executor.execute(
        () -> {
          try {
            future.complete(task.call());
          } catch (Throwable e) {
            future.completeExceptionally(e);
          }
        });
    return future;
  }

  /** Waits for what runs, at most so long; returns whether the thread is free. */
  boolean close(Duration most) {
    executor.shutdown();
    try {
      return executor.awaitTermination(most.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  @Override
  public void close() {
    executor.shutdown();
  }
}
