package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalIndex;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelRelease;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The shards that this process looks through, and their words. Not thread-safe. */
final class ServedShards implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ServedShards.class);

  private final InfluenceConfig config;
  private final OpenShards shards;
  private final LexicalIndex words = new LexicalIndex();

  ServedShards(InfluenceConfig config) {
    this.config = config;
    this.shards = new OpenShards(config.files());
  }

  /**
   * Opening a shard reads all of it, for its checksum: the first query that asks it would wait for
   * that. What is not possible is only logged: answers say what is missing.
   *
   * @throws EnvironmentException if nobody can say now which index will be asked
   */
  void expect(Optional<ModelRelease> release) {
    try {
      Optional<ModelChoice> choice = ModelChoice.expected(release, config);
      if (choice.isEmpty()) {
        return;
      }
      List<IndexManifest.Shard> wanted = choice.get().index(config).manifest().shards();
      for (int number = 1; number <= wanted.size(); number++) {
        var unused = shards.find(number, wanted.size(), wanted.get(number - 1).checksum());
      }
    } catch (EngineException e) {
      if (e.kind() == EngineException.Kind.ENVIRONMENT) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
      LOG.warn("no shard is opened before the first query: {}", e.getMessage());
    } catch (ModelLoadException | InfluenceException e) {
      LOG.warn("no shard is opened before the first query: {}", e.getMessage());
    }
  }

  /**
   * Looks for a shard that a query asks, and for its words if they are asked, too.
   *
   * @param number from 1
   */
  OpenShards.Found find(AskedQuery query, int number) {
    List<String> checksums = query.record().getShardChecksums();
    OpenShards.Found found = shards.find(number, checksums.size(), checksums.get(number - 1));
    if (found instanceof OpenShards.Found.Here here
        && here.shard().settings().sketch().buckets() != query.vector().sketch().length) {
      return new OpenShards.Found.Missing(
          here.shard().path()
              + " has "
              + here.shard().settings().sketch().buckets()
              + " buckets, the query has "
              + query.vector().sketch().length
              + ".");
    }
    if (found instanceof OpenShards.Found.Here here && !query.preselect().isNone()) {
      // Looked at for each query: an index whose words are being built has them a moment later.
      try {
        words.open(here.shard());
      } catch (InfluenceException e) {
        return new OpenShards.Found.Missing(String.valueOf(e.getMessage()));
      }
    }
    return found;
  }

  /**
   * Documents of a shard that share words with a response and its question, best first.
   *
   * @throws InfluenceException if its words are missing or damaged
   */
  List<LexicalIndex.Hit> best(ShardFile shard, Conversation response, int most) {
    return words.best(shard, response, most);
  }

  @Override
  public void close() {
    words.close();
  }
}
