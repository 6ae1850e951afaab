package dev.whence.runtime.models;

import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes the live release over, on the model thread between two batches. One that is bad leaves what
 * is in use, and is forgotten. If only the environment was in the way (store, network, disk,
 * device, memory), it is tried again after pauses that double from {@code backoff.first} to {@code
 * backoff.most}, or are ten times as long as the try where that is longer, whether records come or
 * not, until it is taken over, is found to be bad, or another release is live.
 */
public final class ReleaseTakeOver implements ModelReleases.Listener {
  private static final Logger LOG = LoggerFactory.getLogger(ReleaseTakeOver.class);

  /**
   * A try stops the stage while it lasts, and may have read a whole model before it fails: the
   * pause behind it is at least so many times as long.
   */
  private static final int PAUSE_OF_TRY = 10;

  private final Loading loading;
  private final FailurePolicy failures;
  private final Later later;
  private final Runnable whenFailed;

  /** Counts what went live: a release is taken over, and tried again, only while it is the last. */
  private final AtomicLong changes = new AtomicLong();

  /** Puts a release to use. */
  @FunctionalInterface
  public interface Loading {
    /**
     * Loads what belongs to a release; what is in use stays if that fails.
     *
     * @param release the live one; empty: the last one was withdrawn
     * @throws ModelLoadException if it can not be used, now or later
     * @throws EnvironmentException if it can not be loaded now; is passed on if only a new process
     *     can load anything
     */
    void take(Optional<ModelRelease> release) throws ModelLoadException;
  }

  /** Runs something on the model thread between two batches, after a pause. */
  @FunctionalInterface
  public interface Later {
    void run(Duration pause, Runnable task);
  }

  /**
   * A listener for {@link ModelReleases#start}.
   *
   * @param loading on the model thread
   * @param failures has the pauses
   * @param later {@link dev.whence.runtime.worker.Worker#betweenBatches(Duration, Runnable)}
   * @param whenFailed is called for each try that fails, on the model thread
   */
  public ReleaseTakeOver(
      Loading loading, FailurePolicy failures, Later later, Runnable whenFailed) {
    this.loading = loading;
    this.failures = failures;
    this.later = later;
    this.whenFailed = whenFailed;
  }

  @Override
  public void live(Optional<ModelRelease> release) {
    long change = changes.incrementAndGet();
    later.run(Duration.ZERO, () -> take(release, change, failures.backoffFirst()));
  }

  private void take(Optional<ModelRelease> release, long change, Duration pause) {
    if (changes.get() != change) {
      return;
    }
    long began = System.nanoTime();
    try {
      loading.take(release);
    } catch (ModelLoadException e) {
      whenFailed.run();
      LOG.error("a model release could not be taken over: {}", e.getMessage());
    } catch (EnvironmentException e) {
      whenFailed.run();
      if (e.isOfProcess()) {
        throw e; // only a new process can load anything
      }
      Duration took = Duration.ofNanos(System.nanoTime() - began);
      Duration now = longer(pause, took.multipliedBy(PAUSE_OF_TRY));
      LOG.error(
          "a model release could not be taken over and is tried again in {} ms: {}",
          now.toMillis(),
          e.getMessage());
      Duration next = shorter(pause.multipliedBy(2), failures.backoffMost());
      later.run(now, () -> take(release, change, next));
    } catch (RuntimeException e) {
      whenFailed.run();
      LOG.error("a model release could not be taken over: {}", Failure.describe(e));
    }
  }

  private static Duration longer(Duration one, Duration other) {
    return one.compareTo(other) < 0 ? other : one;
  }

  private static Duration shorter(Duration one, Duration other) {
    return one.compareTo(other) < 0 ? one : other;
  }
}
