package dev.whence.influence.stage;

import dev.whence.influence.index.ShardFile;
import dev.whence.influence.query.IndexScan;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** A query of a batch with the shards that are asked of it here, and what the scan found. */
final class ComingQuery {
  final AskedQuery query;

  /** By number. */
  final TreeMap<Integer, OpenShards.Found> shards = new TreeMap<>();

  Optional<Scanned> scanned = Optional.empty();
  private IndexScan.@Nullable Asked asked;

  /** What a scan found, and the share of its time. */
  record Scanned(IndexScan.Candidates candidates, double seconds) {
    static final Scanned NOTHING = new Scanned(new IndexScan.Candidates(List.of(), List.of()), 0);
  }

  ComingQuery(AskedQuery query) {
    this.query = query;
  }

  /** Made when it is needed: its shards may all be missing. */
  IndexScan.Asked asked() {
    IndexScan.Asked one = asked;
    if (one == null) {
      int most = Math.max(query.record().getTop(), query.record().getRerank());
      one = new IndexScan.Asked(query.vector(), most);
      asked = one;
    }
    return one;
  }

  /** Whether it has candidates to rank, and wants them ranked. */
  boolean ranks() {
    return query.conversation().isPresent() && !here().isEmpty();
  }

  /** Those that can be scanned. */
  List<ShardFile> here() {
    List<ShardFile> here = new ArrayList<>();
    for (OpenShards.Found found : shards.values()) {
      if (found instanceof OpenShards.Found.Here one) {
        here.add(one.shard());
      }
    }
    return here;
  }

  /** It can not be searched after all. */
  void missing(ShardFile shard, RuntimeException why) {
    shards.put(shard.number(), new OpenShards.Found.Missing(String.valueOf(why.getMessage())));
  }
}
