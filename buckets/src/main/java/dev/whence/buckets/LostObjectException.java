package dev.whence.buckets;

import java.io.IOException;

/**
 * An object that was there is gone: somebody removed it meanwhile. Putting it once more may
 * succeed.
 */
public final class LostObjectException extends IOException {
  private static final long serialVersionUID = 1L;

  LostObjectException(String message) {
    super(message);
  }
}
