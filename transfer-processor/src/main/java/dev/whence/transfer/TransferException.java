package dev.whence.transfer;

import java.util.List;

/** A transfer that is refused or failed; everything that is wrong is listed at once. */
public final class TransferException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final int SHOWN = 20;

  private final transient List<String> reasons;

  public TransferException(List<String> reasons) {
    super(sentence(reasons));
    this.reasons = List.copyOf(reasons);
  }

  public TransferException(String reason) {
    this(List.of(reason));
  }

  public TransferException(String reason, Throwable cause) {
    super(reason, cause);
    this.reasons = List.of(reason);
  }

  /** Each a sentence without its full stop. */
  public List<String> reasons() {
    return reasons;
  }

  private static String sentence(List<String> reasons) {
    String shown = String.join("; ", reasons.subList(0, Math.min(SHOWN, reasons.size())));
    return reasons.size() <= SHOWN ? shown : shown + "; and " + (reasons.size() - SHOWN) + " more";
  }
}
