package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.ResponseReader;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.avro.InfluenceQuery;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A query as a shard's process reads it, checked.
 *
 * @param record as it came
 * @param shards that are asked here, in order
 * @param vector for scans: q^, its norm and N
 * @param conversation the response; empty where nothing is to be ranked again
 */
record AskedQuery(
    InfluenceQuery record,
    List<Integer> shards,
    MultiStageQuery.Preconditioned vector,
    Optional<Conversation> conversation) {

  private static final int MOST_SHARDS = 100_000;
  private static final int MOST_DOCUMENTS = 100_000;

  AskedQuery {
    shards = List.copyOf(shards);
  }

  /** A record that is no query. */
  static final class InvalidException extends Exception {
    private static final long serialVersionUID = 1;

    private final transient Failure failure;

    InvalidException(Failure failure) {
      super(failure.message());
      this.failure = failure;
    }

    Failure failure() {
      return failure;
    }
  }

  String queryId() {
    return record.getQueryId();
  }

  /**
   * Names what was asked at once: the query and its deadline. Who asks the same again may hear
   * something else, for shards come and go.
   */
  String ask() {
    return queryId() + "/" + record.getDeadline().toEpochMilli();
  }

  /** Reads a record. */
  static AskedQuery read(
      SourceRecord source, AvroValues values, Optional<ClaimCheck> claimCheck, int largestBytes)
      throws InvalidException {
    try {
      byte[] value = source.value();
      if (value != null) {
        ResponseReader.checkSize(value, largestBytes);
      }
      InfluenceQuery query =
          values.read(value, InfluenceQuery.class, InfluenceQuery.getClassSchema());
      check(query);
      Optional<Conversation> conversation = Optional.empty();
      if (query.getRerank() > 0) {
        if (query.getResponse() == null) {
          throw invalid("it is to be ranked again, but comes without its response");
        }
        conversation = Optional.of(ResponseReader.read(query.getResponse()));
      }
      float[] sketch = new ShortSketch(query.getSketchStep(), bytes(query, claimCheck)).floats();
      return new AskedQuery(
          query,
          shards(query),
          new MultiStageQuery.Preconditioned(Map.of(), sketch, query.getNorm(), query.getTokens()),
          conversation);
    } catch (UnreadableException e) {
      throw new InvalidException(new Failure(e.code(), e.sentence()));
    } catch (ResponseReader.UnusableException e) {
      throw new InvalidException(e.failure());
    } catch (InfluenceException e) {
      throw invalid(String.valueOf(e.getMessage()));
    }
  }

  private static void check(InfluenceQuery query) throws InvalidException {
    int shards = query.getShardChecksums().size();
    if (shards < 1 || shards > MOST_SHARDS) {
      throw invalid("it names " + shards + " shards");
    }
    if (query.getPartition() < 0 || query.getPartition() >= query.getPartitions()) {
      throw invalid("it is for partition " + query.getPartition() + " of " + query.getPartitions());
    }
    if (!(query.getNorm() >= 0)
        || Double.isInfinite(query.getNorm())
        || !(query.getSketchStep() >= 0)
        || Float.isInfinite(query.getSketchStep())
        || !(query.getTokens() > 0)
        || Double.isInfinite(query.getTokens())) {
      throw invalid("a number of it can not be");
    }
    if (query.getTop() < 1
        || query.getTop() > MOST_DOCUMENTS
        || query.getRerank() < 0
        || query.getRerank() > MOST_DOCUMENTS) {
      throw invalid("it wants " + query.getTop() + " of " + query.getRerank() + " documents");
    }
    // they check what they read
    var unused = Damping.parse(query.getLambda());
    var unusedMeasure = Measure.of(query.getMeasure());
    unused = query.getAlpha().isEmpty() ? unused : Damping.parse(query.getAlpha());
  }

  private static byte[] bytes(InfluenceQuery query, Optional<ClaimCheck> claimCheck)
      throws InvalidException {
    if (query.getSketchFile().isEmpty()) {
      ByteBuffer buffer = query.getSketch().duplicate();
      byte[] bytes = new byte[buffer.remaining()];
      buffer.get(bytes);
      if (bytes.length % Short.BYTES != 0) {
        throw invalid("its sketch has " + bytes.length + " bytes, half a number too many");
      }
      return bytes;
    }
    ClaimCheck check =
        claimCheck.orElseThrow(
            () ->
                invalid(
                    "its sketch is in the claim-check directory, but claim-check.dir is not set"));
    return check
        .get(query.getSketchFile())
        .orElseThrow(() -> invalid("its sketch is not in claim-check.dir, or was altered there"));
  }

  private static List<Integer> shards(InfluenceQuery query) {
    List<Integer> shards = new ArrayList<>();
    for (int shard = 1; shard <= query.getShardChecksums().size(); shard++) {
      if (shard % query.getPartitions() == query.getPartition()) {
        shards.add(shard);
      }
    }
    return shards;
  }

  private static InvalidException invalid(String why) {
    return new InvalidException(new Failure("INVALID_QUERY", "the query can not be: " + why));
  }
}
