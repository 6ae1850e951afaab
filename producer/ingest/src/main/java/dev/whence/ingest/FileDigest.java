package dev.whence.ingest;

import dev.whence.files.Sha256;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;

/**
 * A file as it lies on disk, by its SHA-256.
 *
 * @param sha256 in hex
 * @param bytes how many were read: what is appended later does not belong to the digest
 */
record FileDigest(String sha256, long bytes) {

  /**
   * A file, and how it compares with what it was.
   *
   * @param whole the file now
   * @param hasGrown whether it begins with all that it was, and whole lines were appended
   */
  record Comparison(FileDigest whole, boolean hasGrown) {}

  /** Reads a file once, of which an earlier state is known. */
  static Comparison compare(Path file, FileDigest earlier) throws IOException {
    MessageDigest digest = Sha256.begin();
    String beginning = "";
    boolean gzip = false;
    byte last = 0;
    long bytes = 0;
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = Files.newInputStream(file)) {
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        if (bytes == 0 && read > 0) {
          gzip = buffer[0] == 0x1f;
        }
        int upTo = (int) Math.max(0, Math.min(read, earlier.bytes - bytes));
        digest.update(buffer, 0, upTo);
        if (upTo > 0) {
          last = buffer[upTo - 1];
        }
        if (bytes + upTo == earlier.bytes && beginning.isEmpty()) {
          beginning = hex(copy(digest));
        }
        digest.update(buffer, upTo, read - upTo);
        bytes += read;
      }
    }
    // A last line without its end may have been half a line, and in a compressed file none is seen.
    boolean endedWithALine = last == '\n' && !gzip;
    return new Comparison(
        new FileDigest(hex(digest), bytes),
        bytes > earlier.bytes && beginning.equals(earlier.sha256) && endedWithALine);
  }

  static FileDigest of(Path file) throws IOException {
    return compare(file, new FileDigest("", 0)).whole();
  }

  private static MessageDigest copy(MessageDigest digest) {
    try {
      return (MessageDigest) digest.clone();
    } catch (CloneNotSupportedException e) {
      throw new IllegalStateException("Java's SHA-256 can be copied", e);
    }
  }

  private static String hex(MessageDigest digest) {
    return HexFormat.of().formatHex(digest.digest());
  }
}
