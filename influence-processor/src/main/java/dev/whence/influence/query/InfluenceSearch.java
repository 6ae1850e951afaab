package dev.whence.influence.query;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.ekfac.SampledFisher;
import dev.whence.influence.index.GradientIndex;
import dev.whence.influence.index.IndexedDocument;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalIndex;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The door: responses go in, the training documents that drove them come out. Gradient of the
 * response, both inverses, scan of all shards, then the candidates' exact gradients. One thread
 * uses it.
 */
public final class InfluenceSearch {
  private static final long FISHER_SEED = 7;
  private static final int PACK_TOKENS = 1024;

  private final TappedModel answering;
  private final GradientIndex index;
  private final CandidateRanking ranking;
  private final MultiStageQuery query;
  private final boolean multiStage;
  private final TappedModel indexed;
  private @Nullable SampledFisher fisher;
  private int fisherOf;
  private final CorpusFile corpus;
  private boolean corpusChecked;

  /**
   * All arguments stay the caller's.
   *
   * @param answering the model that answered
   * @param indexed the model whose gradients are indexed, for exact gradients; may be the same
   * @param pretraining factors of the indexed model
   * @param fineTuning factors of the model that answered; empty: single-stage
   * @param corpus that the index is of
   * @throws InfluenceException if models, factors and index are not of one making
   */
  public InfluenceSearch(
      TappedModel answering,
      TappedModel indexed,
      EkfacFactors pretraining,
      Optional<EkfacFactors> fineTuning,
      GradientIndex index,
      CorpusFile corpus) {
    if (!index.settings().factorsDigest().equals(pretraining.digest())) {
      throw new InfluenceException(
          "The index was whitened with other factors than those given: its gradients can not be"
              + " compared. Give the factors that it was built with, or build it anew.");
    }
    pretraining.checkModel(indexed.name(), indexed.digest());
    fineTuning.ifPresent(factors -> factors.checkModel(answering.name(), answering.digest()));
    if (fineTuning.isPresent() && answering.digest().equals(indexed.digest())) {
      throw new InfluenceException(
          "The model that answered, "
              + answering.name()
              + ", is the one whose gradients are indexed: no stage came after it, and its"
              + " curvature would count twice. Leave the factors of fine-tuning out.");
    }
    this.answering = answering.unrounded();
    this.index = index;
    this.corpus = corpus;
    this.ranking = new CandidateRanking(indexed, corpus, index.settings().measure());
    this.query = new MultiStageQuery(pretraining, fineTuning, answering.matrices());
    this.multiStage = fineTuning.isPresent();
    this.indexed = indexed;
  }

  /**
   * One response.
   *
   * @throws InfluenceException if it has no response, its gradient is zero or not finite
   * @throws EngineException if it can not be rendered, or is longer than the model reads
   */
  public InfluenceResult search(Conversation conversation, QueryOptions options) {
    return search(List.of(conversation), options).get(0);
  }

  /** Several responses, in their order; they share a scan. */
  public List<InfluenceResult> search(List<Conversation> conversations, QueryOptions options) {
    long started = System.nanoTime();
    List<ResponseGradient> gradients = new ArrayList<>();
    List<MultiStageQuery.Preconditioned> queries = new ArrayList<>();
    List<List<Double>> residuals = new ArrayList<>();
    for (Conversation conversation : conversations) {
      ResponseGradient gradient = ResponseGradient.of(answering, conversation, options.measure());
      gradients.add(gradient);
      MultiStageQuery.Refined refined = preconditioned(gradient, options);
      residuals.add(refined.residuals());
      queries.add(query.sketched(refined.whitened(), index.settings().sketch()));
    }
    int most = Math.max(options.top(), options.rerank());
    List<IndexScan.Candidates> candidates =
        new ArrayList<>(
            Collections.nCopies(queries.size(), new IndexScan.Candidates(List.of(), List.of())));
    List<IndexScan.Asked> asked =
        queries.stream().map(query -> new IndexScan.Asked(query, most)).toList();
    for (ShardFile shard : index.shards()) {
      List<IndexScan.Candidates> found = IndexScan.scan(shard, asked);
      for (int q = 0; q < queries.size(); q++) {
        candidates.set(q, candidates.get(q).plus(found.get(q), most));
      }
    }
    List<List<IndexScan.Candidate>> byWords =
        preselected(conversations, asked, options.preselect());
    List<InfluenceResult> results = new ArrayList<>();
    for (int q = 0; q < queries.size(); q++) {
      List<IndexScan.Candidate> preselected = byWords.get(q);
      List<IndexScan.Candidate> all = CandidateRanking.unique(candidates.get(q), preselected);
      List<IndexScan.Candidate> toRank =
          CandidateRanking.toRank(candidates.get(q), options.rerank(), preselected);
      List<IndexedDocument> entries = CandidateRanking.entries(all);
      List<DocumentInfluence> ranked =
          options.rerank() > 0
              ? ranking().exact(queries.get(q), all, entries, toRank, RankingBudget.unbounded())
              : CandidateRanking.estimated(all, entries, queries.get(q).tokens());
      results.add(
          new InfluenceResult(
              conversations.get(q).responseId(),
              answering.name(),
              !conversations.get(q).model().equals(answering.name()),
              (multiStage ? "multi-stage" : "single-stage")
                  + options.pcg().suffix()
                  + options.preselect().suffix(),
              index.digest(),
              index.settings().measure(),
              gradients.get(q).logLikelihood(),
              gradients.get(q).tokens(),
              ranked.stream()
                  .filter(one -> one.influence() > 0)
                  .sorted(Comparator.comparingDouble(one -> -one.influence()))
                  .limit(options.top())
                  .toList(),
              ranked.stream()
                  .filter(one -> one.influence() < 0)
                  .sorted(Comparator.comparingDouble(DocumentInfluence::influence))
                  .limit(options.top())
                  .toList(),
              residuals.get(q),
              index.size(),
              preselected.size(),
              toRank.size(),
              (System.nanoTime() - started) / 1e9 / queries.size()));
    }
    return results;
  }

  /**
   * Looks at the corpus when documents are first read: one that was changed where neither length
   * nor excerpt shows it would give exact influences of what is not indexed.
   */
  private CandidateRanking ranking() {
    if (!corpusChecked) {
      corpus.check(index.settings().corpusDigest());
      corpusChecked = true;
    }
    return ranking;
  }

  private MultiStageQuery.Refined preconditioned(ResponseGradient gradient, QueryOptions options) {
    Damping lambda0 = index.settings().damping();
    if (options.pcg().isNone()) {
      return new MultiStageQuery.Refined(
          query.whitened(gradient, options.alpha(), options.lambda(), lambda0), List.of());
    }
    return query.refined(
        gradient,
        options.alpha(),
        options.lambda(),
        lambda0,
        fisher(options.pcg().documents()),
        options.pcg().iterations());
  }

  /** Of documents at equal distances in the index; kept for the next response. */
  private SampledFisher fisher(int documents) {
    if (fisher == null || fisherOf != documents) {
      long wanted = Math.min(documents, index.size());
      List<IndexedDocument> sample = new ArrayList<>();
      long before = 0; // documents of earlier shards
      long next = 0; // of the sample
      for (ShardFile shard : index.shards()) {
        List<Integer> chosen = new ArrayList<>();
        while (next < wanted && next * index.size() / wanted < before + shard.size()) {
          chosen.add((int) (next * index.size() / wanted - before));
          next++;
        }
        sample.addAll(shard.entries(chosen));
        before += shard.size();
      }
      fisher = new SampledFisher(indexed, ranking().documents(sample), FISHER_SEED, PACK_TOKENS);
      fisherOf = documents;
    }
    return fisher;
  }

  /** For each response; the words are opened once for all of them. */
  private List<List<IndexScan.Candidate>> preselected(
      List<Conversation> conversations, List<IndexScan.Asked> asked, Preselection preselection) {
    List<List<IndexScan.Candidate>> preselected = new ArrayList<>();
    try (LexicalIndex words = new LexicalIndex()) {
      for (int q = 0; q < asked.size(); q++) {
        List<LexicalIndex.Hit> hits = new ArrayList<>();
        if (!preselection.isNone()) {
          for (ShardFile shard : index.shards()) {
            hits.addAll(words.best(shard, conversations.get(q), preselection.documents()));
          }
        }
        preselected.add(CandidateRanking.preselected(hits, asked.get(q), preselection));
      }
    }
    return preselected;
  }
}
