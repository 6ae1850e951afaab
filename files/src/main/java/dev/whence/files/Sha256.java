package dev.whence.files;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** The digest that names models, corpora, factors, indexes and transfers; in hex, 64 digits. */
public final class Sha256 {
  private static final int PIECE = 1 << 16;

  private Sha256() {}

  /** One that has seen nothing yet. */
  public static MessageDigest begin() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** Of bytes. */
  public static String of(byte[] bytes) {
    return HexFormat.of().formatHex(begin().digest(bytes));
  }

  /** Of a text in UTF-8. */
  public static String of(String text) {
    return of(text.getBytes(StandardCharsets.UTF_8));
  }

  /**
   * Of what a file holds, however long it is.
   *
   * @throws IOException if it can not be read
   */
  public static String of(Path file) throws IOException {
    MessageDigest digest = begin();
    update(digest, file);
    return HexFormat.of().formatHex(digest.digest());
  }

  /**
   * Goes on with what a file holds.
   *
   * @throws IOException if it can not be read
   */
  public static void update(MessageDigest digest, Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      byte[] piece = new byte[PIECE];
      for (int read = in.read(piece); read >= 0; read = in.read(piece)) {
        digest.update(piece, 0, read);
      }
    }
  }
}
