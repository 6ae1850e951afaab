package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The safetensors files of a Hugging Face directory as they lie there: {@code model.safetensors},
 * or the shards that {@code model.safetensors.index.json} names, in name order. Opening checks that
 * the shards agree with the index, that none lies outside of the directory, and that no tensor
 * stands twice.
 */
public final class SafetensorsShards implements AutoCloseable {
  /** The file of a model in one piece. */
  public static final String SINGLE = "model.safetensors";

  /** Which tensor stands in which shard. */
  public static final String INDEX = "model.safetensors.index.json";

  private static final int MAX_SHARDS = 4096;

  /**
   * Buffers that old checkpoints carry and that are computed from the config instead; transformers
   * ignores them, too.
   */
  private static final Pattern BUFFERS =
      Pattern.compile(
          ".*\\.rotary_emb\\.inv_freq|gpt_neox\\.layers\\.[0-9]+\\.attention\\.(bias|masked_bias)");

  /** A file under the name that the directory has for it. */
  public record Shard(String fileName, SafetensorsFile file) {}

  private final List<Shard> shards = new ArrayList<>();
  private final boolean indexed;

  private SafetensorsShards(boolean indexed) {
    this.indexed = indexed;
  }

  /**
   * Opens all shards of a directory.
   *
   * @throws EngineException of kind MODEL if files are missing, damaged or contradict each other
   */
  public static SafetensorsShards open(Path directory) {
    SafetensorsShards opened =
        new SafetensorsShards(!Files.exists(directory.resolve(SINGLE)) && hasIndex(directory));
    try {
      if (opened.indexed) {
        opened.sharded(directory);
      } else if (Files.exists(directory.resolve(SINGLE))) {
        opened.add(directory, SINGLE);
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
      opened.refuseTwice();
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
    return opened;
  }

  /** Whether a tensor is computed from the config, so that its stored value is ignored. */
  public static boolean isBuffer(String name) {
    return BUFFERS.matcher(name).matches();
  }

  public List<Shard> shards() {
    return List.copyOf(shards);
  }

  /** Whether an index file says which tensor stands in which shard. */
  public boolean indexed() {
    return indexed;
  }

  private SafetensorsFile add(Path directory, String name) {
    SafetensorsFile file = SafetensorsFile.open(ContainedPath.resolve(directory, name));
    shards.add(new Shard(name, file));
    return file;
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
          SafetensorsFile file = add(directory, shard);
          for (String name : names) {
            if (!file.entries().containsKey(name)) {
              problems.add(
                  "'" + SafetensorsFile.printable(name) + "' is not in " + shard + ", its shard");
            }
          }
          for (String name : file.entries().keySet()) {
            if (!names.contains(name) && !isBuffer(name)) {
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

  private void refuseTwice() {
    Set<String> seen = new HashSet<>();
    for (Shard shard : shards) {
      for (SafetensorsFile.Entry entry : shard.file().entries().values()) {
        if (!isBuffer(entry.name()) && !seen.add(entry.name())) {
          throw shard.file().refuse(entry, "stands in another shard, too");
        }
      }
    }
  }

  private static boolean hasIndex(Path directory) {
    return Files.exists(directory.resolve(INDEX));
  }

  private static boolean hasPickle(Path directory) {
    try (var list = Files.list(directory)) {
      return list.anyMatch(path -> path.getFileName().toString().startsWith("pytorch_model"));
    } catch (IOException e) {
      return false; // only decides how the refusal is worded
    }
  }

  @Override
  public void close() {
    shards.forEach(shard -> shard.file().close());
  }
}
