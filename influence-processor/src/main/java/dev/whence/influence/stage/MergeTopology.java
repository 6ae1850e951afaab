package dev.whence.influence.stage;

import dev.whence.schemas.Topics;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceMerge;
import dev.whence.schemas.avro.InfluencePartial;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Puts the answers of shards together.
 *
 * <pre>
 * whence.influence.partials --&gt; read-partials --&gt; merge --&gt; write-influences --&gt; whence.influences
 *                                                 |   |
 *                          queries that are open -+   +- queries that were closed, for 10 minutes
 * </pre>
 *
 * A query is open from its OPEN marker until every shard has answered or its deadline has passed;
 * see {@link MergeProcessor}. Open queries are looked at often: they are kept in memory, within
 * bounds, and brought back from their changelog. Closed ones are on disk; that there is a store on
 * disk also gives the process a name that outlives it, so that its successor ends its open
 * transaction at once.
 */
final class MergeTopology {
  static final String OPEN_STORE = "open-queries";
  static final String CLOSED_STORE = "closed-queries";

  private MergeTopology() {}

  /** The topology. */
  static Topology of(
      Topics topics,
      Serde<InfluencePartial> partials,
      Serde<Influence> influences,
      MergeProcessor.Settings settings,
      InfluenceMetrics metrics) {
    return new Topology()
        .addSource(
            "read-partials",
            Serdes.String().deserializer(),
            partials.deserializer(),
            topics.influencePartials().name())
        .addProcessor("merge", () -> new MergeProcessor(settings, metrics), "read-partials")
        .addStateStore(openQueries(), "merge")
        .addStateStore(closedQueries(), "merge")
        .addSink(
            "write-influences",
            topics.influences().name(),
            Serdes.String().serializer(),
            influences.serializer(),
            "merge");
  }

  private static StoreBuilder<KeyValueStore<String, InfluenceMerge>> openQueries() {
    return Stores.keyValueStoreBuilder(
            Stores.inMemoryKeyValueStore(OPEN_STORE), Serdes.String(), new MergeSerde())
        .withCachingDisabled();
  }

  private static StoreBuilder<KeyValueStore<String, InfluenceMerge>> closedQueries() {
    return Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(CLOSED_STORE), Serdes.String(), new MergeSerde())
        .withCachingDisabled();
  }
}
