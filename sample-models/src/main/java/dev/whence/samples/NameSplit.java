package dev.whence.samples;

import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * Which names may be seen in training. A name is RESERVED if the 32-bit FNV-1a hash of its lower
 * case, in UTF-8, is divisible by five; reserved names stand only in worlds for evaluation.
 */
public enum NameSplit {
  TRAINING,
  RESERVED;

  private static final int OFFSET_BASIS = 0x811C9DC5;
  private static final int PRIME = 0x01000193;
  private static final int RESERVED_ONE_IN = 5;

  public static NameSplit of(String name) {
    int hash = fnv1a(name.toLowerCase(Locale.ROOT).getBytes(StandardCharsets.UTF_8));
    return Integer.remainderUnsigned(hash, RESERVED_ONE_IN) == 0 ? RESERVED : TRAINING;
  }

  static int fnv1a(byte[] bytes) {
    int hash = OFFSET_BASIS;
    for (byte b : bytes) {
      hash = (hash ^ (b & 0xFF)) * PRIME;
    }
    return hash;
  }
}
