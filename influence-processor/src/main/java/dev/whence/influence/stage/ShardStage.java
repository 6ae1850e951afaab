package dev.whence.influence.stage;

import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.Matrices;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.index.IndexedDocument;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalIndex;
import dev.whence.influence.query.CandidateRanking;
import dev.whence.influence.query.DocumentInfluence;
import dev.whence.influence.query.IndexScan;
import dev.whence.influence.query.RankingBudget;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.EventWriter;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.runtime.worker.Failure;
import dev.whence.runtime.worker.Outcome;
import dev.whence.runtime.worker.Result;
import dev.whence.runtime.worker.SourceRecord;
import dev.whence.runtime.worker.Stage;
import dev.whence.runtime.worker.Work;
import dev.whence.schemas.avro.InfluencePartial;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.PartialKind;
import dev.whence.schemas.avro.ShardAnswer;
import dev.whence.schemas.avro.ShardStatus;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.WeakHashMap;
import java.util.function.Supplier;
import java.util.stream.IntStream;
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

  /** Bytes of signs that one query's scan reads in a second, until it was measured. */
  private static final double FIRST_BYTES_PER_SECOND = 2e8;

  /** Seconds of one token of a document that is ranked again, until it was measured. */
  private static final double FIRST_SECONDS_PER_TOKEN = 2e-3;

  /** Seconds of a response's gradient and both inverses, until they were measured. */
  private static final double FIRST_SECONDS_OF_RESPONSE = 1;

  /** Documents of a shard whose mean length is taken for all. */
  private static final int LENGTHS_TAKEN = 32;

  /**
   * Ranking may take so much of the time that a query's deadline leaves, and of what the watchdog
   * allows: others wait behind it, and the answer is to be there in time.
   */
  private static final double SHARE_OF_TIME = 0.5;

  /** What loading another model and its factors is allowed for; the watchdog allows more. */
  private static final double LOADING_SECONDS = 30;

  /** A query's other records may come in a later batch. */
  private static final int ANSWERS_KEPT = 256;

  private final AvroValues values;
  private final EventWriter writer;
  private final String partials;
  private final InfluenceConfig config;
  private final Optional<ClaimCheck> claimCheck;
  private final OpenShards shards;
  private final RankingModels ranking;
  private final InfluenceMetrics metrics;
  private final InstantSource clock;
  private final String instance;
  private final Supplier<List<ModelRelease>> releases;
  private final LexicalIndex words = new LexicalIndex();
  private final LearntRate bytesPerSecond = new LearntRate(FIRST_BYTES_PER_SECOND);
  private final LearntRate secondsPerToken = new LearntRate(FIRST_SECONDS_PER_TOKEN);
  private final LearntRate secondsOfResponse = new LearntRate(FIRST_SECONDS_OF_RESPONSE);
  private final Map<ShardFile, Double> meanTokens = new WeakHashMap<>();

  /** What was announced: queries by record, and what is asked of which query's shards. */
  private final Map<String, AskedQuery> read = new HashMap<>();

  private final Map<String, Failure> invalid = new HashMap<>();
  private final Map<String, Coming> coming = new LinkedHashMap<>();
  private final Map<String, Answered> answered =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Answered> eldest) {
          return size() > ANSWERS_KEPT;
        }
      };

  /** All records of a query that were announced. */
  private static final class Coming {
    final AskedQuery query;
    final TreeMap<Integer, OpenShards.Found> shards = new TreeMap<>();
    Optional<Scanned> scanned = Optional.empty();
    private IndexScan.@Nullable Asked asked;

    Coming(AskedQuery query) {
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

    List<ShardFile> here() {
      List<ShardFile> here = new ArrayList<>();
      for (OpenShards.Found found : shards.values()) {
        if (found instanceof OpenShards.Found.Here one) {
          here.add(one.shard());
        }
      }
      return here;
    }
  }

  /** What a scan found, and the share of its time. */
  private record Scanned(IndexScan.Candidates candidates, double seconds) {
    static final Scanned NOTHING = new Scanned(new IndexScan.Candidates(List.of(), List.of()), 0);
  }

  /**
   * A stage.
   *
   * @param values closed with the stage
   */
  ShardStage(
      AvroValues values,
      EventWriter writer,
      String partials,
      InfluenceConfig config,
      InfluenceMetrics metrics,
      InstantSource clock,
      String instance,
      Supplier<List<ModelRelease>> releases) {
    this.values = values;
    this.writer = writer;
    this.partials = partials;
    this.config = config;
    this.claimCheck = config.claimCheck().map(ClaimCheck::new);
    this.shards = new OpenShards(config.files());
    this.ranking = new RankingModels(config);
    this.metrics = metrics;
    this.clock = clock;
    this.instance = instance;
    this.releases = releases;
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
    expect(releases.get().stream().findFirst());
  }

  /**
   * Another release is live, or none any more: its queries are to be expected. On the model thread.
   */
  void expect(Optional<ModelRelease> release) {
    openShards(release);
    if (config.query().rerank() > 0) {
      ranking.expect(release);
    }
  }

  /**
   * Opening a shard reads all of it, for its checksum: the first query that asks it would wait for
   * that. What is not possible is only logged: answers say what is missing.
   */
  private void openShards(Optional<ModelRelease> release) {
    try {
      Optional<ModelChoice> choice = ModelChoice.expected(release, config);
      if (choice.isEmpty()) {
        return;
      }
      List<IndexManifest.Shard> wanted = choice.get().index(config).manifest().shards();
      for (int number = 1; number <= wanted.size(); number++) {
        var unused = shards.find(number, wanted.size(), wanted.get(number - 1).checksum());
      }
    } catch (ModelLoadException | InfluenceException | EngineException e) {
      LOG.warn("no shard is opened before the first query: {}", e.getMessage());
    }
  }

  @Override
  public void coming(List<SourceRecord> records) {
    read.clear();
    invalid.clear();
    Map<String, Coming> before = new HashMap<>(coming);
    coming.clear();
    Map<String, List<AskedQuery>> queries = new LinkedHashMap<>();
    for (SourceRecord record : records) {
      try {
        AskedQuery query =
            AskedQuery.read(
                record, values, claimCheck, config.largestRecordBytes(), clock.instant());
        read.put(record.place(), query);
        if (!expired(query) && !answers(query)) {
          queries.computeIfAbsent(query.ask(), unused -> new ArrayList<>()).add(query);
        }
      } catch (AskedQuery.InvalidException e) {
        invalid.put(record.place(), e.failure());
      }
    }
    queries.forEach((ask, asked) -> coming.put(ask, coming(asked, before.get(ask))));
    // What the first needs is loaded here, where loading has its time; queries of other models have
    // theirs loaded when it is their turn, for there is room for one set only.
    coming.values().stream()
        .filter(Coming::ranks)
        .findFirst()
        .ifPresent(
            one -> {
              var unused = ranking.prepare(one.query.record(), one.here().get(0).settings());
            });
  }

  /** A query with all its shards; one that was scanned with an earlier batch is not again. */
  private Coming coming(List<AskedQuery> records, @Nullable Coming before) {
    AskedQuery query = records.get(0);
    TreeSet<Integer> numbers = new TreeSet<>();
    records.forEach(record -> numbers.addAll(record.shards()));
    if (before != null
        && before.scanned.isPresent()
        && before.shards.keySet().containsAll(numbers)) {
      return before;
    }
    Coming one = new Coming(query);
    List<String> checksums = query.record().getShardChecksums();
    for (int number : numbers) {
      if (number <= checksums.size()) {
        one.shards.put(number, find(query, number, checksums.size(), checksums.get(number - 1)));
      }
    }
    return one;
  }

  private OpenShards.Found find(AskedQuery query, int number, int of, String checksum) {
    OpenShards.Found found = shards.find(number, of, checksum);
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

  private boolean expired(AskedQuery query) {
    return clock.millis() > query.record().getDeadline().toEpochMilli();
  }

  private boolean answers(AskedQuery query) {
    Answered before = answered.get(query.ask());
    return before != null && before.shards.keySet().containsAll(query.shards());
  }

  @Override
  public Work prepare(SourceRecord record) {
    Failure failure = invalid.get(record.place());
    if (failure != null) {
      return Work.done(new Outcome.Rejected(failure));
    }
    AskedQuery query = read.get(record.place());
    if (query == null) {
      // Records come announced; one that does not is announced now.
      coming(List.of(record));
      Failure now = invalid.get(record.place());
      query = read.get(record.place());
      if (now != null || query == null) {
        return Work.done(
            new Outcome.Rejected(
                now == null ? new Failure("INVALID_QUERY", "the query can not be read") : now));
      }
    }
    if (expired(query)) {
      return Work.done(new Outcome.Written(List.of(), metrics::expired));
    }
    return new Answering(query);
  }

  /** A query that waits for its answer. */
  private final class Answering implements Work {
    private final AskedQuery query;

    Answering(AskedQuery query) {
      this.query = query;
    }

    @Override
    public Duration predicted() {
      Coming one = coming.get(query.ask());
      if (answers(query) || one == null || one.here().isEmpty()) {
        return Duration.ZERO;
      }
      IndexSettings settings = one.here().get(0).settings();
      boolean ranks = one.ranks() && !ranking.refuses(one.query.record(), settings);
      if (one.scanned.isPresent() && !ranks) {
        return Duration.ZERO;
      }
      double seconds = secondsBeforeRanking(one, settings, ranks);
      return Duration.ofNanos((long) ((seconds + (ranks ? secondsOfRanking(one) : 0)) * 1e9));
    }

    private double secondsBeforeRanking(Coming one, IndexSettings settings, boolean ranks) {
      double seconds = 1e-3;
      if (one.scanned.isEmpty()) {
        long bytes =
            coming.values().stream()
                .filter(other -> other.scanned.isEmpty())
                .flatMap(other -> other.here().stream())
                .mapToLong(ShardFile::scannedBytes)
                .sum();
        seconds += bytes / bytesPerSecond.value();
      }
      if (ranks && !ranking.isReady(one.query.record(), settings)) {
        seconds += LOADING_SECONDS;
      }
      return seconds;
    }

    @Override
    public Outcome run() {
      if (!answers(query)) {
        Coming one = coming.get(query.ask());
        if (one == null || !one.shards.keySet().containsAll(query.shards())) {
          throw new EnvironmentException("an answer was forgotten; it is computed again");
        }
        try {
          if (one.here().isEmpty()) {
            one.scanned = Optional.of(Scanned.NOTHING);
          } else if (one.scanned.isEmpty()) {
            scan();
          }
          answered.merge(query.ask(), answer(one), Answered::plus);
        } catch (EngineException e) {
          return engineFailed(e);
        }
      }
      return write(query);
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

  /** As expected, and no more than it may take. */
  private double secondsOfRanking(Coming one) {
    double tokens = 0;
    long documents = 0;
    for (ShardFile shard : one.here()) {
      tokens += shard.size() * meanTokens.computeIfAbsent(shard, ShardStage::meanTokens);
      documents += shard.size();
    }
    if (documents == 0) {
      return 0;
    }
    long ranked =
        Math.min(
            2L * one.query.record().getRerank() + one.query.preselect().documents(), documents);
    double expected =
        secondsOfResponse.value() + ranked * tokens / documents * secondsPerToken.value();
    return Math.min(expected, secondsLeft(one));
  }

  private static double meanTokens(ShardFile shard) {
    int taken = Math.min(LENGTHS_TAKEN, shard.size());
    if (taken == 0) {
      return 0;
    }
    try {
      return shard
          .entries(
              IntStream.range(0, taken)
                  .mapToObj(i -> (int) ((long) i * shard.size() / taken))
                  .toList())
          .stream()
          .mapToInt(IndexedDocument::tokens)
          .average()
          .orElse(0);
    } catch (InfluenceException e) {
      return 0; // the scan will find the shard unreadable, too, and says so
    }
  }

  /** What ranking may take before the deadline, whatever the watchdog allows. */
  private double secondsLeft(Coming one) {
    long left = one.query.record().getDeadline().toEpochMilli() - clock.millis();
    return Math.max(0, left / 1e3 * SHARE_OF_TIME);
  }

  /** From now on; documents may be longer than expected, but the watchdog must not see it. */
  private RankingBudget budget(Coming one) {
    FailurePolicy failures = config.runtime().failures();
    double allowed =
        Math.max(
            failures.hangAtLeast().toMillis() / 1e3, failures.hangFactor() * secondsOfRanking(one));
    return RankingBudget.of(
        Math.min(secondsLeft(one), allowed * SHARE_OF_TIME), secondsPerToken.value());
  }

  /** One reading of every shard that is asked, for all queries that ask it. */
  private void scan() {
    long began = System.nanoTime();
    List<Coming> waiting =
        coming.values().stream()
            .filter(one -> one.scanned.isEmpty() && !one.here().isEmpty())
            .toList();
    Map<ShardFile, List<Coming>> askers = new LinkedHashMap<>();
    for (Coming one : waiting) {
      for (ShardFile shard : one.here()) {
        askers.computeIfAbsent(shard, unused -> new ArrayList<>()).add(one);
      }
    }
    Map<Coming, IndexScan.Candidates> found = new HashMap<>();
    waiting.forEach(one -> found.put(one, new IndexScan.Candidates(List.of(), List.of())));
    long documents = 0;
    long bytes = 0;
    long work = 0;
    for (Map.Entry<ShardFile, List<Coming>> entry : askers.entrySet()) {
      ShardFile shard = entry.getKey();
      List<Coming> queries = entry.getValue();
      List<IndexScan.Candidates> candidates;
      try {
        candidates = IndexScan.scan(shard, queries.stream().map(Coming::asked).toList());
      } catch (InfluenceException e) {
        OpenShards.Found missing = new OpenShards.Found.Missing(String.valueOf(e.getMessage()));
        queries.forEach(one -> one.shards.put(shard.number(), missing));
        continue;
      }
      for (int i = 0; i < queries.size(); i++) {
        IndexScan.Candidates more = candidates.get(i);
        found.computeIfPresent(
            queries.get(i), (one, before) -> before.plus(more, one.asked().most()));
      }
      documents += shard.size();
      bytes += shard.scannedBytes();
      work += shard.scannedBytes() * queries.size();
    }
    double seconds = (System.nanoTime() - began) / 1e9;
    if (work > 0 && seconds > 0) {
      bytesPerSecond.add(work / seconds);
    }
    metrics.scanned(waiting.size(), documents, bytes, Duration.ofNanos((long) (seconds * 1e9)));
    found.forEach(
        (one, candidates) ->
            one.scanned = Optional.of(new Scanned(candidates, seconds / waiting.size())));
  }

  private Answered answer(Coming one) {
    long began = System.nanoTime();
    Scanned scanned = one.scanned.orElseThrow();
    List<IndexScan.Candidate> preselected = preselected(one);
    IndexScan.Candidates found = scanned.candidates().of(one.here());
    List<IndexScan.Candidate> candidates = CandidateRanking.unique(found, preselected);
    List<IndexScan.Candidate> toRank =
        CandidateRanking.toRank(found, one.query.record().getRerank(), preselected);
    Optional<RankingModels.Ranked> ranked = Optional.empty();
    String note = "";
    if (one.query.conversation().isPresent() && !toRank.isEmpty()) {
      // Another query of the batch may have put another set into its place meanwhile.
      note = ranking.prepare(one.query.record(), candidates.get(0).shard().settings()).orElse("");
      began = System.nanoTime();
    }
    if (one.query.conversation().isPresent() && note.isEmpty() && !toRank.isEmpty()) {
      RankingBudget budget = budget(one);
      try {
        RankingModels.Ranked now =
            ranking.rank(
                one.query.record(),
                one.query.conversation().get(),
                candidates.get(0).shard().settings(),
                candidates,
                toRank,
                budget);
        ranked = Optional.of(now);
        secondsOfResponse.add(now.secondsBefore());
        budget.secondsPerToken().ifPresent(secondsPerToken::add);
        if (now.exact() < toRank.size()) {
          note =
              (toRank.size() - now.exact())
                  + " of "
                  + toRank.size()
                  + " candidates have estimates only: to rank them again would have taken longer"
                  + " than the deadline leaves.";
        }
      } catch (InfluenceException e) {
        note = String.valueOf(e.getMessage());
      } catch (EngineException e) {
        if (e.kind() == EngineException.Kind.ENVIRONMENT) {
          throw e;
        }
        // The scan stands: this response can not be ranked again, which says nothing of the model.
        note = String.valueOf(e.getMessage());
      }
    }
    List<DocumentInfluence> influences =
        ranked
            .map(RankingModels.Ranked::influences)
            .orElseGet(() -> CandidateRanking.estimated(candidates, one.query.vector().tokens()));
    int exact = ranked.map(RankingModels.Ranked::exact).orElse(0);
    double seconds = (System.nanoTime() - began) / 1e9;
    if (exact > 0) {
      metrics.reranked(exact, Duration.ofNanos((long) (seconds * 1e9)));
    }
    List<InfluentialDocument> documents = new ArrayList<>();
    for (int i = 0; i < candidates.size(); i++) {
      documents.add(
          NamedDocuments.of(
              candidates.get(i).shard().number(),
              influences.get(i),
              one.query.record().getIncludeExcerpts()));
    }
    return new Answered(
        one.shards,
        documents,
        note,
        new Answered.Cost(
            ranked.map(RankingModels.Ranked::tokens).orElse(0L),
            preselected.size(),
            exact,
            scanned.seconds() + seconds));
  }

  /** A shard whose words can not be read is missing from here on. */
  private List<IndexScan.Candidate> preselected(Coming one) {
    if (one.query.preselect().isNone() || one.query.conversation().isEmpty()) {
      return List.of();
    }
    List<LexicalIndex.Hit> hits = new ArrayList<>();
    for (ShardFile shard : one.here()) {
      try {
        hits.addAll(
            words.best(shard, one.query.conversation().get(), one.query.preselect().documents()));
      } catch (InfluenceException e) {
        one.shards.put(
            shard.number(), new OpenShards.Found.Missing(String.valueOf(e.getMessage())));
      }
    }
    if (one.here().isEmpty()) {
      return List.of();
    }
    return CandidateRanking.preselected(hits, one.asked(), one.query.preselect());
  }

  private Outcome write(AskedQuery query) {
    Answered all = answered.get(query.ask());
    if (all == null || !answers(query)) {
      throw new EnvironmentException("an answer was forgotten; it is computed again");
    }
    List<ShardAnswer> answers = new ArrayList<>();
    List<Boolean> missing = new ArrayList<>();
    for (int shard : query.shards()) {
      OpenShards.Found found = all.shards.get(shard);
      boolean here = found instanceof OpenShards.Found.Here;
      missing.add(!here);
      answers.add(
          ShardAnswer.newBuilder()
              .setShard(shard)
              .setStatus(here ? ShardStatus.SCANNED : ShardStatus.MISSING)
              .setDocuments(found instanceof OpenShards.Found.Here one ? one.shard().size() : 0)
              .setReason(
                  found instanceof OpenShards.Found.Missing why
                      ? NamedDocuments.cut(why.reason())
                      : "")
              .build());
    }
    Answered.Cost cost = all.cost();
    Result result =
        write(
            query.queryId(),
            InfluencePartial.newBuilder()
                .setQueryId(query.queryId())
                .setKind(PartialKind.ANSWER)
                .setShards(answers)
                .setDocuments(
                    NamedDocuments.best(
                        all.documents.stream()
                            .filter(document -> query.shards().contains(document.getShard()))
                            .toList(),
                        query.record().getTop()))
                .setNote(NamedDocuments.cut(all.note))
                .setTokens(cost.tokens())
                .setDocumentsPreselected(cost.preselected())
                .setDocumentsReranked(cost.reranked())
                .setSeconds(cost.seconds())
                .setInstance(instance)
                .build(),
            query.record().getTraceparent());
    return new Outcome.Written(List.of(result), () -> missing.forEach(metrics::shard));
  }

  private Result write(String queryId, InfluencePartial partial, String traceparent) {
    return writer.write(partials, queryId, partial, 0, traceparent, Optional::empty);
  }

  /** The merger need not wait: the header says which shards the record asked. */
  @Override
  public Outcome.Written failed(SourceRecord record, Failure failure) {
    Optional<String> queryId = record.keyText();
    List<Integer> asked = AskedShards.of(record);
    if (queryId.isEmpty() || asked.isEmpty()) {
      return new Outcome.Written(List.of());
    }
    String reason = NamedDocuments.cut("The query could not be answered: " + failure.message());
    int first = asked.get(0);
    List<ShardAnswer> answers =
        asked.stream()
            .map(
                shard ->
                    ShardAnswer.newBuilder()
                        .setShard(shard)
                        .setStatus(ShardStatus.MISSING)
                        .setReason(shard == first ? reason : "As shard " + first + ".")
                        .build())
            .toList();
    Result result =
        write(
            queryId.get(),
            InfluencePartial.newBuilder()
                .setQueryId(queryId.get())
                .setKind(PartialKind.ANSWER)
                .setShards(answers)
                .setInstance(instance)
                .build(),
            record.traceparentOr(""));
    return new Outcome.Written(List.of(result), () -> asked.forEach(unused -> metrics.shard(true)));
  }

  @Override
  public void close() {
    words.close();
    ranking.close();
    values.close();
  }
}
