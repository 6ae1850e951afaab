package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Sees model work that does not come back. A call into native code can not be interrupted, so past
 * its deadline the process says that it is not alive, and halts; the committed attempt tells the
 * next one which record it was.
 */
final class Watchdog implements AutoCloseable {
  private final ScheduledExecutorService clock;
  private volatile @Nullable Watched watched;

  private record Watched(String what, long deadline, Duration allowed) {}

  Watchdog(Health health, Halt halt) {
    clock =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "model-watchdog");
              thread.setDaemon(true);
              return thread;
            });
    var unused =
        clock.scheduleWithFixedDelay(
            () -> {
              Watched now = watched;
              if (now != null && System.nanoTime() - now.deadline > 0) {
                String why = now.what + " did not end within " + now.allowed.toMillis() + " ms";
                health.dead(why);
                halt.halt(why);
              }
            },
            50,
            50,
            TimeUnit.MILLISECONDS);
  }

  /** Begins to watch; the caller ends it by {@link #end}. */
  void begin(String what, Duration allowed) {
    watched = new Watched(what, System.nanoTime() + allowed.toNanos(), allowed);
  }

  void end() {
    watched = null;
  }

  @Override
  public void close() {
    clock.shutdownNow();
  }
}
