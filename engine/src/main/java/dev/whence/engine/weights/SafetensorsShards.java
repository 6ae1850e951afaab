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

  /** Of all shards together; models have some hundred thousand at most. */
  private static final int MAX_TENSORS = 1_000_000;

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
   * @throws EngineException of kind MODEL if files are missing, damaged or contradict each other,
   *     with what is wrong with each of them
   */
  public static SafetensorsShards open(Path directory) {
    SafetensorsShards opened =
        new SafetensorsShards(!Files.exists(directory.resolve(SINGLE)) && hasIndex(directory));
    try {
      if (opened.indexed) {
        opened.sharded(directory);
      } else if (Files.exists(directory.resolve(SINGLE))) {
        var unused = opened.add(directory, SINGLE);
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
    Map<String, String> shardOf = new TreeMap<>();
    weightMap.properties().forEach(field -> shardOf.put(field.getKey(), field.getValue().asText()));
    Set<String> names = new TreeSet<>(shardOf.values());
    if (names.isEmpty() || names.size() > MAX_SHARDS) {
      throw new EngineException(
          Kind.MODEL, index + " names " + names.size() + " shards, not 1 to " + MAX_SHARDS);
    }
    int tensors = 0;
    List<String> unopened = new ArrayList<>();
    Set<String> opened = new HashSet<>();
    for (String name : names) {
      try {
        tensors += add(directory, name).entries().size();
        opened.add(name);
      } catch (EngineException e) {
        if (e.kind() != Kind.MODEL) {
          throw e; // disk or network, which the other shards would run into, too
        }
        unopened.addAll(e.reasons());
      }
      if (tensors > MAX_TENSORS) {
        throw new EngineException(
            Kind.MODEL, index + ": its shards have more than " + MAX_TENSORS + " tensors together");
      }
    }
    refuse(index, unopened, contradictions(shardOf, opened));
  }

  /** Where index and shards disagree, of those that could be opened. */
  private List<String> contradictions(Map<String, String> shardOf, Set<String> opened) {
    Map<String, List<String>> found = new TreeMap<>();
    for (Shard shard : shards) {
      for (String name : shard.file().entries().keySet()) {
        found.computeIfAbsent(name, any -> new ArrayList<>()).add(shard.fileName());
      }
    }
    List<String> problems = new ArrayList<>();
    shardOf.forEach(
        (name, shard) -> {
          if (opened.contains(shard) && !found.containsKey(name)) {
            problems.add(quoted(name) + " is not in " + shard + ", its shard");
          }
        });
    found.forEach(
        (name, in) -> {
          String shard = shardOf.get(name);
          if (isBuffer(name)) {
            return; // ignored, wherever it stands
          }
          if (in.size() > 1) {
            problems.add(quoted(name) + " stands in " + String.join(" and in ", in));
          } else if (shard == null) {
            problems.add(quoted(name) + " of " + in.get(0) + " is not in the index");
          } else if (!shard.equals(in.get(0))) {
            problems.add(
                quoted(name)
                    + " is in "
                    + in.get(0)
                    + ", not in "
                    + SafetensorsFile.printable(shard)
                    + ", its shard");
          }
        });
    return problems;
  }

  private static String quoted(String name) {
    return "'" + SafetensorsFile.printable(name) + "'";
  }

  private static void refuse(Path index, List<String> unopened, List<String> contradictions) {
    List<String> parts = new ArrayList<>(unopened);
    List<String> reasons = new ArrayList<>(unopened);
    if (!contradictions.isEmpty()) {
      String prefix = index + " contradicts its shards: ";
      parts.add(prefix + Contradictions.list(contradictions));
      contradictions.forEach(problem -> reasons.add(prefix + problem));
    }
    if (!reasons.isEmpty()) {
      throw new EngineException(Kind.MODEL, Contradictions.list(parts), reasons);
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
