package dev.whence.transfer;

import dev.whence.buckets.StoreUnavailableException;
import dev.whence.runtime.worker.EnvironmentException;
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

  public TransferException(List<String> reasons) {
    super(sentence(reasons));
    this.reasons = List.copyOf(reasons);
  }

  public TransferException(List<String> reasons, Throwable cause) {
    super(sentence(reasons), cause);
    this.reasons = List.copyOf(reasons);
  }

  public TransferException(String reason) {
    this(List.of(reason));
  }

  public TransferException(String reason, Throwable cause) {
    super(reason, cause);
    this.reasons = List.of(reason);
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

  private static String sentence(List<String> reasons) {
    String shown = String.join("; ", reasons.subList(0, Math.min(SHOWN, reasons.size())));
    return reasons.size() <= SHOWN ? shown : shown + "; and " + (reasons.size() - SHOWN) + " more";
  }
}
