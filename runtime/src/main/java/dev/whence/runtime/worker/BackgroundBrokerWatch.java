package dev.whence.runtime.worker;

import dev.whence.runtime.health.Health;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Looks at a {@link BrokerWatch} in a thread of its own: for who leaves polling to a library. */
public final class BackgroundBrokerWatch implements AutoCloseable {
  private static final long EVERY_MS = 1_000;

  private static final Logger LOG = LoggerFactory.getLogger(BackgroundBrokerWatch.class);

  private final Admin admin;
  private final BrokerWatch watch;
  private final Halt halt;
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
   * @param halt ends the process where nobody could look any more
   */
  public BackgroundBrokerWatch(Admin admin, Health health, Halt halt) {
    this(admin, new BrokerWatch(admin, health), halt, EVERY_MS);
  }

  BackgroundBrokerWatch(Admin admin, BrokerWatch watch, Halt halt, long everyMs) {
    this.admin = admin;
    this.watch = watch;
    this.halt = halt;
    var unused = thread.scheduleWithFixedDelay(this::look, everyMs, everyMs, TimeUnit.MILLISECONDS);
  }

  /** What it throws would end the looking without a word. */
  private void look() {
    try {
      watch.look();
    } catch (RuntimeException e) {
      LOG.warn("the brokers could not be looked at: {}", Failure.describe(e));
    } catch (Error e) {
      halt.halt("the watch over the brokers broke: " + Failure.describe(e));
      throw e;
    }
  }

  @Override
  public void close() {
    thread.shutdownNow();
    admin.close();
  }
}
