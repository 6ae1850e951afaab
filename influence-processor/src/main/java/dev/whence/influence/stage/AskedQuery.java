package dev.whence.influence.stage;

import dev.whence.conversation.Conversation;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.query.MultiStageQuery;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.ResponseReader;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.schemas.avro.InfluenceQuery;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

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

  /** Characters of alpha, lambda and measure. */
  private static final int LONGEST_SETTING = 64;

  /** From now on: clocks may differ. */
  static final Duration LATEST_DEADLINE =
      InfluenceConfig.LONGEST_DEADLINE.plus(Duration.ofMinutes(5));

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

  Preselection preselect() {
    return Preselection.parse(record.getPreselect());
  }

  /**
   * Names what was asked at once: the query and its deadline. Who asks the same again may hear
   * something else, for shards come and go.
   */
  String ask() {
    return queryId() + "/" + record.getDeadline().toEpochMilli();
  }

  /** Whether nobody waits for an answer any more. */
  boolean isExpired(Instant now) {
    return isExpired(record, now);
  }

  private static boolean isExpired(InfluenceQuery query, Instant now) {
    return now.isAfter(query.getDeadline());
  }

  /**
   * Reads a record.
   *
   * @param now for judging its deadline
   * @return empty: it has expired. Its sketch is not looked for, for its file may be gone by then,
   *     or where others would have to wait for it.
   */
  static Optional<AskedQuery> read(
      SourceRecord source,
      AvroValues values,
      Optional<ClaimCheck> claimCheck,
      int largestBytes,
      Instant now)
      throws InvalidException {
    try {
      byte[] value = source.value();
      if (value != null) {
        ResponseReader.checkSize(value, largestBytes);
      }
      InfluenceQuery query =
          values.read(value, InfluenceQuery.class, InfluenceQuery.getClassSchema());
      check(query, now);
      if (isExpired(query, now)) {
        return Optional.empty();
      }
      Optional<Conversation> conversation = Optional.empty();
      if (query.getRerank() > 0) {
        if (query.getResponse() == null) {
          throw invalid("it is to be ranked again, but comes without its response");
        }
        conversation = Optional.of(ResponseReader.read(query.getResponse()));
      }
      float[] sketch = new ShortSketch(query.getSketchStep(), bytes(query, claimCheck)).floats();
      return Optional.of(
          new AskedQuery(
              query,
              shards(query),
              new MultiStageQuery.Preconditioned(
                  Map.of(), sketch, query.getNorm(), query.getTokens()),
              conversation));
    } catch (UnreadableException e) {
      throw new InvalidException(new Failure(e.code(), e.sentence()));
    } catch (ResponseReader.UnusableException e) {
      throw new InvalidException(e.failure());
    }
  }

  static void check(InfluenceQuery query, Instant now) throws InvalidException {
    int shards = query.getShardChecksums().size();
    if (shards < 1 || shards > AskedShards.MOST) {
      throw invalid("it names " + shards + " shards");
    }
    if (query.getPartition() < 0 || query.getPartition() >= query.getPartitions()) {
      throw invalid("it is for partition " + query.getPartition() + " of " + query.getPartitions());
    }
    if (!(query.getNorm() >= 0)
        || Double.isInfinite(query.getNorm())
        || !(query.getSketchStep() >= 0)
        || Float.isInfinite(query.getSketchStep() * -Short.MIN_VALUE)
        || !(query.getTokens() > 0)
        || Double.isInfinite(query.getTokens())) {
      throw invalid("a number of it can not be");
    }
    if (query.getTop() < 1
        || query.getTop() > InfluenceConfig.MOST_TOP
        || query.getRerank() < 0
        || query.getRerank() > InfluenceConfig.MOST_RERANK) {
      throw invalid("it wants " + query.getTop() + " of " + query.getRerank() + " documents");
    }
    if (query.getDeadline().toEpochMilli() == 0
        || query.getDeadline().isAfter(now.plus(LATEST_DEADLINE))) {
      throw invalid("it has no deadline, or one later than in an hour");
    }
    check("lambda", query.getLambda(), Damping::parse);
    check("measure", query.getMeasure(), Measure::of);
    check("preselect", query.getPreselect(), Preselection::parse);
    if (query.getRerank() == 0 && !Preselection.parse(query.getPreselect()).isNone()) {
      throw invalid("it preselects documents that it does not rank again");
    }
    if (!query.getAlpha().isEmpty()) {
      check("alpha", query.getAlpha(), Damping::parse);
    }
  }

  /** What reads a setting says what it read; what is said of a record never holds its values. */
  private static void check(String name, String text, Function<String, ?> reading)
      throws InvalidException {
    if (text.length() <= LONGEST_SETTING) {
      try {
        var unused = reading.apply(text);
        return;
      } catch (InfluenceException e) {
        // said below
      }
    }
    throw invalid("its " + name + ", of " + text.length() + " characters, is none");
  }

  /**
   * The sketch. That a process has no claim-check directory is no reason to wait: anyone may write
   * a query that names a file, and those with their sketch inside must not stand behind it.
   *
   * @throws InvalidException if it can not be had
   */
  static byte[] bytes(InfluenceQuery query, Optional<ClaimCheck> claimCheck)
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
                    "its sketch is in a file, but claim-check.dir is not set for this process"));
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
