package dev.whence.files;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against the examples of FIPS 180-4 that NIST publishes. */
class Sha256Test {
  private static final String OF_ABC =
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  private static final String OF_A_MILLION_A =
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

  @TempDir private Path directory;

  @Test
  void bytesTextAndFileHaveTheSame() throws IOException {
    Path file = Files.writeString(directory.resolve("abc"), "abc");
    assertThat(Sha256.of("abc".getBytes(StandardCharsets.UTF_8))).isEqualTo(OF_ABC);
    assertThat(Sha256.of("abc")).isEqualTo(OF_ABC);
    assertThat(Sha256.of(file)).isEqualTo(OF_ABC);
  }

  @Test
  void aFileOfManyPiecesIsReadToItsEnd() throws IOException {
    Path file = Files.writeString(directory.resolve("many"), "a".repeat(1_000_000));
    assertThat(Sha256.of(file)).isEqualTo(OF_A_MILLION_A);
  }

  @Test
  void whatWasSeenBeforeTheFileCounts() throws IOException {
    Path file = Files.writeString(directory.resolve("bc"), "bc");
    MessageDigest digest = Sha256.begin();
    digest.update((byte) 'a');
    Sha256.update(digest, file);
    assertThat(HexFormat.of().formatHex(digest.digest())).isEqualTo(OF_ABC);
  }
}
