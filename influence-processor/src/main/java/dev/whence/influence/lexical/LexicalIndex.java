package dev.whence.influence.lexical;

import dev.whence.conversation.Conversation;
import dev.whence.influence.index.ShardFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The words of several shards. Each shard weighs words by its own documents; where shards are
 * filled by turns, as those of an index are, weights hardly differ from one shard to the next.
 */
public final class LexicalIndex implements AutoCloseable {
  private final Map<Path, LexicalShard> shards = new HashMap<>();

  /**
   * Opens that of a shard and checks all of it, unless it is open already and was not built anew
   * since.
   *
   * @throws dev.whence.influence.InfluenceException if it is missing, damaged, or of another shard
   */
  public void open(ShardFile shard) {
    var unused = opened(shard);
  }

  private LexicalShard opened(ShardFile shard) {
    Path path = LexicalShard.path(shard);
    LexicalShard before = shards.get(path);
    if (before != null && before.isOf(shard) && before.isCurrent()) {
      return before;
    }
    if (before != null) {
      shards.remove(path);
      before.close();
    }
    LexicalShard now = LexicalShard.open(shard);
    shards.put(path, now);
    return now;
  }

  /**
   * A document that shares words with what is asked.
   *
   * @param document its number in the shard
   * @param score by BM25, above 0
   */
  public record Hit(ShardFile shard, int document, double score) {}

  /**
   * The best documents of a shard, best first; it is opened if it is not.
   *
   * @throws dev.whence.influence.InfluenceException as {@link #open}
   */
  public List<Hit> best(ShardFile shard, Conversation asked, int most) {
    List<Hit> found = new ArrayList<>();
    opened(shard)
        .best(asked, most)
        .forEach((number, score) -> found.add(new Hit(shard, number, score)));
    return found;
  }

  /** Closes those of other shards than these. */
  public void keep(Collection<ShardFile> open) {
    Set<Path> kept = open.stream().map(LexicalShard::path).collect(Collectors.toSet());
    shards
        .entrySet()
        .removeIf(
            entry -> {
              boolean unused = !kept.contains(entry.getKey());
              if (unused) {
                entry.getValue().close();
              }
              return unused;
            });
  }

  /** How many are open. */
  public int size() {
    return shards.size();
  }

  /** The best of several shards', best first. */
  public static List<Hit> best(List<Hit> hits, int most) {
    return hits.stream()
        .sorted(Comparator.comparingDouble(hit -> -hit.score()))
        .limit(most)
        .toList();
  }

  @Override
  public void close() {
    shards.values().forEach(LexicalShard::close);
    shards.clear();
  }
}
