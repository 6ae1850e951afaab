package dev.whence.transfer.merge;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * How a run reads its models' files: past the page cache where that is wanted and the file system
 * can do it, else through it. The bytes are the same.
 */
final class InputFiles implements AutoCloseable {
  private final Map<SourceModel.InputFile, DirectFile> direct = new HashMap<>();
  private final Map<Path, String> throughCache = new TreeMap<>();

  /** Opens the files of some models once more, if they are to be read past the page cache. */
  InputFiles(List<SourceModel> models, boolean pastCache, MergeOptions.Opener opener) {
    if (!pastCache) {
      return;
    }
    for (SourceModel model : models) {
      for (SourceModel.InputFile file : model.files()) {
        Path path = file.file().file().path();
        try {
          direct.put(file, DirectFile.open(path, opener, Set.of(StandardOpenOption.READ)));
        } catch (IOException e) {
          throughCache.put(path, DirectFile.reason(e));
        }
      }
    }
  }

  /** Files that were to be read past the page cache and are not, and why. */
  Map<Path, String> throughCache() {
    return throughCache;
  }

  /** The largest block of the files; 1 if all are read through the page cache. */
  int block() {
    return direct.values().stream().mapToInt(DirectFile::block).max().orElse(1);
  }

  /**
   * Reads bytes of a tensor into memory from {@link DirectFile#memory}; its position and limit are
   * then around them.
   *
   * @throws dev.whence.transfer.TransferException if the file was changed or is gone
   */
  void read(SourceModel.Tensor tensor, long offset, int bytes, ByteBuffer memory) {
    DirectFile file = direct.get(tensor.input());
    if (file == null) {
      readThroughCache(tensor, offset, bytes, memory);
    } else {
      tensor.read(file, offset, bytes, memory);
    }
  }

  /** The same for bytes that are read in no order, where the system's read-ahead and cache help. */
  void readThroughCache(SourceModel.Tensor tensor, long offset, int bytes, ByteBuffer memory) {
    memory.clear().limit(bytes);
    tensor.read(offset, memory);
    memory.flip();
  }

  @Override
  public void close() {
    for (DirectFile file : direct.values()) {
      file.close();
    }
  }
}
