package dev.whence.influence.stage;

import dev.whence.engine.EngineException;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.index.IndexedDocument;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalIndex;
import dev.whence.influence.query.CandidateRanking;
import dev.whence.influence.query.DocumentInfluence;
import dev.whence.influence.query.IndexScan;
import dev.whence.influence.query.RankingBudget;
import dev.whence.runtime.config.FailurePolicy;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.InfluentialDocument;
import dev.whence.schemas.avro.ModelRelease;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.WeakHashMap;
import java.util.stream.IntStream;

/**
 * Candidates in, documents out: what a scan and words found is ranked again by exact gradients as
 * far as time and files allow, and keeps its estimates beyond that. Not thread-safe.
 */
final class RankedAnswers implements AutoCloseable {
  /** Seconds of one token of a document that is ranked again, until it was measured. */
  private static final double FIRST_SECONDS_PER_TOKEN = 2e-3;

  /** Seconds of a response's gradient and both inverses, until their model is loaded. */
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

  private final RankingModels ranking;
  private final ServedShards shards;
  private final FailurePolicy failures;
  private final InfluenceMetrics metrics;
  private final InstantSource clock;
  private final LearntRate secondsPerToken = new LearntRate(FIRST_SECONDS_PER_TOKEN);
  private final Map<ShardFile, Double> meanTokens = new WeakHashMap<>();

  /**
   * Answers.
   *
   * @param shards have the words; stay the caller's
   */
  RankedAnswers(
      InfluenceConfig config, ServedShards shards, InfluenceMetrics metrics, InstantSource clock) {
    this.ranking = new RankingModels(config);
    this.shards = shards;
    this.failures = config.runtime().failures();
    this.metrics = metrics;
    this.clock = clock;
  }

  /**
   * Makes ready for the queries of a release.
   *
   * @throws EnvironmentException if that can not be done now
   */
  void expect(Optional<ModelRelease> release) {
    ranking.expect(release);
  }

  /** Makes ready for a query that {@link ComingQuery#ranks}, where loading has its time. */
  void prepare(ComingQuery one) {
    var unused = ranking.prepare(one.query.record(), one.here().get(0).settings());
  }

  /** Whether a query will be ranked again, as far as is known now. */
  boolean ranks(ComingQuery one) {
    return one.ranks() && !ranking.refuses(one.query.record(), one.here().get(0).settings());
  }

  /** Seconds that ranking is expected to take, loading included. */
  double predicted(ComingQuery one) {
    IndexSettings settings = one.here().get(0).settings();
    double loading = ranking.isReady(one.query.record(), settings) ? 0 : LOADING_SECONDS;
    return loading + secondsOfRanking(one);
  }

  /** The response as expected, and documents as expected, but no more than they may take. */
  private double secondsOfRanking(ComingQuery one) {
    double tokens = 0;
    long documents = 0;
    for (ShardFile shard : one.here()) {
      tokens += shard.size() * meanTokens.computeIfAbsent(shard, RankedAnswers::meanTokens);
      documents += shard.size();
    }
    if (documents == 0) {
      return 0;
    }
    long ranked =
        Math.min(
            2L * one.query.record().getRerank() + one.query.preselect().documents(), documents);
    double ofDocuments = ranked * tokens / documents * secondsPerToken.value();
    return secondsOfResponse(one) + Math.min(ofDocuments, secondsLeft(one));
  }

  private double secondsOfResponse(ComingQuery one) {
    return seconds(one)
        .map(seconds -> seconds.of(tokensOfResponse(one)))
        .orElse(FIRST_SECONDS_OF_RESPONSE);
  }

  private Optional<ResponseSeconds> seconds(ComingQuery one) {
    return ranking.seconds(one.query.record(), one.here().get(0).settings());
  }

  private static double tokensOfResponse(ComingQuery one) {
    return one.query.conversation().map(ResponseSeconds::tokens).orElse(0.0);
  }

  /** Whether the response's gradient alone, by what was measured, takes all the time there is. */
  private boolean isTooLate(ComingQuery one) {
    return seconds(one)
        .filter(seconds -> seconds.isLonger(tokensOfResponse(one), secondsLeft(one)))
        .isPresent();
  }

  /** Why candidates keep their estimates; empty: all is ready to rank them. */
  private String notRanked(ComingQuery one, IndexSettings settings) {
    if (!isTooLate(one)) {
      // Another query of the batch may have put another set into its place meanwhile.
      Optional<String> refused = ranking.prepare(one.query.record(), settings);
      if (refused.isPresent() || !isTooLate(one)) { // loading may have taken its time
        return refused.orElse("");
      }
    }
    seconds(one).ifPresent(ResponseSeconds::fade);
    return "All candidates have estimates only: the response's gradient would have taken longer"
        + " than the deadline leaves.";
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
  private double secondsLeft(ComingQuery one) {
    long left = one.query.record().getDeadline().toEpochMilli() - clock.millis();
    return Math.max(0, left / 1e3 * SHARE_OF_TIME);
  }

  /** From now on; documents may be longer than expected, but the watchdog must not see it. */
  private RankingBudget budget(ComingQuery one) {
    double allowed =
        Math.max(
            failures.hangAtLeast().toMillis() / 1e3, failures.hangFactor() * secondsOfRanking(one));
    return RankingBudget.of(
        Math.min(secondsLeft(one), allowed * SHARE_OF_TIME), secondsPerToken.value());
  }

  /**
   * What is to be said of a query that was scanned.
   *
   * @throws EngineException if the device failed
   */
  Answered answer(ComingQuery one) {
    long began = System.nanoTime();
    ComingQuery.Scanned scanned = one.scanned.orElseThrow();
    List<IndexScan.Candidate> byWords = preselected(one);
    Map<IndexScan.Candidate, IndexedDocument> known = known(one, scanned.candidates(), byWords);
    List<ShardFile> here = one.here();
    List<IndexScan.Candidate> preselected =
        byWords.stream().filter(candidate -> here.contains(candidate.shard())).toList();
    IndexScan.Candidates found = scanned.candidates().of(here);
    List<IndexScan.Candidate> candidates = CandidateRanking.unique(found, preselected);
    List<IndexedDocument> entries =
        candidates.stream().map(candidate -> Objects.requireNonNull(known.get(candidate))).toList();
    List<IndexScan.Candidate> toRank =
        CandidateRanking.toRank(found, one.query.record().getRerank(), preselected);
    Optional<RankingModels.Ranked> ranked = Optional.empty();
    String note = "";
    boolean ranks = one.query.conversation().isPresent() && !toRank.isEmpty();
    if (ranks) {
      note = notRanked(one, candidates.get(0).shard().settings());
      began = System.nanoTime();
    }
    if (ranks && note.isEmpty()) {
      RankingBudget budget = budget(one);
      try {
        RankingModels.Ranked now =
            ranking.rank(
                one.query.record(),
                one.query.conversation().get(),
                candidates.get(0).shard().settings(),
                candidates,
                entries,
                toRank,
                budget);
        ranked = Optional.of(now);
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
            .orElseGet(
                () -> CandidateRanking.estimated(candidates, entries, one.query.vector().tokens()));
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
        one.query.record().getTop(),
        one.query.record().getPartitions(),
        note,
        new Answered.Cost(
            ranked.map(RankingModels.Ranked::tokens).orElse(0L),
            preselected.size(),
            exact,
            scanned.seconds() + seconds));
  }

  /** A shard whose words can not be read is missing from here on. */
  private List<IndexScan.Candidate> preselected(ComingQuery one) {
    if (one.query.preselect().isNone() || one.query.conversation().isEmpty()) {
      return List.of();
    }
    List<LexicalIndex.Hit> hits = new ArrayList<>();
    for (ShardFile shard : one.here()) {
      try {
        hits.addAll(
            shards.best(shard, one.query.conversation().get(), one.query.preselect().documents()));
      } catch (InfluenceException e) {
        one.missing(shard, e);
      }
    }
    List<IndexScan.Candidate> preselected = new ArrayList<>();
    for (LexicalIndex.Hit hit : LexicalIndex.best(hits, one.query.preselect().documents())) {
      try {
        preselected.addAll(one.asked().estimates(hit.shard(), List.of(hit.document())));
      } catch (InfluenceException e) {
        one.missing(hit.shard(), e);
      }
    }
    return preselected;
  }

  /**
   * What the candidates are, read once, for a shard may be replaced while they are ranked. One
   * whose entries can not be read, or that was replaced since it was scanned, is missing from here
   * on, and the others answer.
   */
  private static Map<IndexScan.Candidate, IndexedDocument> known(
      ComingQuery one, IndexScan.Candidates scanned, List<IndexScan.Candidate> preselected) {
    Map<IndexScan.Candidate, IndexedDocument> known = new HashMap<>();
    List<IndexScan.Candidate> all = CandidateRanking.unique(scanned.of(one.here()), preselected);
    for (ShardFile shard : one.here()) {
      List<IndexScan.Candidate> own =
          all.stream().filter(candidate -> candidate.shard().equals(shard)).toList();
      try {
        List<IndexedDocument> entries =
            shard.entries(own.stream().map(IndexScan.Candidate::document).toList());
        for (int i = 0; i < own.size(); i++) {
          known.put(own.get(i), entries.get(i));
        }
      } catch (InfluenceException e) {
        one.missing(shard, e);
      }
    }
    return known;
  }

  @Override
  public void close() {
    ranking.close();
  }
}
