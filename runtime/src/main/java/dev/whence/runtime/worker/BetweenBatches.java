package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;

/** What is to run on the model thread between two batches, such as loading a model. Thread-safe. */
final class BetweenBatches {
  private final Watchdog watchdog;
  private final Duration most;
  private final Halt halt;
  private final Deque<Runnable> tasks = new ArrayDeque<>();

  BetweenBatches(Watchdog watchdog, Duration most, Halt halt) {
    this.watchdog = watchdog;
    this.most = most;
    this.halt = halt;
  }

  synchronized void add(Runnable task) {
    tasks.add(task);
  }

  synchronized boolean waiting() {
    return !tasks.isEmpty();
  }

  private synchronized Runnable next() {
    return tasks.isEmpty() ? () -> {} : tasks.remove();
  }

  /** Runs one task. On the model thread. */
  void run() {
    watchdog.begin("loading a model", most);
    try {
      next().run();
    } catch (OutOfMemoryError e) {
      halt.halt("out of memory"); // it may have left any thread, and any model, in pieces
      throw e;
    } catch (EnvironmentException e) {
      if (e.isOfProcess()) {
        halt.halt(String.valueOf(e.getMessage()));
      }
      throw e;
    } finally {
      watchdog.end();
    }
  }
}
