package dev.whence.transfer.merge;

import dev.whence.engine.weights.SafetensorsHeader;
import dev.whence.engine.weights.SafetensorsShards;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A model directory of one large F32 tensor of zeros that takes no room on the disk. */
public final class Sparse {
  private Sparse() {}

  public static Path write(Path directory, String tensor, long elements) throws IOException {
    return write(directory, tensor, elements, Map.of());
  }

  /** The same as a stored diff vector. */
  public static Path diff(Path directory, String tensor, long elements) throws IOException {
    return write(directory, tensor, elements, DirectoryWriter.OF_DIFF);
  }

  private static Path write(
      Path directory, String tensor, long elements, Map<String, String> metadata)
      throws IOException {
    new ModelFolder().add(ModelFolder.f32(tensor, 0)).write(directory);
    byte[] header =
        SafetensorsHeader.of(
                List.of(
                    new SafetensorsHeader.Tensor(tensor, "F32", List.of(elements), 4 * elements)),
                metadata)
            .array();
    try (RandomAccessFile file =
        new RandomAccessFile(directory.resolve(SafetensorsShards.SINGLE).toFile(), "rw")) {
      file.setLength(0);
      file.write(header);
      file.setLength(header.length + 4 * elements);
    }
    return directory;
  }
}
