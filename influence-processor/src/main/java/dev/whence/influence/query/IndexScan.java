package dev.whence.influence.query;

import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.kernel.Matrix;
import dev.whence.influence.index.ShardFile;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/**
 * Looks through shards for the documents with the largest scalar products with queries, of both
 * signs: estimates of influence are &lt;q^, g^&gt; / N, with a standard error of |q^| |g^| / (N
 * sqrt(k)). Several queries share one reading of the codes.
 */
public final class IndexScan {
  private final Matrices matrices;

  public IndexScan(Matrices matrices) {
    this.matrices = matrices;
  }

  /**
   * A document that may be among the most influential.
   *
   * @param shard its shard
   * @param document its number there
   * @param estimate nats
   * @param standardError of the estimate, nats
   */
  public record Candidate(ShardFile shard, int document, double estimate, double standardError) {}

  /**
   * The candidates of a query.
   *
   * @param positive the largest estimates, descending
   * @param negative the smallest estimates, ascending
   */
  public record Candidates(List<Candidate> positive, List<Candidate> negative) {
    /** Those of several shards together, cut to the same size. */
    public Candidates plus(Candidates other, int most) {
      return new Candidates(
          merged(positive, other.positive, most, DESCENDING),
          merged(negative, other.negative, most, DESCENDING.reversed()));
    }

    private static List<Candidate> merged(
        List<Candidate> a, List<Candidate> b, int most, Comparator<Candidate> order) {
      List<Candidate> all = new ArrayList<>(a);
      all.addAll(b);
      return all.stream().sorted(order).limit(most).toList();
    }
  }

  private static final Comparator<Candidate> DESCENDING =
      Comparator.comparingDouble((Candidate candidate) -> -candidate.estimate())
          .thenComparing(candidate -> candidate.shard().number())
          .thenComparing(Candidate::document);

  /** Candidates of each query in one shard, at most so many of each sign. */
  public List<Candidates> scan(
      ShardFile shard, List<MultiStageQuery.Preconditioned> queries, int most) {
    int k = shard.settings().sketch().buckets();
    float[] all = new float[queries.size() * k];
    for (int q = 0; q < queries.size(); q++) {
      System.arraycopy(queries.get(q).sketch(), 0, all, q * k, k);
    }
    float[][] products;
    try (Matrix vectors = matrices.of(queries.size(), k, all)) {
      products = shard.scan(vectors);
    }
    List<Candidates> found = new ArrayList<>();
    for (int q = 0; q < queries.size(); q++) {
      MultiStageQuery.Preconditioned query = queries.get(q);
      found.add(
          new Candidates(
              candidates(shard, query, largest(products[q], most, 1)).stream()
                  .sorted(DESCENDING)
                  .toList(),
              candidates(shard, query, largest(products[q], most, -1)).stream()
                  .sorted(DESCENDING.reversed())
                  .toList()));
    }
    return found;
  }

  /** Scanned scores are rounded; those of the few that are kept are computed anew. */
  private static List<Candidate> candidates(
      ShardFile shard, MultiStageQuery.Preconditioned query, List<Integer> documents) {
    return documents.stream().map(document -> candidate(shard, query, document)).toList();
  }

  /** A document with its estimate, whatever chose it. */
  public static Candidate candidate(
      ShardFile shard, MultiStageQuery.Preconditioned query, int document) {
    double unit = query.norm() / (query.tokens() * Math.sqrt(query.sketch().length));
    return new Candidate(
        shard,
        document,
        shard.product(query.sketch(), document) / query.tokens(),
        unit * shard.norm(document));
  }

  private static List<Integer> largest(float[] scores, int most, int sign) {
    PriorityQueue<Integer> smallestFirst =
        new PriorityQueue<>(
            Comparator.comparingDouble((Integer i) -> sign * scores[i])
                .thenComparing(Comparator.<Integer>naturalOrder().reversed()));
    for (int i = 0; i < scores.length; i++) {
      if (smallestFirst.size() < most) {
        smallestFirst.add(i);
      } else if (!smallestFirst.isEmpty()
          && sign * scores[i] > sign * scores[smallestFirst.element()]) {
        smallestFirst.remove();
        smallestFirst.add(i);
      }
    }
    return List.copyOf(smallestFirst);
  }
}
