package dev.whence.runtime.process;

import dev.whence.runtime.health.Health;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;

/** What runs from its start until it is closed or gives up. */
public interface Processor extends AutoCloseable {
  /** Whether it is alive and ready. */
  Health health();

  /** Port of health and metrics, if they are served. */
  OptionalInt httpPort();

  /** Completes when it has ended, exceptionally if it gave up. */
  CompletableFuture<Void> ended();

  /** Stops: what is running may end within shutdown.grace. */
  @Override
  void close();
}
