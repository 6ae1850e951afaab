package dev.whence.transfer.merge;

import dev.whence.files.FileProblem;
import dev.whence.transfer.TransferException;
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

  /**
   * Opens the files of some models once more, if they are to be read past the page cache. If the
   * process may not have so many open, all are read through it: what is left of the limit is for
   * whoever else needs it.
   *
   * @throws TransferException if a file can not be read at all
   */
  InputFiles(List<SourceModel> models, boolean pastCache, MergeOptions.Opener opener) {
    if (!pastCache) {
      return;
    }
    List<SourceModel.InputFile> files =
        models.stream().flatMap(model -> model.files().stream()).toList();
    boolean complete = false;
    try {
      for (SourceModel.InputFile file : files) {
        if (!open(file, opener)) {
          files.forEach(one -> throughCache.putIfAbsent(path(one), "Too many open files"));
          break;
        }
      }
      complete = true;
    } finally {
      if (!complete) {
        close();
      }
    }
  }

  private static Path path(SourceModel.InputFile file) {
    return file.file().file().path();
  }

  /** False if the process may open no more; all are closed then. */
  private boolean open(SourceModel.InputFile file, MergeOptions.Opener opener) {
    Path path = path(file);
    try {
      direct.put(file, DirectFile.open(path, opener, Set.of(StandardOpenOption.READ)));
    } catch (DirectFile.UnableException e) {
      throughCache.put(path, FileProblem.words(e));
    } catch (IOException e) {
      if (DirectFile.isOutOfDescriptors(e)) {
        close();
        return false;
      }
      throw new TransferException(path + " can not be read (" + FileProblem.words(e) + ")", e);
    }
    return true;
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

  /** The same for bytes that are read in no order or twice, where the system's cache helps. */
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
    direct.clear();
  }
}
