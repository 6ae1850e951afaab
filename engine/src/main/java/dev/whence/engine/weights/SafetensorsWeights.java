package dev.whence.engine.weights;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/** The tensors of a Hugging Face directory, over all of its {@link SafetensorsShards}. */
public final class SafetensorsWeights implements WeightSource {
  private record Source(TensorInfo info, SafetensorsFile file, SafetensorsFile.Entry entry) {}

  private final SafetensorsShards shards;
  private final Map<String, Source> sources = new TreeMap<>();
  private final Map<String, TensorInfo> tensors;

  /** Opens all shards of a directory and checks that they agree with the index. */
  public SafetensorsWeights(Path directory) {
    shards = SafetensorsShards.open(directory);
    try {
      shards.shards().forEach(shard -> add(shard.file()));
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    Map<String, TensorInfo> infos = new TreeMap<>();
    sources.forEach((name, source) -> infos.put(name, source.info()));
    this.tensors = Collections.unmodifiableMap(infos);
  }

  private void add(SafetensorsFile file) {
    for (SafetensorsFile.Entry entry : file.entries().values()) {
      if (SafetensorsShards.isBuffer(entry.name())) {
        continue;
      }
      ElementType type =
          switch (entry.dtype()) {
            case "F32" -> ElementType.F32;
            case "F16" -> ElementType.F16;
            case "BF16" -> ElementType.BF16;
            default ->
                throw file.refuse(
                    entry, "has dtype " + entry.dtype() + "; F32, F16 and BF16 are read");
          };
      TensorInfo info = new TensorInfo(entry.name(), type, entry.shape());
      sources.put(entry.name(), new Source(info, file, entry));
    }
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return tensors;
  }

  @Override
  public void read(String name, long offset, ByteBuffer target) {
    Source source = sources.get(name);
    if (source == null) {
      throw new IllegalArgumentException("no tensor '" + name + "'");
    }
    int size = source.info().type().bytes();
    if (offset < 0
        || offset % size != 0
        || target.remaining() % size != 0
        || target.remaining() > source.info().byteLength() - offset) {
      throw new IllegalArgumentException(
          "bytes ["
              + offset
              + ", "
              + (offset + target.remaining())
              + ") are not whole elements of "
              + source.info());
    }
    source.file().file().read(source.entry().begin() + offset, target);
  }

  @Override
  public void close() {
    shards.close();
  }
}
