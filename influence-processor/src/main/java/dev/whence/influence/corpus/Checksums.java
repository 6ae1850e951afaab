package dev.whence.influence.corpus;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The digest that names corpora, factors and indexes. */
public final class Checksums {
  private Checksums() {}

  /** A new SHA-256. */
  public static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
