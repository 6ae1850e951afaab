package dev.whence.runtime.config;

import dev.whence.files.Sha256;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * A share of the responses, chosen by a hash of the responseId: every processor and every replay
 * chooses the same ones, and a lower rate chooses some of those of a higher one.
 *
 * @param rate 0 to 1
 */
public record SamplingRate(double rate) {
  private static final double TWO_TO_53 = 0x1p53;

  /** Whether the response is among them. */
  public boolean takes(String responseId) {
    return share(responseId) < rate;
  }

  /** Uniform in [0, 1): the first 53 bits of the SHA-256 of the id. */
  public static double share(String responseId) {
    byte[] hash = Sha256.begin().digest(responseId.getBytes(StandardCharsets.UTF_8));
    return (ByteBuffer.wrap(hash).getLong() >>> 11) / TWO_TO_53;
  }
}
