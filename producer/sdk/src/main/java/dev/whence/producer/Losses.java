package dev.whence.producer;

import dev.whence.producer.DeliveryException.Reason;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Says in the log which responses were lost: the futures that fail are often looked at by nobody.
 * At most one line in a minute, with reasons, classes of exceptions and counts, never a text of a
 * response. Callers only count; the line is written by the sending thread, since an appender may
 * block.
 */
final class Losses {
  private static final Logger LOG = LoggerFactory.getLogger(Losses.class);
  private static final long QUIET_NANOS = TimeUnit.MINUTES.toNanos(1);

  /** By reason, and by class where an exception is behind it. Guarded by itself. */
  private final Map<String, Long> untold = new TreeMap<>();

  private long lastTold = System.nanoTime() - QUIET_NANOS;

  void add(Reason reason, @Nullable Throwable cause) {
    String what =
        cause == null ? reason.name() : reason + " (" + cause.getClass().getSimpleName() + ")";
    synchronized (untold) {
      untold.merge(what, 1L, Long::sum);
    }
  }

  /** Writes the line unless there is nothing to tell, or there was one within the last minute. */
  void tellNowAndThen() {
    synchronized (untold) {
      if (System.nanoTime() - lastTold < QUIET_NANOS) {
        return;
      }
    }
    tell();
  }

  /** Writes the line if there is anything to tell; whoever returns from this finds it written. */
  synchronized void tell() {
    StringJoiner counts = new StringJoiner(", ");
    long all = 0;
    synchronized (untold) {
      for (Map.Entry<String, Long> each : untold.entrySet()) {
        counts.add(each.getKey() + ": " + each.getValue());
        all += each.getValue();
      }
      untold.clear();
      if (all > 0) {
        lastTold = System.nanoTime();
      }
    }
    if (all > 0) {
      LOG.warn("{} responses are lost since the last such line: {}", all, counts);
    }
  }
}
