package dev.whence.influence.stage;

import dev.whence.files.Sha256;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;

/**
 * Names queries: who asks the same of the same index by the same model and factors has the same
 * name.
 */
final class QueryId {
  /** Characters that one may have where it is read; {@link #of} makes 64. */
  static final int LONGEST = 256;

  private QueryId() {}

  /** SHA-256 over its parts, each ended by a zero byte, in hex. */
  static String of(
      String responseId,
      String modelDigest,
      String indexDigest,
      String pretrainingFactors,
      String fineTuningFactors,
      String alpha,
      String lambda,
      String method,
      String measure,
      int top,
      int rerank,
      boolean includeExcerpts) {
    MessageDigest sha256 = Sha256.begin();
    for (String part :
        List.of(
            responseId,
            modelDigest,
            indexDigest,
            pretrainingFactors,
            fineTuningFactors,
            alpha,
            lambda,
            method,
            measure,
            Integer.toString(top),
            Integer.toString(rerank),
            Boolean.toString(includeExcerpts))) {
      sha256.update(part.getBytes(StandardCharsets.UTF_8));
      sha256.update((byte) 0);
    }
    return HexFormat.of().formatHex(sha256.digest());
  }
}
