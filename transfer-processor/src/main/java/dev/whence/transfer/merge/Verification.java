package dev.whence.transfer.merge;

import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.engine.weights.WeightDigest;
import dev.whence.files.Sha256;
import dev.whence.transfer.TransferException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.zip.CRC32C;

/**
 * Whether a transferred model is still what its manifest says: every tensor's CRC32C, every text's
 * SHA-256, and the digest of the whole. Reads everything once.
 */
public final class Verification {
  private static final int PIECE = 1 << 18;

  private Verification() {}

  /**
   * Verifies a directory.
   *
   * @return everything that is wrong; empty if nothing is
   * @throws TransferException if it has no manifest or its tensors can not be read
   */
  public static List<String> of(Path directory) {
    Manifest manifest =
        Manifest.read(directory)
            .orElseThrow(
                () ->
                    new TransferException(
                        directory + " has no " + Manifest.FILE + ": it is no transferred model"));
    List<String> problems = new ArrayList<>();
    SortedMap<String, WeightDigest.Hashed> hashed = new TreeMap<>();
    try (TensorReader reader = TensorReader.open(Role.TARGET, directory)) {
      Map<String, TensorReader.Info> tensors = reader.tensors();
      for (String name : manifest.tensors().keySet()) {
        if (!tensors.containsKey(name)) {
          problems.add("tensor '" + SafetensorsFile.printable(name) + "' is missing");
        }
      }
      for (TensorReader.Info tensor : tensors.values()) {
        MessageDigest sha256 = Sha256.begin();
        CRC32C crc = new CRC32C();
        long bytes = reader.bytes(tensor.name());
        for (long at = 0; at < bytes; at += PIECE) {
          ByteBuffer piece = reader.raw(tensor.name(), at, (int) Math.min(PIECE, bytes - at));
          crc.update(piece.duplicate());
          sha256.update(piece);
        }
        Manifest.Tensor expected = manifest.tensors().get(tensor.name());
        if (expected == null || !expected.crc32c().equals(Journal.hex((int) crc.getValue()))) {
          problems.add(
              "tensor '" + SafetensorsFile.printable(tensor.name()) + "' is not what was written");
        }
        if (!SafetensorsShards.isBuffer(tensor.name())) {
          hashed.put(
              tensor.name(),
              new WeightDigest.Hashed(
                  tensor.dtype(), tensor.shape(), HexFormat.of().formatHex(sha256.digest())));
        }
      }
      manifest
          .texts()
          .forEach(
              (name, sha256) -> {
                boolean same =
                    reader
                        .model()
                        .text(name)
                        .map(bytes -> Sha256.of(bytes).equals(sha256))
                        .orElse(false);
                if (!same) {
                  problems.add(name + " is not what was written");
                }
              });
    }
    if (problems.isEmpty()) {
      String digest = WeightDigest.ofTextsIn(directory).hex(hashed);
      if (!digest.equals(manifest.digest())) {
        problems.add("the digest is " + digest + ", the manifest says " + manifest.digest());
      }
    }
    return problems;
  }
}
