package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The tensors of a Hugging Face directory: {@code model.safetensors}, or the shards that {@code
 * model.safetensors.index.json} names.
 */
public final class SafetensorsWeights implements WeightSource {
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final int MAX_SHARDS = 4096;

  /**
   * Buffers that old checkpoints carry and that are computed from the config instead; transformers
   * ignores them, too.
   */
  private static final Pattern BUFFERS =
      Pattern.compile(
          ".*\\.rotary_emb\\.inv_freq|gpt_neox\\.layers\\.[0-9]+\\.attention\\.(bias|masked_bias)");

  private record Source(TensorInfo info, SafetensorsFile file, SafetensorsFile.Entry entry) {}

  private final List<SafetensorsFile> files = new ArrayList<>();
  private final Map<String, Source> sources = new TreeMap<>();
  private final Map<String, TensorInfo> tensors;

  /** Opens all shards of a directory and checks that they agree with the index. */
  public SafetensorsWeights(Path directory) {
    try {
      if (Files.exists(directory.resolve(SINGLE))) {
        add(SafetensorsFile.open(ContainedPath.resolve(directory, SINGLE)));
      } else if (Files.exists(directory.resolve(INDEX))) {
        sharded(directory);
      } else {
        throw new EngineException(
            Kind.MODEL,
            directory
                + " has neither "
                + SINGLE
                + " nor "
                + INDEX
                + (hasPickle(directory)
                    ? "; its pytorch_model.bin is not read (pickle runs code): convert it to"
                        + " safetensors"
                    : ""));
      }
    } catch (RuntimeException e) {
      close();
      throw e;
    }
    Map<String, TensorInfo> infos = new TreeMap<>();
    sources.forEach((name, source) -> infos.put(name, source.info()));
    this.tensors = Collections.unmodifiableMap(infos);
  }

  private void sharded(Path directory) {
    Path index = ContainedPath.resolve(directory, INDEX);
    JsonNode map = UntrustedJson.object(UntrustedJson.bytes(index), index.toString());
    JsonNode weightMap = map.path("weight_map");
    if (!weightMap.isObject()) {
      throw new EngineException(Kind.MODEL, index + " has no weight_map");
    }
    Map<String, Set<String>> byShard = new TreeMap<>();
    weightMap
        .properties()
        .forEach(
            field ->
                byShard
                    .computeIfAbsent(field.getValue().asText(), shard -> new TreeSet<>())
                    .add(field.getKey()));
    if (byShard.isEmpty() || byShard.size() > MAX_SHARDS) {
      throw new EngineException(
          Kind.MODEL, index + " names " + byShard.size() + " shards, not 1 to " + MAX_SHARDS);
    }
    List<String> problems = new ArrayList<>();
    byShard.forEach(
        (shard, names) -> {
          SafetensorsFile file = SafetensorsFile.open(ContainedPath.resolve(directory, shard));
          add(file);
          for (String name : names) {
            if (!file.entries().containsKey(name)) {
              problems.add(
                  "'" + SafetensorsFile.printable(name) + "' is not in " + shard + ", its shard");
            }
          }
          for (String name : file.entries().keySet()) {
            if (!names.contains(name) && !BUFFERS.matcher(name).matches()) {
              problems.add(
                  "'" + SafetensorsFile.printable(name) + "' of " + shard + " is not in the index");
            }
          }
        });
    if (!problems.isEmpty()) {
      throw new EngineException(
          Kind.MODEL, index + " contradicts its shards: " + Contradictions.list(problems));
    }
  }

  private void add(SafetensorsFile file) {
    files.add(file);
    for (SafetensorsFile.Entry entry : file.entries().values()) {
      if (BUFFERS.matcher(entry.name()).matches()) {
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
      if (sources.put(entry.name(), new Source(info, file, entry)) != null) {
        throw file.refuse(entry, "stands in another shard, too");
      }
    }
  }

  private static boolean hasPickle(Path directory) {
    try (var list = Files.list(directory)) {
      return list.anyMatch(path -> path.getFileName().toString().startsWith("pytorch_model"));
    } catch (IOException e) {
      return false; // only decides how the refusal is worded
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
    files.forEach(SafetensorsFile::close);
  }
}
