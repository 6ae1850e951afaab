package dev.whence.influence.query;

import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.index.IndexedDocument;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.lexical.LexicalIndex;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Turns what a scan found into influences of documents, with gradients computed anew or without.
 */
public final class CandidateRanking {
  private static final int PACK_TOKENS = 1024;

  /** Of the texts that are in memory together, unless one has more. */
  private static final long TOKENS_AT_ONCE = 1 << 18;

  private static final long BYTES_AT_ONCE = 64 << 20;

  private final TappedModel indexed;
  private final CorpusFile corpus;
  private final Measure measure;
  private final long tokensAtOnce;

  /**
   * The first two stay the caller's.
   *
   * @param indexed the model whose gradients are indexed
   * @param corpus that the index is of
   * @param measure of its documents
   */
  public CandidateRanking(TappedModel indexed, CorpusFile corpus, Measure measure) {
    this(indexed, corpus, measure, TOKENS_AT_ONCE);
  }

  /**
   * @param tokensAtOnce of the texts that are in memory together; of one document if it has more
   */
  CandidateRanking(TappedModel indexed, CorpusFile corpus, Measure measure, long tokensAtOnce) {
    this.tokensAtOnce = tokensAtOnce;
    this.indexed = indexed.unrounded();
    this.corpus = corpus;
    this.measure = measure;
  }

  /** Candidates of both signs and others, each document once. */
  public static List<IndexScan.Candidate> unique(
      IndexScan.Candidates candidates, List<IndexScan.Candidate> others) {
    return unique(
        Stream.of(candidates.positive(), candidates.negative(), others).flatMap(List::stream));
  }

  /**
   * Candidates whose gradients are to be computed anew, the most promising first: the best of both
   * signs in turn, then others; each document once.
   *
   * @param rerank of each sign
   */
  public static List<IndexScan.Candidate> toRank(
      IndexScan.Candidates candidates, int rerank, List<IndexScan.Candidate> others) {
    List<IndexScan.Candidate> best = new ArrayList<>();
    for (int i = 0; i < rerank; i++) {
      for (List<IndexScan.Candidate> sign : List.of(candidates.positive(), candidates.negative())) {
        if (i < sign.size()) {
          best.add(sign.get(i));
        }
      }
      if (i >= candidates.positive().size() && i >= candidates.negative().size()) {
        break;
      }
    }
    return unique(Stream.concat(best.stream(), others.stream()));
  }

  /** Where a document is. */
  private record Place(int shard, int document) {
    static Place of(IndexScan.Candidate candidate) {
      return new Place(candidate.shard().number(), candidate.document());
    }
  }

  private static List<IndexScan.Candidate> unique(Stream<IndexScan.Candidate> candidates) {
    Map<Place, IndexScan.Candidate> unique = new LinkedHashMap<>();
    candidates.forEach(one -> unique.putIfAbsent(Place.of(one), one));
    return List.copyOf(unique.values());
  }

  /** Documents that share words with a response, as candidates, best first. */
  public static List<IndexScan.Candidate> preselected(
      List<LexicalIndex.Hit> hits, IndexScan.Asked query, Preselection preselection) {
    return LexicalIndex.best(hits, preselection.documents()).stream()
        .flatMap(hit -> query.estimates(hit.shard(), List.of(hit.document())).stream())
        .toList();
  }

  /**
   * Influences as the sketches say, in the candidates' order. No file is read.
   *
   * @param entries what the candidates are, in their order
   * @param tokens N
   */
  public static List<DocumentInfluence> estimated(
      List<IndexScan.Candidate> candidates, List<IndexedDocument> entries, double tokens) {
    return influences(
        candidates, entries, tokens, Collections.nCopies(candidates.size(), Optional.empty()));
  }

  /**
   * Influences in the candidates' order, of those that are to be ranked with gradients computed
   * anew as far as the budget goes, of the others as the sketches say. Shards' files are not read:
   * a shard may be replaced meanwhile.
   *
   * @param entries what the candidates are, in their order
   * @param toRank some of the candidates, the most promising first
   * @throws InfluenceException if the corpus is not what was indexed
   */
  public List<DocumentInfluence> exact(
      MultiStageQuery.Preconditioned preconditioned,
      List<IndexScan.Candidate> candidates,
      List<IndexedDocument> entries,
      List<IndexScan.Candidate> toRank,
      RankingBudget budget) {
    Map<Place, IndexedDocument> entryOf = new HashMap<>();
    for (int i = 0; i < candidates.size(); i++) {
      entryOf.put(Place.of(candidates.get(i)), entries.get(i));
    }
    Map<Place, ExactInfluence.Breakdown> exact = new HashMap<>();
    Map<Place, IndexedDocument> group = new LinkedHashMap<>();
    long tokens = 0;
    long bytes = 0;
    for (IndexScan.Candidate candidate : toRank) {
      IndexedDocument entry = Objects.requireNonNull(entryOf.get(Place.of(candidate)));
      if (!budget.allows(entry.tokens())) {
        continue; // its text need not even be read
      }
      tokens += entry.tokens();
      bytes += entry.reference().bytes();
      // A compressed corpus is unpacked from its beginning for each group, so it has but one.
      if (!corpus.isCompressed() && (tokens > tokensAtOnce || bytes > BYTES_AT_ONCE)) {
        exact.putAll(exact(preconditioned, group, budget));
        group.clear();
        tokens = entry.tokens();
        bytes = entry.reference().bytes();
      }
      group.put(Place.of(candidate), entry);
    }
    exact.putAll(exact(preconditioned, group, budget));
    return influences(
        candidates,
        entries,
        preconditioned.tokens(),
        candidates.stream().map(one -> Optional.ofNullable(exact.get(Place.of(one)))).toList());
  }

  /** Of documents whose texts are in memory together, in their order, as far as the budget goes. */
  private Map<Place, ExactInfluence.Breakdown> exact(
      MultiStageQuery.Preconditioned preconditioned,
      Map<Place, IndexedDocument> group,
      RankingBudget budget) {
    Map<Place, ExactInfluence.Breakdown> exact = new HashMap<>();
    if (!group.isEmpty()) {
      Iterator<Optional<ExactInfluence.Breakdown>> found =
          new ExactInfluence(indexed, measure, PACK_TOKENS)
              .of(preconditioned, documents(List.copyOf(group.values())), budget)
              .iterator();
      group.keySet().forEach(place -> found.next().ifPresent(one -> exact.put(place, one)));
    }
    return exact;
  }

  /**
   * The texts of what an index holds.
   *
   * @throws InfluenceException if the corpus is not what was indexed
   */
  List<CorpusDocument> documents(List<IndexedDocument> entries) {
    Map<Long, CorpusDocument> texts =
        corpus.read(indexed.texts(), entries.stream().map(IndexedDocument::reference).toList());
    List<CorpusDocument> documents = new ArrayList<>();
    for (IndexedDocument entry : entries) {
      CorpusDocument document = Objects.requireNonNull(texts.get(entry.reference().line()));
      if (document.tokens() != entry.tokens() || !document.excerpt().equals(entry.excerpt())) {
        throw new InfluenceException(
            corpus.path()
                + ", line "
                + entry.reference().line()
                + ", is not the document that was indexed: the corpus was changed. Build the index"
                + " anew, or give the corpus back that it was built of.");
      }
      documents.add(document);
    }
    return documents;
  }

  /**
   * What candidates are, in their order; each shard's file is opened once.
   *
   * @throws InfluenceException if a shard was changed since it was opened, or can not be read
   */
  static List<IndexedDocument> entries(List<IndexScan.Candidate> candidates) {
    Map<ShardFile, List<Integer>> ofShards =
        candidates.stream()
            .collect(
                Collectors.groupingBy(
                    IndexScan.Candidate::shard,
                    Collectors.mapping(IndexScan.Candidate::document, Collectors.toList())));
    Map<ShardFile, Iterator<IndexedDocument>> read = new HashMap<>();
    ofShards.forEach((shard, documents) -> read.put(shard, shard.entries(documents).iterator()));
    return candidates.stream()
        .map(candidate -> Objects.requireNonNull(read.get(candidate.shard())).next())
        .toList();
  }

  private static List<DocumentInfluence> influences(
      List<IndexScan.Candidate> candidates,
      List<IndexedDocument> entries,
      double tokens,
      List<Optional<ExactInfluence.Breakdown>> exact) {
    List<DocumentInfluence> influences = new ArrayList<>();
    for (int i = 0; i < candidates.size(); i++) {
      IndexScan.Candidate candidate = candidates.get(i);
      double norm = candidate.shard().norm(candidate.document());
      influences.add(
          new DocumentInfluence(
              entries.get(i),
              exact.get(i).map(ExactInfluence.Breakdown::influence).orElse(candidate.estimate()),
              exact.get(i).isPresent(),
              candidate.estimate(),
              candidate.standardError(),
              norm * norm / tokens,
              exact.get(i)));
    }
    return influences;
  }
}
