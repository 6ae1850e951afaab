package dev.whence.influence.lexical;

import dev.whence.conversation.Conversation;
import dev.whence.influence.index.ShardFile;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The words of several shards. Each shard weighs words by its own documents; where shards are
 * filled by turns, as those of an index are, weights hardly differ from one shard to the next.
 */
public final class LexicalIndex implements AutoCloseable {
  private final Map<ShardFile, LexicalShard> shards = new LinkedHashMap<>();

  private LexicalIndex() {}

  /**
   * Opens those of shards.
   *
   * @throws dev.whence.influence.InfluenceException if one is missing, damaged, or of another shard
   */
  public static LexicalIndex open(List<ShardFile> shards) {
    LexicalIndex index = new LexicalIndex();
    boolean complete = false;
    try {
      for (ShardFile shard : shards) {
        index.shards.put(shard, LexicalShard.open(shard));
      }
      complete = true;
      return index;
    } finally {
      if (!complete) {
        index.close();
      }
    }
  }

  /**
   * A document that shares words with what is asked.
   *
   * @param document its number in the shard
   * @param score by BM25, above 0
   */
  public record Hit(ShardFile shard, int document, double score) {}

  /**
   * The best documents, best first.
   *
   * @param most of all shards together
   */
  public List<Hit> best(Conversation asked, int most) {
    List<Hit> found = new ArrayList<>();
    shards.forEach(
        (shard, lexical) ->
            lexical
                .best(asked, most)
                .forEach((number, score) -> found.add(new Hit(shard, number, score))));
    return found.stream()
        .sorted(Comparator.comparingDouble(hit -> -hit.score()))
        .limit(most)
        .toList();
  }

  @Override
  public void close() {
    shards.values().forEach(LexicalShard::close);
  }
}
