package dev.whence.buckets;

import java.io.IOException;

/**
 * The store did not answer, or not now: the network, a status of 500 and above (but not 501 and
 * 505), a limit of requests, credentials that have run out. The same request may succeed later. The
 * message never has what the store says in its own words, nor a credential.
 */
public final class StoreUnavailableException extends IOException {
  private static final long serialVersionUID = 1L;

  StoreUnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
