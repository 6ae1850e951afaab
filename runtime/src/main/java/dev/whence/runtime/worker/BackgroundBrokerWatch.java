package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;

/** Looks at a {@link BrokerWatch} in a thread of its own: for who leaves polling to a library. */
public final class BackgroundBrokerWatch implements AutoCloseable {
  private static final long EVERY_MS = 1_000;

  private final Admin admin;
  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(
          work -> {
            Thread made = new Thread(work, "whence-broker-watch");
            made.setDaemon(true);
            return made;
          });

  /**
   * Begins to look.
   *
   * @param admin asks; closed with this
   */
  public BackgroundBrokerWatch(Admin admin, Health health) {
    this(admin, new BrokerWatch(admin, health), EVERY_MS);
  }

  BackgroundBrokerWatch(Admin admin, BrokerWatch watch, long everyMs) {
    this.admin = admin;
    var unused =
        thread.scheduleWithFixedDelay(watch::look, everyMs, everyMs, TimeUnit.MILLISECONDS);
  }

  @Override
  public void close() {
    thread.shutdownNow();
    admin.close();
  }
}
