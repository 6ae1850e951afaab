package dev.whence.influence.stage;

import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.Matrices;
import dev.whence.runtime.models.ModelReleases;
import dev.whence.runtime.models.ReleaseTakeOver;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Stage;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A query in, an answer of the shards that its partition serves out: their best documents of both
 * signs, or MISSING with the reason. Owned by the model thread.
 *
 * <p>Queries of a batch share one scan: each shard's signs are read once for all of them. A query
 * comes once for each partition; those of its records that are in a batch together are also ranked
 * together, so that what is ranked again are the best candidates of all shards that this process
 * serves, not of each partition alone.
 */
final class ShardStage implements Stage {
  static final String NAME = "influence-shard";

  private static final Logger LOG = LoggerFactory.getLogger(ShardStage.class);

  private final AvroValues values;
  private final ShardAnswers written;
  private final InfluenceConfig config;
  private final Optional<ClaimCheck> claimCheck;
  private final ServedShards shards;
  private final SharedScan scan;
  private final RankedAnswers ranking;
  private final InfluenceMetrics metrics;
  private final InstantSource clock;
  private final Supplier<List<ModelRelease>> releases;
  private final ReleaseTakeOver.Later later;
  private final ReleaseTakeOver takeOver;

  /** Whether it is arranged that {@link #closeUnused} runs again. */
  private boolean looksAgain;

  /** What was announced: each record is one of the four, by its place. */
  private final Map<String, AskedQuery> read = new HashMap<>();

  private final Map<String, Failure> invalid = new HashMap<>();
  private final Set<String> expired = new HashSet<>();

  /** What could not be read for now, as where the registry does not give its schema. */
  private final Map<String, EnvironmentException> unread = new HashMap<>();

  /** What is asked of which query's shards. */
  private final Map<String, ComingQuery> coming = new LinkedHashMap<>();

  /** A query's other records may come in a later batch. */
  private final KeptAnswers answered = new KeptAnswers();

  /**
   * A stage.
   *
   * @param values closed with the stage
   * @param partitionsOfQueries asks the brokers
   * @param later runs what is to be done between two batches
   */
  ShardStage(
      AvroValues values,
      EventWriter writer,
      String partials,
      InfluenceConfig config,
      InfluenceMetrics metrics,
      InstantSource clock,
      String instance,
      Supplier<List<ModelRelease>> releases,
      IntSupplier partitionsOfQueries,
      ReleaseTakeOver.Later later) {
    this.values = values;
    this.written = new ShardAnswers(writer, partials, metrics, instance);
    this.config = config;
    this.claimCheck = config.claimCheck().map(ClaimCheck::new);
    this.shards = new ServedShards(config, metrics, clock, partitionsOfQueries, later);
    this.scan = new SharedScan(metrics);
    this.ranking = new RankedAnswers(config, shards, metrics, clock);
    this.metrics = metrics;
    this.clock = clock;
    this.releases = releases;
    this.later = later;
    this.takeOver =
        new ReleaseTakeOver(
            unused -> expectLive(), config.runtime().failures(), later, /* whenFailed= */ () -> {});
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public void open() {
    if (config.query().rerank() > 0) {
      try {
        Matrices.open(config.engine()).close(); // what can not start is told at the start
      } catch (EngineException e) {
        throw new EnvironmentException("the engine did not start: " + e.getMessage(), e);
      }
    }
    shards.begin();
    Optional<ModelRelease> first = live();
    try {
      expect(first);
    } catch (EnvironmentException e) {
      // Queries name their shards, which may be readable all the same.
      LOG.warn(
          "which queries are to be expected can not be said yet and is tried again: {}",
          e.getMessage());
      takeOver.live(first);
    }
  }

  /** Hears of releases after the first. */
  ModelReleases.Listener takeOver() {
    return takeOver;
  }

  private Optional<ModelRelease> live() {
    return releases.get().stream().findFirst();
  }

  /** What is live by now: the first release may be told of after the one behind it. */
  private void expectLive() {
    expect(live());
    closeUnused(); // later, what the release before it was asked with
  }

  private void expect(Optional<ModelRelease> release) {
    shards.expect(release);
    if (config.query().rerank() > 0) {
      ranking.expect(release);
    }
  }

  @Override
  public void assigned(Set<Integer> partitions) {
    shards.assigned(partitions);
    closeUnused();
  }

  /**
   * Closes what no query has asked for a while, and looks again, whether queries come or not, while
   * there is more that may be closed some time.
   */
  private void closeUnused() {
    shards.closeUnused();
    if (!looksAgain && shards.hasUnexpected()) {
      looksAgain = true;
      later.run(
          ServedShards.UNUSED.plusSeconds(1),
          () -> {
            looksAgain = false;
            closeUnused();
          });
    }
  }

  @Override
  public void coming(List<SourceRecord> records) {
    read.clear();
    invalid.clear();
    expired.clear();
    unread.clear();
    Map<String, ComingQuery> before = new HashMap<>(coming);
    coming.clear();
    Map<String, List<AskedQuery>> queries = new LinkedHashMap<>();
    for (SourceRecord record : records) {
      try {
        AskedQuery.read(record, values, claimCheck, config.largestRecordBytes(), clock.instant())
            .ifPresentOrElse(
                query -> {
                  read.put(record.place(), query);
                  if (!answers(query)) {
                    queries.computeIfAbsent(query.ask(), unused -> new ArrayList<>()).add(query);
                  }
                },
                () -> expired.add(record.place()));
      } catch (AskedQuery.InvalidException e) {
        invalid.put(record.place(), e.failure());
      } catch (EnvironmentException e) {
        unread.put(record.place(), e); // it is that record's, or each other one finds the same
      } catch (RuntimeException | StackOverflowError e) {
        // It is that record's only: those before it would wait for an answer without end.
        invalid.put(record.place(), Failure.unexpected("UNREADABLE", e));
      }
    }
    shards.lookAgain();
    queries.forEach((ask, asked) -> coming.put(ask, coming(asked, before.get(ask))));
    answered.forgetUntil(clock.instant());
    closeUnused();
    // What the first needs is loaded here, where loading has its time; queries of other models have
    // theirs loaded when it is their turn, for there is room for one set only.
    coming.values().stream().filter(ComingQuery::ranks).findFirst().ifPresent(ranking::prepare);
  }

  /** A query with all its shards; one that was scanned with an earlier batch is not again. */
  private ComingQuery coming(List<AskedQuery> records, @Nullable ComingQuery before) {
    AskedQuery query = records.get(0);
    TreeSet<Integer> numbers = new TreeSet<>();
    records.forEach(record -> numbers.addAll(record.shards()));
    if (before != null
        && before.scanned.isPresent()
        && before.shards.keySet().containsAll(numbers)) {
      return before;
    }
    ComingQuery one = new ComingQuery(query);
    for (int number : numbers) {
      if (number <= query.record().getShardChecksums().size()) {
        one.shards.put(number, find(query, number));
      }
    }
    return one;
  }

  /** Whatever is wrong with a shard, the others answer. */
  private OpenShards.Found find(AskedQuery query, int number) {
    try {
      return shards.find(query, number);
    } catch (EnvironmentException e) {
      throw e;
    } catch (RuntimeException | StackOverflowError e) {
      String why = "Looking for shard " + number + " threw " + Failure.describe(e) + ".";
      LOG.warn("{}", why);
      return new OpenShards.Found.Missing(why);
    }
  }

  private boolean answers(AskedQuery query) {
    Answered before = answered.get(query.ask());
    return before != null && before.shards.keySet().containsAll(query.shards());
  }

  @Override
  public Work prepare(SourceRecord record) {
    if (!wasAnnounced(record)) {
      coming(List.of(record));
    }
    EnvironmentException later = unread.get(record.place());
    if (later != null) {
      throw later;
    }
    Failure failure = invalid.get(record.place());
    if (failure != null) {
      return Work.done(new Outcome.Rejected(failure));
    }
    AskedQuery query = read.get(record.place());
    if (query == null || query.isExpired(clock.instant())) {
      return Work.done(new Outcome.Written(List.of(), metrics::expired));
    }
    return new Answering(query, record.place());
  }

  /** Whether {@link #coming} has told of it, as is usual. */
  private boolean wasAnnounced(SourceRecord record) {
    String place = record.place();
    return read.containsKey(place)
        || invalid.containsKey(place)
        || expired.contains(place)
        || unread.containsKey(place);
  }

  /** A query that waits for its answer. */
  private final class Answering implements Work {
    private final AskedQuery query;
    private final String place;

    Answering(AskedQuery query, String place) {
      this.query = query;
      this.place = place;
    }

    @Override
    public Duration predicted() {
      ComingQuery one = coming.get(query.ask());
      if (answers(query) || one == null || one.here().isEmpty()) {
        return Duration.ZERO;
      }
      boolean ranks = ranking.ranks(one);
      if (one.scanned.isPresent() && !ranks) {
        return Duration.ZERO;
      }
      double scanning = one.scanned.isPresent() ? 0 : scan.predicted(coming.values());
      double seconds = 1e-3 + scanning + (ranks ? ranking.predicted(one) : 0);
      return Duration.ofNanos((long) (seconds * 1e9));
    }

    @Override
    public Outcome run() {
      if (!answers(query)) {
        ComingQuery one = coming.get(query.ask());
        if (one == null || !one.shards.keySet().containsAll(query.shards())) {
          throw new EnvironmentException("an answer was forgotten; it is computed again");
        }
        try {
          if (one.here().isEmpty()) {
            one.scanned = Optional.of(ComingQuery.Scanned.NOTHING);
          } else if (one.scanned.isEmpty()) {
            scan.run(coming.values());
          }
          answered.add(query.ask(), ranking.answer(one), query.record().getDeadline());
        } catch (EngineException e) {
          return engineFailed(e);
        }
      }
      Answered all = answered.get(query.ask());
      if (all == null || !answers(query)) {
        throw new EnvironmentException("an answer was forgotten; it is computed again");
      }
      return written.of(query, all, place);
    }
  }

  private static Outcome engineFailed(EngineException e) {
    return switch (e.kind()) {
      case ENVIRONMENT -> {
        String why = "the model failed: " + e.getMessage();
        throw e.isDeviceLost()
            ? EnvironmentException.ofProcess(why, e)
            : EnvironmentException.ofScorer(why, e);
      }
      case MODEL, RECORD, UNSUPPORTED ->
          new Outcome.ModelFailed(new Failure("MODEL_FAILED", String.valueOf(e.getMessage())));
    };
  }

  @Override
  public Outcome.Written failed(SourceRecord record, Failure failure) {
    return written.failed(record, failure);
  }

  @Override
  public void close() {
    shards.close();
    ranking.close();
    values.close();
  }
}
