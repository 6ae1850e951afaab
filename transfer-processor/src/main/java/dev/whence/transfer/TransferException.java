package dev.whence.transfer;

import com.fasterxml.jackson.core.JacksonException;
import dev.whence.buckets.StoreUnavailableException;
import dev.whence.engine.EngineException;
import dev.whence.runtime.worker.EnvironmentException;
import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A transfer that is refused or failed; everything that is wrong is listed at once. The message,
 * which goes into events, has the first of many reasons and how many more there are; {@link
 * #reasons} has all.
 */
public final class TransferException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final int SHOWN = 20;

  private final transient List<String> reasons;
  private final boolean passing;

  public TransferException(List<String> reasons) {
    super(sentence(reasons));
    this.reasons = List.copyOf(reasons);
    this.passing = false;
  }

  public TransferException(List<String> reasons, Throwable cause) {
    super(sentence(reasons), cause);
    this.reasons = List.copyOf(reasons);
    this.passing = false;
  }

  public TransferException(String reason) {
    this(List.of(reason));
  }

  public TransferException(String reason, Throwable cause) {
    super(reason, cause);
    this.reasons = List.of(reason);
    this.passing = false;
  }

  private TransferException(String reason, @Nullable Throwable cause, boolean passing) {
    super(reason, cause);
    this.reasons = List.of(reason);
    this.passing = passing;
  }

  /**
   * What somebody has to set right, or what was so only this time: it says nothing of the models.
   * Unlike what {@linkplain #isOfEnvironment is of the environment} it is not waited for.
   */
  public static TransferException passing(String reason, @Nullable Throwable cause) {
    return new TransferException(reason, cause, /* passing= */ true);
  }

  /** Whether the same may succeed when it is asked for once more, with the same models. */
  public boolean mayPass() {
    if (passing || isOfEnvironment(this)) {
      return true;
    }
    for (@Nullable Throwable cause = getCause(); cause != null; cause = cause.getCause()) {
      if ((cause instanceof IOException && !(cause instanceof JacksonException)) // a file's fault
          || (cause instanceof EngineException engine
              && engine.kind() == EngineException.Kind.ENVIRONMENT)
          || (cause instanceof TransferException other && other.passing)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Ends with everything that is wrong, if anything is.
   *
   * @param problems what is wrong twice is told once
   */
  public static void refuse(List<String> problems) {
    if (!problems.isEmpty()) {
      throw new TransferException(problems.stream().distinct().toList());
    }
  }

  /** Each a sentence without its full stop. */
  public List<String> reasons() {
    return reasons;
  }

  /**
   * Whether something outside the transfer is broken, so that the same may succeed later: a store
   * or the network, by what an exception says or was caused by. What was made on disk is kept then.
   */
  public static boolean isOfEnvironment(Throwable thrown) {
    for (@Nullable Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof EnvironmentException || cause instanceof StoreUnavailableException) {
        return true;
      }
    }
    return false;
  }

  /** Whether only a new process can go on, as after a lost device. */
  public static boolean isOfProcess(Throwable thrown) {
    for (@Nullable Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof EnvironmentException environment && environment.isOfProcess()) {
        return true;
      }
    }
    return false;
  }

  /**
   * Whether the engine or the process's memory is what failed: that may pass, or may be so whenever
   * the same is tried.
   */
  public static boolean isOfEngine(Throwable thrown) {
    for (@Nullable Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof EngineException || cause instanceof OutOfMemoryError) {
        return true;
      }
    }
    return false;
  }

  private static String sentence(List<String> reasons) {
    String shown = String.join("; ", reasons.subList(0, Math.min(SHOWN, reasons.size())));
    return reasons.size() <= SHOWN ? shown : shown + "; and " + (reasons.size() - SHOWN) + " more";
  }
}
