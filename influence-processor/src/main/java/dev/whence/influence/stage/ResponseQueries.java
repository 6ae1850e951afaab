package dev.whence.influence.stage;

import dev.whence.influence.InfluenceException;
import dev.whence.influence.index.IndexManifest;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.EventHeader;
import dev.whence.runtime.worker.Result;
import dev.whence.schemas.avro.Influence;
import dev.whence.schemas.avro.InfluenceCoverage;
import dev.whence.schemas.avro.InfluenceOpening;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluenceQuery;
import dev.whence.schemas.avro.LlmResponse;
import dev.whence.schemas.avro.PartialKind;
import java.nio.ByteBuffer;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The records of one query: the OPEN marker for the merger, and the query itself, once for each
 * partition that serves a shard. They are written in one transaction, the marker first; answers go
 * to the marker's partition, so they come after it.
 */
final class ResponseQueries {
  private final EventWriter writer;
  private final String queries;
  private final String partials;
  private final InfluenceConfig.Asked asked;
  private final Optional<ClaimCheck> claimCheck;
  private final int inlineBytes;
  private final InstantSource clock;

  ResponseQueries(
      EventWriter writer,
      String queries,
      String partials,
      InfluenceConfig.Asked asked,
      Optional<ClaimCheck> claimCheck,
      int inlineBytes,
      InstantSource clock) {
    this.writer = writer;
    this.queries = queries;
    this.partials = partials;
    this.asked = asked;
    this.claimCheck = claimCheck;
    this.inlineBytes = inlineBytes;
    this.clock = clock;
  }

  /**
   * The records.
   *
   * @param begun the result as far as it is known
   * @param partitions of the topic of queries
   * @throws InfluenceException if the sketch is too large for a record and there is nowhere else to
   *     put it
   */
  List<Result> of(QueryModel.Query query, LlmResponse response, Influence begun, int partitions) {
    String queryId = begun.getQueryId();
    IndexManifest index = query.index();
    var deadline = clock.instant().plus(asked.deadline()).truncatedTo(ChronoUnit.MILLIS);
    InfluenceOpening opening =
        InfluenceOpening.newBuilder()
            .setShards(index.shards().size())
            .setDeadline(deadline)
            .setTop(asked.top())
            .setEvent(
                Influence.newBuilder(begun)
                    .setCoverage(
                        InfluenceCoverage.newBuilder()
                            .setShards(index.shards().size())
                            .setDocuments(index.documents())
                            .build())
                    .build())
            .build();
    InfluencePartial open =
        InfluencePartial.newBuilder()
            .setQueryId(queryId)
            .setKind(PartialKind.OPEN)
            .setOpen(opening)
            .build();
    InfluenceQuery.Builder record =
        InfluenceQuery.newBuilder()
            .setQueryId(queryId)
            .setPartitions(partitions)
            .setIndexDigest(query.indexDigest())
            .setShardChecksums(index.shards().stream().map(IndexManifest.Shard::checksum).toList())
            .setNorm(query.preconditioned().norm())
            .setTokens(query.preconditioned().tokens())
            .setResponseModel(query.fineTuning().getModelDigest())
            .setResponseModelLocation(query.location().toString())
            .setPretrainingFactors(query.pretraining().getFactorsDigest())
            .setFineTuningFactors(query.fineTuning().getFactorsDigest())
            .setMeasure(begun.getMeasure())
            .setAlpha(begun.getAlpha())
            .setLambda(begun.getLambda())
            .setTop(asked.top())
            .setRerank(asked.rerank())
            .setPreselect(asked.preselect().text())
            .setIncludeExcerpts(asked.includeExcerpts())
            .setResponse(asked.rerank() > 0 ? response : null)
            .setDeadline(deadline)
            .setTraceparent(begun.getTraceparent());
    put(record, ShortSketch.of(query.preconditioned().sketch()));
    List<Result> results = new ArrayList<>();
    results.add(writer.write(partials, queryId, open, 0, begun.getTraceparent(), Optional::empty));
    shardsByPartition(index.shards().size(), partitions)
        .forEach(
            (partition, shards) ->
                results.add(
                    withShards(
                            writer.write(
                                queries,
                                queryId,
                                record.setPartition(partition).build(),
                                0,
                                begun.getTraceparent(),
                                Optional::empty),
                            shards)
                        .toPartition(partition)));
    return results;
  }

  private void put(InfluenceQuery.Builder record, ShortSketch sketch) {
    record.setSketchStep(sketch.step());
    if (sketch.bytes().length <= inlineBytes) {
      record.setSketch(ByteBuffer.wrap(sketch.bytes()));
      return;
    }
    ClaimCheck check =
        claimCheck.orElseThrow(
            () ->
                new InfluenceException(
                    "The query's sketch has "
                        + sketch.bytes().length
                        + " bytes, more than claim-check.above, "
                        + inlineBytes
                        + ", lets into a record: set claim-check.dir to a directory that query"
                        + " stage and shards share."));
    record.setSketchFile(check.put(sketch.bytes()));
  }

  /**
   * Shard s is served by partition s modulo their number; a partition without shards is left out.
   */
  static Map<Integer, List<Integer>> shardsByPartition(int shards, int partitions) {
    Map<Integer, List<Integer>> byPartition = new TreeMap<>();
    for (int shard = 1; shard <= shards; shard++) {
      byPartition.computeIfAbsent(shard % partitions, unused -> new ArrayList<>()).add(shard);
    }
    return byPartition;
  }

  private static Result withShards(Result result, List<Integer> shards) {
    List<EventHeader> headers = new ArrayList<>(result.headers());
    headers.add(
        EventHeader.of(
            AskedShards.HEADER,
            shards.stream().map(String::valueOf).collect(Collectors.joining(","))));
    return new Result(result.topic(), result.key(), result.value(), headers, result.shrink());
  }
}
