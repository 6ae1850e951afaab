package dev.whence.buckets;

import java.io.IOException;

/** The store answered that it will not do what it was asked to, now or later. */
public final class StoreRefusedException extends IOException {
  private static final long serialVersionUID = 1L;

  StoreRefusedException(String message) {
    super(message);
  }
}
